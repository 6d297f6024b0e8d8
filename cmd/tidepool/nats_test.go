// Leaves that are secured, in a cluster, and in a NATS system of somebody else's, as processes.

package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/tidepool-proxy/tidepool/tests/pki"
)

// oneLeaf is a configuration with one pool.
func oneLeaf(urls ...string) string {
	return fmt.Sprintf(`pool{ name = "default", backends = { "%s" } } router{ router_type = "flat" }`, strings.Join(urls, `", "`))
}

// stores sets and gets through a proxy until that works.
func stores(t *testing.T, addr string) {
	t.Helper()
	const set, want = "set k 0 0 1\r\nv\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\nv\r\nEND\r\n"
	if got := talk(t, addr, set, 4); got != want {
		t.Errorf("%q", got)
	}
}

// seed makes an nkey: its public part, and a file with its seed.
func seed(t *testing.T) (pub, file string) {
	t.Helper()
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, _ = kp.PublicKey()
	s, _ := kp.Seed()
	return pub, write(t, "nkey", string(s)+"\n")
}

// TestSecuredLeaf: certificates of both ends and an nkey. Whoever lacks one is told which.
func TestSecuredLeaf(t *testing.T) {
	ca, stranger := pki.New(t), pki.New(t)
	cert, mine := ca.Issue(t, time.Hour, "127.0.0.1"), ca.Issue(t, time.Hour, "proxy")
	pub, key := seed(t)
	_, otherKey := seed(t)
	keys := write(t, "keys", "# who\n"+pub+" a proxy\n")
	p := start(t, "leaf", "--name", "leaf-1", "--listen", "127.0.0.1:0", "--memory", "8MiB",
		"--tls-cert", cert.Cert, "--tls-key", cert.Key, "--tls-ca", ca.File, "--authorized-nkeys", keys)
	url := p.logged(0, "leaf ready")["url"].(string)
	if !strings.HasPrefix(url, "tls://127.0.0.1:") {
		t.Errorf("url %q", url)
	}
	all := []string{"--leaf-tls-ca", ca.File, "--leaf-tls-cert", mine.Cert, "--leaf-tls-key", mine.Key, "--leaf-nkey", key}
	px, addr, _ := startProxy(t, oneLeaf(url), all...)
	stores(t, addr)

	trouble := func(want string, flags ...string) {
		t.Helper()
		q, addr, _ := startProxy(t, oneLeaf(url), flags...)
		if got := talk(t, addr, "get k\r\n", 1); !strings.HasPrefix(got, "SERVER_ERROR ") {
			t.Errorf("%q: %q", flags, got)
		}
		q.logged(0, "backend trouble", want)
		q.signal(syscall.SIGTERM)
		q.exit(0)
	}
	trouble("certificate signed by unknown authority", "--leaf-tls-ca", stranger.File, "--leaf-nkey", key)
	trouble("certificate signed by unknown authority") // the system's authorities do not know ours
	from := p.Stderr.Count()
	trouble("", "--leaf-tls-ca", ca.File, "--leaf-nkey", key) // what it hears of the leaf's alert depends on who writes first
	if p.Stderr.Find(from, patience, "client didn't provide a certificate") == "" {
		t.Error(p.Stderr.Text())
	}
	trouble("Authorization Violation", append(all[:6:6], "--leaf-nkey", otherKey)...)
	trouble("Authorization Violation", all[:6]...)

	// SIGHUP: a file with a mistake changes nothing, a key that is no longer there is cut off.
	put := func(text string) int {
		t.Helper()
		if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		from := p.Stderr.Count()
		p.signal(syscall.SIGHUP)
		return from
	}
	p.logged(put("\nrubbish\n"), "files not reloaded, the old ones stay in force", keys+":2: ")
	stores(t, addr)
	ca.Renew(t, cert, time.Hour, "127.0.0.1")
	p.logged(put(pub+"\n"), "files reloaded", cert.Cert)
	stores(t, addr)
	secret, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	from = px.Stderr.Count()
	other, _ := seed(t)
	p.logged(put(other+"\n"), "files reloaded")
	px.logged(from, "backend trouble", "disconnected")
	// Meanwhile another authority signs for everybody, in the same files; of these the nkey alone is what it was at the start.
	stranger.Renew(t, cert, time.Hour, "127.0.0.1")
	stranger.Renew(t, mine, time.Hour, "proxy")
	move(t, stranger.File, ca.File)
	move(t, otherKey, key)
	p.logged(put(pub+"\n"), "files reloaded")
	px.logged(from, "leaf: up")
	stores(t, addr)

	for _, log := range []string{p.Stderr.Text(), px.Stderr.Text()} {
		if strings.Contains(log, strings.TrimSpace(string(secret))) {
			t.Errorf("a seed is in the log:\n%s", log)
		}
	}
}

// move puts one file in the place of another.
func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// TestPasswordLeaf: a name and a password from a file, which is not told even where it is wrong, and may be another one later.
func TestPasswordLeaf(t *testing.T) {
	password, wrong, open := write(t, "pw", "s3cret\n"), write(t, "pw", "wr0ng"), write(t, "pw", "s3cret")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	p := start(t, "leaf", "--name", "leaf-1", "--listen", "127.0.0.1:0", "--memory", "8MiB", "--user", "proxy", "--password-file", password)
	url := p.logged(0, "leaf ready")["url"].(string)
	px, addr, _ := startProxy(t, oneLeaf(url), "--leaf-user", "proxy", "--leaf-password-file", open)
	px.logged(0, "a file with a secret can be read by everybody on this machine", open)
	stores(t, addr)
	_, addr, _ = startProxy(t, oneLeaf(strings.Replace(url, "//", "//proxy:s3cret@", 1)), "--leaf-user", "proxy", "--leaf-password-file", wrong)
	stores(t, addr) // who an address names comes first
	q, _, _ := startProxy(t, oneLeaf(url), "--leaf-user", "proxy", "--leaf-password-file", wrong)
	q.logged(0, "backend trouble", "Authorization Violation")
	from := px.Stderr.Count()
	move(t, write(t, "pw", "s3cret-2"), password)
	p.signal(syscall.SIGHUP)
	px.logged(from, "backend trouble", "disconnected")
	move(t, write(t, "pw", "s3cret-2"), open)
	px.logged(from, "leaf: up")
	for _, x := range []*process{p, px, q} {
		if log := x.Stderr.Text(); strings.Contains(log, "s3cret") || strings.Contains(log, "wr0ng") {
			t.Errorf("a password is in the log:\n%s", log)
		}
	}
}

// TestLeafCluster: three processes, of which a proxy knows one.
func TestLeafCluster(t *testing.T) {
	ca := pki.New(t)
	cert, mine := ca.Issue(t, time.Hour, "127.0.0.1"), ca.Issue(t, time.Hour, "proxy")
	password, users := write(t, "pw", "between leaves"), write(t, "users", "proxy:s3cret\n")
	one := func(name string, more ...string) (p *process, addr, routes string) {
		p = start(t, append([]string{"leaf", "--name", name, "--listen", "127.0.0.1:0", "--memory", "8MiB", "--cluster-listen", "127.0.0.1:0",
			"--tls-cert", cert.Cert, "--tls-key", cert.Key, "--tls-ca", ca.File, "--users-file", users, "--cluster-password-file", password}, more...)...)
		f := p.logged(0, "leaf ready")
		return p, strings.TrimPrefix(f["url"].(string), "tls://"), f["cluster"].(string)
	}
	a, addrA, routes := one("a")
	b, addrB, _ := one("b", "--routes", routes)
	one("c", "--routes", routes)
	b.logged(0, "leaf: routes to other leaves", `"routes":["a","c"]`)
	if addrA == addrB {
		t.Fatal(addrA)
	}
	secret := write(t, "pw", "s3cret")
	// Every key goes to both: c is reached by way of a.
	config := fmt.Sprintf(`
function mcp_config_pools()
  return { mcp.pool({ mcp.backend("tls://%s/b") }, { name = "b" }), mcp.pool({ mcp.backend("tls://%[1]s/c") }, { name = "c" }) }
end
function mcp_config_routes(p)
  mcp.attach(mcp.CMD_SET, p[1])
  mcp.attach(mcp.CMD_GET, p[2])
  mcp.attach(mcp.CMD_MS, p[2])
  mcp.attach(mcp.CMD_MG, p[1])
end`, addrA)
	px, addr, _ := startProxy(t, config, "--leaf-tls-ca", ca.File, "--leaf-tls-cert", mine.Cert, "--leaf-tls-key", mine.Key,
		"--leaf-user", "proxy", "--leaf-password-file", secret)
	both := func() {
		t.Helper()
		if got := talk(t, addr, "set k 0 0 1\r\nb\r\nms k 1\r\nc\r\nget k\r\nmg k v\r\n", 7); got != "STORED\r\nHD\r\nVALUE k 0 1\r\nc\r\nEND\r\nVA 1\r\nb\r\n" {
			t.Errorf("%q", got)
		}
	}
	both()
	for _, leaf := range []string{`"b"`, `"c"`} { // which may be written after the first answer
		px.logged(0, "leaf: up", leaf)
	}
	from := px.Stderr.Count()
	a.signal(syscall.SIGKILL)
	px.logged(from, "leaf: up", `"b"`)
	px.logged(from, "leaf: up", `"c"`)
	both()
	b.logged(0, "leaf: routes to other leaves lost", `"lost":["a"],"routes":["c"]`)
}

// mayDo reads what a user may publish and subscribe to off the table in docs/operations.md.
func mayDo(t *testing.T, who string) (pub, sub []string) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "| | publish | subscribe |")
	row := regexp.MustCompile(`(?m)^\| ` + who + ` \| (.+) \| (.+) \|$`).FindStringSubmatch(table)
	if row == nil {
		t.Fatalf("no row for a %s", who)
	}
	list := func(cell string) []string { return strings.Split(strings.ReplaceAll(cell, "`", ""), ", ") }
	return list(row[1]), list(row[2])
}

// TestJoinNATS: a NATS system of a user's own, with an operator, accounts, and users that may do what docs/operations.md says and no more.
func TestJoinNATS(t *testing.T) {
	y := natsSystem(t)
	url := y.url
	as := func(who string) string {
		pub, sub := mayDo(t, who)
		return y.creds("cache", pub, sub)
	}
	leafCreds, proxyCreds := as("leaf"), as("proxy")
	p := start(t, "leaf", "--name", "leaf-1", "--nats", url, "--creds", leafCreds, "--memory", "8MiB")
	if got := p.logged(0, "leaf ready")["url"]; got != url+"/leaf-1" {
		t.Errorf("url %q, want %s/leaf-1", got, url)
	}
	px, addr, _ := startProxy(t, oneLeaf(url+"/leaf-1"), "--leaf-creds", proxyCreds)
	stores(t, addr)
	large := strings.Repeat("v", 300_000) // in parts, there and back
	if got := talk(t, addr, fmt.Sprintf("set big 0 0 %d\r\n%s\r\nget big\r\n", len(large), large), 4); got != fmt.Sprintf("STORED\r\nVALUE big 0 %d\r\n%s\r\nEND\r\n", len(large), large) {
		t.Errorf("a large value: %.100q", got)
	}
	asProxy := start(t, "leaf", "--name", "leaf-3", "--nats", url, "--creds", proxyCreds, "--memory", "8MiB")
	asProxy.exit(1)
	if got := asProxy.Stderr.Text(); !strings.Contains(got, "tidepool: cannot start leaf \"leaf-3\": NATS does not let it do what a leaf does: nats: permissions violation: ") {
		t.Errorf("%s", got)
	}
	second := start(t, "leaf", "--name", "leaf-1", "--nats", url, "--creds", leafCreds, "--memory", "8MiB")
	second.exit(1)
	if got := second.Stderr.Text(); !strings.Contains(got, "the name is taken") {
		t.Errorf("%s", got)
	}
	// Credentials are renewed, and then the old ones are worth nothing.
	old := []string{y.userOf(leafCreds), y.userOf(proxyCreds)}
	move(t, as("leaf"), leafCreds)
	move(t, as("proxy"), proxyCreds)
	from := px.Stderr.Count()
	y.revoke("cache", old...)
	px.logged(from, "backend trouble", "disconnected")
	px.logged(from, "leaf: up")
	if got := talk(t, addr, "get k\r\n", 3); got != "VALUE k 0 1\r\nv\r\nEND\r\n" {
		t.Errorf("with other credentials: %q", got)
	}
	for _, x := range []*process{p, px} {
		if log := x.Stderr.Text(); strings.Contains(log, "ermissions") {
			t.Errorf("what the docs say may be done was not enough:\n%s", log)
		}
	}
	// A leaf that stops says so, and one that comes is seen.
	from = px.Stderr.Count()
	p.signal(syscall.SIGTERM)
	p.exit(0)
	px.logged(from, "leaf: is stopping")
	start(t, "leaf", "--name", "leaf-1", "--nats", url, "--creds", leafCreds, "--memory", "8MiB").logged(0, "leaf ready")
	px.logged(from, "leaf: up")
	stores(t, addr)
	// Another account is another world, and nobody is nobody.
	_, addr, _ = startProxy(t, oneLeaf(url+"/leaf-1"), "--leaf-creds", y.creds("other", nil, nil))
	if got := talk(t, addr, "get k\r\n", 1); !strings.HasPrefix(got, "SERVER_ERROR ") {
		t.Errorf("from another account: %q", got)
	}
	q := start(t, "leaf", "--name", "leaf-2", "--nats", url)
	q.exit(1)
	if got := q.Stderr.Text(); !strings.Contains(got, "tidepool: cannot start leaf \"leaf-2\": cannot connect to NATS at \""+url+"\": nats: Authorization Violation") {
		t.Errorf("%s", got)
	}
}

// system is a nats-server that knows its users by an operator's signatures.
type system struct {
	t        *testing.T
	s        *server.Server
	url      string
	resolver *server.MemAccResolver
	operator nkeys.KeyPair
	accounts map[string]*account
}

type account struct {
	nkeys.KeyPair
	claims *jwt.AccountClaims
}

// newKey makes a key pair, of nkeys.CreateUser or the like.
func newKey(t *testing.T, kp nkeys.KeyPair, err error) (_ nkeys.KeyPair, pub string) {
	t.Helper()
	if err == nil {
		pub, err = kp.PublicKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	return kp, pub
}

func natsSystem(t *testing.T) *system {
	t.Helper()
	kp, err := nkeys.CreateOperator()
	operator, pub := newKey(t, kp, err)
	y := &system{t: t, operator: operator, resolver: &server.MemAccResolver{}, accounts: map[string]*account{}}
	y.s, err = server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, MaxPayload: 64 << 10,
		TrustedKeys: []string{pub}, AccountResolver: y.resolver,
	})
	if err != nil {
		t.Fatal(err)
	}
	y.s.Start()
	t.Cleanup(func() { y.s.Shutdown(); y.s.WaitForShutdown() })
	if !y.s.ReadyForConnections(patience) {
		t.Fatal("NATS server is not ready")
	}
	y.url = "nats://" + y.s.Addr().String()
	return y
}

func (y *system) sign(c jwt.Claims, by nkeys.KeyPair) string {
	y.t.Helper()
	text, err := c.Encode(by)
	if err != nil {
		y.t.Fatal(err)
	}
	return text
}

// creds makes a user of an account, who may publish and subscribe to what is said (nil: anything), and gives the file.
func (y *system) creds(of string, pub, sub []string) string {
	y.t.Helper()
	a := y.accounts[of]
	if a == nil {
		kp, err := nkeys.CreateAccount()
		kp, accountPub := newKey(y.t, kp, err)
		a = &account{kp, jwt.NewAccountClaims(accountPub)}
		a.claims.Name = of
		y.accounts[of] = a
		if err := y.resolver.Store(accountPub, y.sign(a.claims, y.operator)); err != nil {
			y.t.Fatal(err)
		}
	}
	kp, err := nkeys.CreateUser()
	user, userPub := newKey(y.t, kp, err)
	c := jwt.NewUserClaims(userPub)
	c.Pub.Allow, c.Sub.Allow = pub, sub
	seed, _ := user.Seed()
	text, err := jwt.FormatUserConfig(y.sign(c, a.KeyPair), seed)
	if err != nil {
		y.t.Fatal(err)
	}
	return write(y.t, "creds", string(text))
}

// userOf is the user of a file of credentials, who may be revoked.
func (y *system) userOf(file string) (pub string) {
	y.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		y.t.Fatal(err)
	}
	text, _ := nkeys.ParseDecoratedJWT(b)
	c, err := jwt.DecodeUserClaims(text)
	if err != nil {
		y.t.Fatal(err)
	}
	return c.Subject
}

// revoke cuts users of an account off, and they are not let in again.
func (y *system) revoke(of string, users ...string) {
	y.t.Helper()
	a := y.accounts[of]
	for _, u := range users {
		a.claims.Revoke(u)
	}
	if err := y.resolver.Store(a.claims.Subject, y.sign(a.claims, y.operator)); err != nil {
		y.t.Fatal(err)
	}
	acc, err := y.s.LookupAccount(a.claims.Subject)
	if err != nil {
		y.t.Fatal(err)
	}
	y.s.UpdateAccountClaims(acc, a.claims)
}

// TestNATSFlags: what cannot be meant is said before anything is opened, and which file is wrong.
func TestNATSFlags(t *testing.T) {
	ca := pki.New(t)
	cert, old := ca.Issue(t, time.Hour, "leaf"), ca.Issue(t, -time.Minute, "leaf")
	text, secret := write(t, "text", "hello\n"), write(t, "pw", "s3cret")
	config := write(t, "routes.lua", oneLeaf("nats://127.0.0.1:1"))
	f := func(code int, want string, args ...string) {
		t.Helper()
		p := start(t, args...)
		p.exit(code)
		if got := p.Stderr.Text(); !strings.Contains(got, want) || strings.Contains(got, "s3cret") {
			t.Errorf("%q: %s, want %q", args, got, want)
		}
	}
	leaf := func(code int, want string, args ...string) {
		t.Helper()
		f(code, want, append([]string{"leaf", "--name", "a", "--listen", "127.0.0.1:0", "--memory", "8MiB"}, args...)...)
	}
	leaf(2, "want --tls-cert and --tls-key together", "--tls-cert", cert.Cert)
	leaf(2, "--tls-ca wants --tls-cert and --tls-key", "--tls-ca", ca.File)
	leaf(2, "want --user and --password-file together", "--user", "u")
	leaf(2, "--creds goes with --nats, not --listen", "--creds", text)
	leaf(2, "--nkey goes with --nats, not --listen", "--nkey", text)
	leaf(2, "--routes goes with --cluster-listen", "--routes", "127.0.0.1:1")
	leaf(2, "--cluster-listen with TLS wants --tls-ca", "--cluster-listen", "127.0.0.1:0", "--tls-cert", cert.Cert, "--tls-key", cert.Key)
	leaf(2, "a password in an address shows", "--cluster-listen", "127.0.0.1:0", "--routes", "nats://u:s3cret@127.0.0.1:1")
	leaf(1, "tidepool: cannot start leaf \"a\": cannot read the certificate: open /no/such: ", "--tls-cert", "/no/such", "--tls-key", cert.Key)
	leaf(1, "cannot read the certificate's key: open /no/such: ", "--tls-cert", cert.Cert, "--tls-key", "/no/such")
	leaf(1, "it expired at ", "--tls-cert", old.Cert, "--tls-key", old.Key)
	leaf(1, text+`" holds none`, "--tls-cert", cert.Cert, "--tls-key", cert.Key, "--tls-ca", text)
	leaf(1, "cannot read users: "+text+":1: want name:password", "--users-file", text)
	f(1, `cannot listen on "0.0.0.0:0": not on loopback, and nothing says who may connect`, // encryption does not keep out anybody
		"leaf", "--name", "a", "--listen", "0.0.0.0:0", "--tls-cert", cert.Cert, "--tls-key", cert.Key)
	leaf(1, "cannot read nkeys: "+text+":1: ", "--authorized-nkeys", text)
	leaf(1, "cannot read a password: open /no/such: ", "--user", "u", "--password-file", "/no/such")
	leaf(1, `route "127.0.0.1": want host:port`, "--cluster-listen", "127.0.0.1:0", "--routes", "127.0.0.1")
	leaf(1, `cannot listen for routes on "0.0.0.0:0": not on loopback, and nothing says who may connect (--insecure`, "--cluster-listen", "0.0.0.0:0")
	leaf(1, "cannot listen for routes on ", "--cluster-listen", "0.0.0.0:0", "--user", "u", "--password-file", secret)

	join := func(code int, want string, args ...string) {
		t.Helper()
		f(code, want, append([]string{"leaf", "--name", "a", "--memory", "8MiB"}, args...)...)
	}
	join(2, "a password in an address shows", "--nats", "nats://u:s3cret@127.0.0.1:1")
	join(2, "--users-file goes with --listen, not --nats", "--nats", "nats://127.0.0.1:1", "--users-file", text)
	join(2, "--cluster-listen goes with --listen, not --nats", "--nats", "nats://127.0.0.1:1", "--cluster-listen", "127.0.0.1:0")
	join(2, "want one of --creds, --nkey and --user", "--nats", "nats://127.0.0.1:1", "--creds", text, "--nkey", text)
	join(1, "no user's JWT is in it", "--nats", "nats://127.0.0.1:1", "--creds", text)
	join(1, "cannot connect to NATS at ", "--nats", "nats://127.0.0.1:1")

	proxy := func(code int, want string, args ...string) {
		t.Helper()
		f(code, want, append([]string{"proxy", config, "--listen", "127.0.0.1:0", "--admin", "none"}, args...)...)
	}
	proxy(2, "want one of --leaf-creds, --leaf-nkey and --leaf-user", "--leaf-nkey", text, "--leaf-creds", text)
	proxy(2, "want --leaf-tls-cert and --leaf-tls-key together", "--leaf-tls-key", text)
	proxy(1, "tidepool: cannot connect to leaves: cannot use nkey ", "--leaf-nkey", text)
	proxy(1, "cannot connect to leaves: cannot use credentials \"/no/such\": open /no/such: ", "--leaf-creds", "/no/such")
	proxy(1, "it expired at ", "--leaf-tls-cert", old.Cert, "--leaf-tls-key", old.Key)
}

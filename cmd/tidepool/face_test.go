// The NATS face of processes: who may be where, what is counted, how it ends.

package main

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/tests/natsd"
	"github.com/tidepool-proxy/tidepool/tests/pki"
	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// overNATS sends a request and gives the status and payload of its answer.
func overNATS(t *testing.T, nc *nats.Conn, subject, payload string, headers ...string) string {
	t.Helper()
	m := &nats.Msg{Subject: subject, Data: []byte(payload), Header: nats.Header{}}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":") // as the nats command line does
		m.Header.Add(name, value)
	}
	r, err := nc.RequestMsg(m, patience)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return strings.TrimSpace(strings.Join([]string{r.Header.Get("status"), r.Header.Get("Nats-Service-Error"), string(r.Data)}, " "))
}

func application(t *testing.T, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// TestNATSFace: a NATS system with TLS and a password, a prefix, a tag with routes of its own, metrics, and a stop that loses nothing.
func TestNATSFace(t *testing.T) {
	ca := pki.New(t)
	pair := ca.Issue(t, time.Hour, "127.0.0.1")
	tc, err := server.GenTLSConfig(&server.TLSConfigOpts{CertFile: pair.Cert, KeyFile: pair.Key})
	if err != nil {
		t.Fatal(err)
	}
	s := natsd.Start(t, func(o *server.Options) {
		o.TLS, o.TLSConfig, o.TLSTimeout, o.Username, o.Password = true, tc, 5, "apps", "s3cret"
	})
	url := "tls://" + s.Addr().String()
	l := start(t, "leaf", "--name", "leaf-1", "--listen", "127.0.0.1:0", "--memory", "8MiB")
	config := fmt.Sprintf(`
function mcp_config_pools() return mcp.pool({ mcp.backend(%q) }, { name = "main" }) end
function mcp_config_routes(p)
    mcp.attach(mcp.CMD_ANY_STORAGE, p)
    mcp.attach(mcp.CMD_MD, function() return "SERVER_ERROR nobody deletes here\r\n" end, "apps")
end`, l.logged(0, "leaf ready")["url"])
	secret := write(t, "pw", "s3cret")
	p, addr, admin := startProxy(t, config, "--nats-face", url, "--nats-face-prefix", "team.cache", "--nats-face-tag", "apps",
		"--nats-face-user", "apps", "--nats-face-password-file", secret, "--nats-face-tls-ca", ca.File)
	if f := p.logged(0, "NATS face serves"); f["subjects"] != "team.cache.>" || f["connected"] != true {
		t.Errorf("%v", f)
	}
	nc := application(t, url, nats.UserInfo("apps", "s3cret"), nats.RootCAs(ca.File))
	for _, d := range []struct{ subject, payload, op, want string }{
		{"team.cache.foo", "bar", "op:set", "stored"},
		{"team.cache.foo", "", "op:get", "hit  bar"},
		{"team.cache.foo", "", "op:del", "error SERVER_ERROR nobody deletes here"},
		{"team.cache.foo", "", "op:what", "error CLIENT_ERROR op \"what\": want get, set, add, replace, cas, del, incr, decr, touch"},
		{"team.cache.none", "", "op:get", "miss"},
	} {
		if got := overNATS(t, nc, d.subject, d.payload, d.op); got != d.want {
			t.Errorf("%s %s: %q, want %q", d.op, d.subject, got, d.want)
		}
	}
	if got := talk(t, addr, "get foo\r\ndelete foo\r\n", 4); got != "VALUE foo 0 3\r\nbar\r\nEND\r\nDELETED\r\n" {
		t.Errorf("%q", got)
	}
	metrics := get(t, "http://"+admin+"/metrics")
	for _, want := range []string{
		`tidepool_face_requests_total{op="get",status="hit"} 1`, `tidepool_face_requests_total{op="get",status="miss"} 1`,
		`tidepool_face_requests_total{op="none",status="error"} 1`, "tidepool_face_connected 1", "tidepool_face_in_flight 0",
		"tidepool_face_refused_total 0", `tidepool_requests_total{cmd="mg",result="hit"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	p.signal(syscall.SIGTERM)
	p.exit(0)
	if _, err := nc.Request("team.cache.foo", nil, patience); err != nats.ErrNoResponders {
		t.Errorf("after the stop: %v", err)
	}
	if log := p.Stderr.Text(); strings.Contains(log, "s3cret") || strings.Contains(log, "without a route") {
		t.Errorf("%s", log)
	}
}

// TestNATSFacePermissions: what docs/nats.md says may be done is enough, and less is told at the start.
func TestNATSFacePermissions(t *testing.T) {
	y := natsSystem(t)
	url := y.url
	as := func(who string) string {
		doc, err := os.ReadFile("../../docs/nats.md")
		if err != nil {
			t.Fatal(err)
		}
		row := regexp.MustCompile("(?m)^\\| " + who + " \\| `(.+)` \\| `(.+)` \\|$").FindStringSubmatch(string(doc))
		if row == nil {
			t.Fatalf("no row for %s", who)
		}
		return y.creds("cache", []string{row[1]}, []string{row[2]})
	}
	l := start(t, "leaf", "--name", "leaf-1", "--listen", "127.0.0.1:0", "--memory", "8MiB")
	leafURL := l.logged(0, "leaf ready")["url"].(string)
	p, _, _ := startProxy(t, oneLeaf(leafURL), "--nats-face", url, "--nats-face-creds", as("proxy"))
	nc := application(t, url, nats.UserCredentials(as("application")))
	if got := overNATS(t, nc, "cache.k", "v", "op:set"); got != "stored" {
		t.Error(got)
	}
	if log := p.Stderr.Text(); strings.Contains(strings.ToLower(log), "permissions violation") {
		t.Errorf("what the docs say may be done was not enough:\n%s", log)
	}
	q := start(t, "proxy", write(t, "routes.lua", oneLeaf(leafURL)), "--listen", "127.0.0.1:0", "--admin", "none", "--nats-face", url,
		"--nats-face-creds", as("application"))
	q.exit(1)
	if got := q.Stderr.Text(); !strings.Contains(got, `tidepool: cannot serve "cache.>" over NATS: nats: permissions violation`) {
		t.Errorf("%s", got)
	}
}

// TestDevNATSFace: a leaf's own server is NATS system enough to try it.
func TestDevNATSFace(t *testing.T) {
	free, err := proc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free[0])
	url := "nats://127.0.0.1:" + port
	p := start(t, "dev", "--leaves", "1", "--leaf-port", port, "--listen", "127.0.0.1:0", "--admin", "none", "--memory", "8MiB", "--nats-face", url)
	p.logged(0, "NATS face serves")
	p.Stdout.Find(0, patience, "Ctrl-C stops.")
	nc := application(t, url)
	for _, want := range []string{"miss", "stored"} {
		op, payload := "op:get", ""
		if want == "stored" {
			op, payload = "op:set", "bar"
		}
		if got := overNATS(t, nc, "cache.foo", payload, op); got != want {
			t.Errorf("%s: %q, want %q", op, got, want)
		}
	}
	if got := overNATS(t, nc, "cache.foo", "", "op:get"); got != "hit  bar" {
		t.Error(got)
	}
	p.signal(syscall.SIGTERM)
	p.exit(0)
}

// TestNATSFaceFlags: what cannot be meant is said before anything is opened, and routes that are missing at once.
func TestNATSFaceFlags(t *testing.T) {
	config, text := write(t, "routes.lua", oneLeaf("nats://127.0.0.1:1")), write(t, "text", "hello\n")
	f := func(code int, want string, args ...string) {
		t.Helper()
		p := start(t, append([]string{"proxy", config, "--listen", "127.0.0.1:0", "--admin", "none"}, args...)...)
		p.exit(code)
		if got := p.Stderr.Text(); !strings.Contains(got, want) || strings.Contains(got, "s3cret") {
			t.Errorf("%q: %s, want %q", args, got, want)
		}
	}
	f(2, "--nats-face-prefix goes with --nats-face", "--nats-face-prefix", "x")
	f(2, "--nats-face-tls-ca goes with --nats-face", "--nats-face-tls-ca", text)
	f(2, "a password in --nats-face shows", "--nats-face", "nats://u:s3cret@127.0.0.1:1")
	f(2, `invalid argument "a.>" for "--nats-face-prefix" flag: prefix "a.>" has a wildcard`, "--nats-face", "nats://127.0.0.1:1", "--nats-face-prefix", "a.>")
	f(2, `invalid argument "" for "--nats-face-prefix" flag: prefix "" has an empty token`, "--nats-face", "nats://127.0.0.1:1", "--nats-face-prefix", "")
	f(2, `invalid argument "ninechars" for "--nats-face-tag" flag`, "--nats-face", "nats://127.0.0.1:1", "--nats-face-tag", "ninechars")
	f(2, "want --nats-face-user and --nats-face-password-file together", "--nats-face", "nats://127.0.0.1:1", "--nats-face-user", "u")
	f(2, "want one of --nats-face-creds, --nats-face-nkey and --nats-face-user", "--nats-face", "nats://127.0.0.1:1", "--nats-face-creds", text, "--nats-face-nkey", text)
	f(1, `cannot connect to --nats-face: cannot use credentials "`+text+`"`, "--nats-face", "nats://127.0.0.1:1", "--nats-face-creds", text)

	p, addr, _ := startProxy(t, `
function mcp_config_pools() end
function mcp_config_routes() mcp.attach(mcp.CMD_GET, function() return "END\r\n" end) end`, "--nats-face", "nats://127.0.0.1:1")
	p.logged(0, "commands without a route go to the proxy's own store", `"NATS face cache.>"`, `["mg","ms","md","ma","touch"]`)
	p.logged(0, "NATS face: not connected yet, trying on")
	if got := talk(t, addr, "get k\r\n", 1); got != "END\r\n" { // without NATS the rest serves
		t.Errorf("%q", got)
	}
	p.signal(syscall.SIGTERM)
	p.exit(0)
}

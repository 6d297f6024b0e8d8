package access_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/tidepool-proxy/tidepool/leaf/access"
	"github.com/tidepool-proxy/tidepool/tests/pki"
)

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// failing checks an error against what it must say; FILE stands for the path. None of secrets may be in it.
func failing(t *testing.T, err error, path, want string, secrets ...string) {
	t.Helper()
	want = strings.ReplaceAll(want, "FILE", path)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
		return
	}
	for _, s := range secrets {
		if strings.Contains(err.Error(), s) {
			t.Errorf("a secret is told: %v", err)
		}
	}
}

func TestSecret(t *testing.T) {
	for text, want := range map[string]string{"s3": "s3", " s 3 \n": " s 3 ", "s3\r\n": "s3"} {
		if got, err := access.ReadSecret(file(t, text)); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{"": `"FILE" is empty`, " \n": `"FILE" is empty`, "s3cret\nx\n": `"FILE" has more than one line`} {
		path := file(t, text)
		_, err := access.ReadSecret(path)
		failing(t, err, path, want, "s3cret")
	}
	_, err := access.ReadSecret("/no/such")
	failing(t, err, "", "cannot read a password: open /no/such: no such file")
}

func TestUsers(t *testing.T) {
	got, err := access.ReadUsers(file(t, "# who\n\nproxy:s3:cret\n  other:$2a$11$"+strings.Repeat("x", 53)+"\n"))
	if err != nil || len(got) != 2 || got[0] != (access.User{Name: "proxy", Password: "s3:cret"}) || got[1].Name != "other" {
		t.Errorf("%+v, %v", got, err)
	}
	for text, want := range map[string]string{
		"":                      `cannot read users: "FILE" names nobody`,
		"a:s3cret\ns3cret":      "cannot read users: FILE:2: want name:password",
		":s3cret":               "FILE:1: want name:password",
		"#\na:":                 "FILE:2: want name:password",
		"a b:s3cret":            `FILE:1: user name "a b" holds a space`,
		"a:$2y$04$s3cret":       `FILE:1: the password of "a" begins like a bcrypt hash, but has 13 characters in place of 60`,
		"a:s3cret\n\na:s3cret2": `FILE:3: user "a" is there already`,
	} {
		path := file(t, text)
		_, err := access.ReadUsers(path)
		failing(t, err, path, want, "s3cret")
	}
}

func TestNKeys(t *testing.T) {
	kp, _ := nkeys.CreateUser()
	pub, _ := kp.PublicKey()
	seed, _ := kp.Seed()
	account, _ := nkeys.CreateAccount()
	accountPub, _ := account.PublicKey()
	got, err := access.ReadNKeys(file(t, "# who\n"+pub+" proxy in zone a\n"))
	if err != nil || len(got) != 1 || got[0] != pub {
		t.Errorf("%q, %v", got, err)
	}
	for text, want := range map[string]string{
		"":                      `cannot read nkeys: "FILE" names nobody`,
		"\nUABC":                `FILE:2: "UABC" is no public user nkey`,
		accountPub:              "is no public user nkey",
		pub + "\n" + pub + " x": "FILE:2: ",
		"# x\n" + string(seed):  "FILE:2: this is a seed, which is a secret",
	} {
		path := file(t, text)
		_, err := access.ReadNKeys(path)
		failing(t, err, path, want, string(seed))
	}
}

func TestTLSFiles(t *testing.T) {
	ca := pki.New(t)
	good, other, old := ca.Issue(t, time.Hour, "leaf"), ca.Issue(t, time.Hour, "leaf"), ca.Issue(t, -time.Minute, "leaf")
	text := file(t, "hello")
	server := func(f access.TLS, want string) {
		t.Helper()
		_, err := f.Server()
		if want == "" && err == nil {
			return
		}
		failing(t, err, f.Cert, want)
	}
	server(access.TLS{Cert: good.Cert, Key: good.Key}, "")
	server(access.TLS{Cert: good.Cert, Key: good.Key, CA: ca.File}, "")
	server(access.TLS{Cert: good.Cert}, "want a certificate and its key")
	server(access.TLS{CA: ca.File}, "want a certificate and its key")
	server(access.TLS{Cert: "/no/such", Key: good.Key}, "cannot read the certificate: open /no/such: ")
	server(access.TLS{Cert: good.Cert, Key: "/no/such"}, "cannot read the certificate's key: open /no/such: ")
	server(access.TLS{Cert: good.Cert, Key: other.Key}, `cannot use certificate "FILE" with key "`+other.Key+`": `)
	server(access.TLS{Cert: text, Key: good.Key}, `cannot use certificate "FILE"`)
	server(access.TLS{Cert: old.Cert, Key: old.Key}, `cannot use certificate "FILE": it expired at 2`)
	server(access.TLS{Cert: good.Cert, Key: good.Key, CA: text}, `cannot read the authorities' certificates: "`+text+`" holds none`)
	server(access.TLS{Cert: good.Cert, Key: good.Key, CA: "/no/such"}, "cannot read the authorities' certificates: open /no/such: ")

	_, err := access.TLS{Cert: good.Cert, Key: good.Key}.Route()
	failing(t, err, "", "without a CA anybody could be a server")
	for _, f := range []access.TLS{{Cert: old.Cert, Key: old.Key}, {CA: text}, {Cert: good.Cert, Key: other.Key}} {
		if _, err := f.Client(); err == nil {
			t.Errorf("%+v: no error", f)
		}
	}
}

func TestClientFiles(t *testing.T) {
	kp, _ := nkeys.CreateUser()
	seed, _ := kp.Seed()
	pub, _ := kp.PublicKey()
	account, _ := nkeys.CreateAccount()
	accountSeed, _ := account.Seed()
	creds := func(expires time.Time, seed []byte) string {
		c := jwt.NewUserClaims(pub)
		c.Expires = expires.Unix()
		token, err := c.Encode(account)
		if err != nil {
			t.Fatal(err)
		}
		b, err := jwt.FormatUserConfig(token, seed)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	later := time.Now().Add(time.Hour)
	whole := creds(later, seed)
	half, _, _ := strings.Cut(whole, "-----BEGIN USER NKEY")
	f := func(make func(path string) access.Client, text, want string) {
		t.Helper()
		path := file(t, text)
		auth, err := make(path).Auth()
		if want == "" {
			if err != nil || auth == nil {
				t.Errorf("%.30q: %v, %v", text, auth, err)
			}
			return
		}
		failing(t, err, path, want, string(seed), string(accountSeed))
	}
	byCreds := func(path string) access.Client { return access.Client{Creds: path} }
	byNKey := func(path string) access.Client { return access.Client{NKey: path} }
	byPassword := func(path string) access.Client { return access.Client{User: "u", PasswordFile: path} }
	f(byCreds, whole, "")
	f(byCreds, creds(time.Now().Add(-time.Hour), seed), `cannot use credentials "FILE": they expired at 2`)
	f(byCreds, half, `cannot use credentials "FILE": no user's seed (SU...) is in it`)
	f(byCreds, "hello", `cannot use credentials "FILE": no user's JWT is in it`)
	f(byCreds, string(seed), `cannot use credentials "FILE": no user's JWT is in it`)
	f(byNKey, string(seed), "")
	f(byNKey, "# mine\n"+string(seed)+"\n", "")
	f(byNKey, string(accountSeed), `cannot use nkey "FILE": no user's seed (SU...) is in it`)
	f(byNKey, pub, `cannot use nkey "FILE": no user's seed (SU...) is in it`)
	f(byNKey, "", `cannot use nkey "FILE": no user's seed (SU...) is in it`)
	f(byPassword, "s3cret", "")
	f(byPassword, "", `"FILE" is empty`)

	// An nkey is read once: its public part could not follow. (That all else is read again is tested with the real thing, in cmd/tidepool.)
	path := file(t, string(seed))
	auth, err := access.Client{NKey: path}.Auth()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, accountSeed, 0o600); err != nil {
		t.Fatal(err)
	}
	var o nats.Options
	if err := auth(&o); err != nil {
		t.Fatal(err)
	}
	sig, err := o.SignatureCB([]byte("nonce"))
	if err != nil || o.Nkey != pub || kp.Verify([]byte("nonce"), sig) != nil {
		t.Errorf("%q, want %q; %v", o.Nkey, pub, err)
	}

	for _, c := range []access.Client{{Creds: "/no/such"}, {NKey: "/no/such"}, {User: "u", PasswordFile: "/no/such"}} {
		_, err := c.Options()
		failing(t, err, "", "open /no/such: no such file")
	}
	if o, err := (access.Client{}).Options(); len(o) != 0 || err != nil {
		t.Errorf("nobody: %d options, %v", len(o), err)
	}
}

func TestExposed(t *testing.T) {
	path := file(t, "x")
	f := func(mode os.FileMode, want bool) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if got := access.Exposed(path); got != want {
			t.Errorf("%o: %v", mode, got)
		}
	}
	f(0o600, false)
	f(0o640, false)
	f(0o644, true)
	if access.Exposed("/no/such") {
		t.Error("a file that is not there is exposed")
	}
}

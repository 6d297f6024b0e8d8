// What cannot be is said at once; TLS, users.

package etcd

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/tests/etcdpeer"
	"github.com/tidepool-proxy/tidepool/tests/pki"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "no endpoints"},
		{Options{Endpoints: []string{"ftp://h"}}, `etcd endpoint "ftp://h"`},
		{Options{Endpoints: []string{"http://u:p@h:1"}}, `want host:port`},
		{Options{Endpoints: []string{"h:1/x"}}, `want host:port`},
		{Options{Endpoints: []string{"h:1", ""}}, `etcd endpoint "": want host:port`},
		{Options{Endpoints: []string{"h"}}, `etcd endpoint "h": want host:port`},
		{Options{Endpoints: []string{"https://h"}}, `etcd endpoint "https://h": want host:port`},
		{Options{Endpoints: []string{"h:"}}, `want host:port`},
		{Options{Endpoints: []string{":1"}}, `want host:port`},
		{Options{Endpoints: []string{"h:99999"}}, `want host:port`},
		{Options{Endpoints: []string{"::1:1"}}, `want host:port`},
		{Options{Endpoints: []string{"h:1"}, Prefix: "/"}, "etcd prefix"},
		{Options{Endpoints: []string{"h:1"}, Cert: "x"}, "go together"},
		{Options{Endpoints: []string{"h:1"}, Cert: "/dev/null", Key: "/none"}, `cannot use certificate "/dev/null" with key "/none" for etcd`},
		{Options{Endpoints: []string{"h:1"}, CA: "/none"}, "cannot read etcd's authorities"},
		{Options{Endpoints: []string{"h:1"}, CA: "/dev/null"}, `no certificate in "/dev/null"`},
		{Options{Endpoints: []string{"h:1"}, User: "u"}, "go together"},
		{Options{Endpoints: []string{"h:1"}, Proxy: &Proxy{ID: "a/b"}}, `proxy id "a/b"`},
	} {
		if s, err := New(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
			if s != nil {
				s.Close()
			}
		}
	}
	o, err := Options{Endpoints: []string{"h:1"}, Prefix: "a/b/", LeaseTTL: 1400 * time.Millisecond, Proxy: &Proxy{}}.withDefaults()
	if err != nil || o.Prefix != "/a/b" || o.LeaseTTL != time.Second || o.Proxy.ID == "" {
		t.Errorf("%+v, %v", o, err)
	}
	s := source(t, []string{"127.0.0.1:1"})
	if _, err := s.Register("a/b", leaf("l1")); err == nil {
		t.Error("a pool of a name that cannot be")
	}
	if _, err := s.Register("users", topo.Member{Name: "l1"}); err == nil {
		t.Error("a leaf without an address")
	}
	r, err := s.Register("users", leaf("l1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetState("gone"); err == nil || r.Member().State != "" {
		t.Errorf("a state that cannot be: %v", err)
	}
}

// TestTLS: both ends show certificates, and another prefix is another world.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca := pki.New(t)
	server, client := ca.Issue(t, time.Hour, "127.0.0.1"), ca.Issue(t, time.Hour, "proxy")
	c := etcdpeer.Start(t, 1, "--listen-client-urls", "https://{client}", "--advertise-client-urls", "https://{client}",
		"--cert-file", server.Cert, "--key-file", server.Key, "--trusted-ca-file", ca.File, "--client-cert-auth")
	with := func(o *Options) { o.Cert, o.Key, o.CA = client.Cert, client.Key, ca.File }
	a := source(t, []string{"https://" + c.Endpoints()[0]}, proxy("a"), with)
	other := source(t, c.Endpoints(), proxy("a"), with, func(o *Options) { o.Prefix = "/elsewhere/deep" })
	w, wo := watch(t, a, "users"), watch(t, other, "users")
	register(t, a, "users", "l1")
	register(t, other, "users", "l2")
	w.members("l1")
	wo.members("l2")
	bare := source(t, c.Endpoints(), func(o *Options) { o.CA = ca.File })
	eventually(t, "who shows none to be refused", func() bool { return bare.Status().LastError != "" && !bare.Status().Connected })
}

// TestUsers: a user who may only touch the prefix, and whose token runs out all the time.
func TestUsers(t *testing.T) {
	t.Parallel()
	pub, priv := keyPair(t)
	c := etcdpeer.Start(t, 1, "--auth-token", fmt.Sprintf("jwt,pub-key=%s,priv-key=%s,sign-method=RS256,ttl=1s", pub, priv), "--bcrypt-cost", "4")
	direct, ctx := raw(t, c.Endpoints()), background(t)
	for _, err := range []error{
		second(direct.UserAdd(ctx, "root", "root")), second(direct.UserGrantRole(ctx, "root", "root")),
		second(direct.UserAdd(ctx, "pool", "secret")), second(direct.RoleAdd(ctx, "pool")), second(direct.UserGrantRole(ctx, "pool", "pool")),
		second(direct.RoleGrantPermission(ctx, "pool", "/tidepool/", "/tidepool0", 2)),
		second(direct.UserAdd(ctx, "shy", "secret")), second(direct.RoleAdd(ctx, "shy")), second(direct.UserGrantRole(ctx, "shy", "shy")),
		second(direct.RoleGrantPermission(ctx, "shy", "/tidepool/", "/tidepool0", 0)), second(direct.AuthEnable(ctx)),
	} {
		if err != nil && !strings.Contains(err.Error(), "root") {
			t.Fatal(err)
		}
	}
	as := func(user, password string) func(*Options) {
		return func(o *Options) { o.User, o.Password = user, password }
	}
	a := source(t, c.Endpoints(), proxy("a"), as("pool", "secret"))
	w := watch(t, a, "users")
	wrong, none := source(t, c.Endpoints(), as("pool", "guess")), source(t, c.Endpoints())
	r := register(t, a, "users", "l1")[0]
	w.members("l1")
	for _, s := range []*Source{wrong, none} {
		eventually(t, "who may not to be refused", func() bool { return s.Status().LastError != "" && !s.Status().Connected })
	}
	// One that may not even say that it is there is told all the same, a little later.
	watch(t, source(t, c.Endpoints(), proxy("shy"), as("shy", "secret")), "users").members("l1")
	// The token is good for a second; each of those takes one of its own, in etcd's time.
	for i := range 3 {
		began := time.Now()
		eventually(t, "the token to run out", func() bool { return time.Since(began) > 1200*time.Millisecond })
		name := fmt.Sprint("l", i+2)
		register(t, a, "users", name)
		w.await(name, func(s topo.Snapshot) bool { return find(s.Members, name) != nil })
	}
	awaitRegistered(t, r)
	w.never("somebody was lost", func(s topo.Snapshot) bool { return len(s.Lost) > 0 })
}

// second gives the error of a call that gives two things.
func second[T any](_ T, err error) error { return err }

// keyPair makes RSA keys as etcd wants them for its tokens.
func keyPair(t *testing.T) (pub, priv string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pub, priv = filepath.Join(dir, "pub.pem"), filepath.Join(dir, "priv.pem")
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		pub:  {Type: "PUBLIC KEY", Bytes: der},
		priv: {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return pub, priv
}

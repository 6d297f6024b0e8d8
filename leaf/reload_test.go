package leaf

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/tidepool-proxy/tidepool/leaf/access"
	"github.com/tidepool-proxy/tidepool/tests/pki"
)

// user makes an nkey: its public part, and what presents it.
func user(t *testing.T) (pub string, o nats.Option) {
	t.Helper()
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, err = kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return pub, nats.Nkey(pub, kp.Sign)
}

// refused wants a connection that is not let in.
func refused(t *testing.T, l *Leaf, want string, opts ...nats.Option) {
	t.Helper()
	nc, err := nats.Connect("nats://"+l.Addr(), opts...)
	if err == nil {
		nc.Close()
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func serves(t *testing.T, p *proxy, id uint64) {
	t.Helper()
	p.frame(id, "mn\r\n")
	p.want(id, "MN\r\n")
}

func TestUsersAndNKeys(t *testing.T) {
	const hash = "$2a$04$FpUGegQJaZasLvLDGQc8x.KbGIqC1.8QcpEdn2JPZdoMsq8LkbSZ2" // bcrypt, of "hashed"
	pub, known := user(t)
	_, unknown := user(t)
	l := start(t, Options{
		User: "one", Password: "1", Users: []access.User{{Name: "two", Password: "2"}, {Name: "three", Password: hash}}, NKeys: []string{pub},
	})
	for i, o := range []nats.Option{known, nats.UserInfo("one", "1"), nats.UserInfo("two", "2"), nats.UserInfo("three", "hashed")} {
		serves(t, dial(t, l, o), uint64(i))
	}
	for _, o := range []nats.Option{unknown, nats.UserInfo("one", "2"), nats.UserInfo("three", hash), nats.Token("1"), nats.Name("nobody")} {
		refused(t, l, "Authorization Violation", o)
	}
}

// TestReload: who may no longer is cut off, others stay; certificates are replaced; the leaf's own connection never ends.
func TestReload(t *testing.T) {
	ca := pki.New(t)
	pair := ca.Issue(t, time.Hour, "leaf")
	files := access.TLS{Cert: pair.Cert, Key: pair.Key, CA: ca.File}
	server := func() *tls.Config {
		c, err := files.Server()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	client := func(name string) nats.Option {
		mine := ca.Issue(t, time.Hour, "proxy")
		cert, err := tls.LoadX509KeyPair(mine.Cert, mine.Key)
		if err != nil {
			t.Fatal(err)
		}
		return nats.Secure(&tls.Config{RootCAs: server().ClientCAs, ServerName: name, Certificates: []tls.Certificate{cert}})
	}
	pubA, asA := user(t)
	pubB, asB := user(t)
	l := start(t, Options{TLS: server(), NKeys: []string{pubA, pubB}, Users: []access.User{{Name: "u", Password: "old"}}})
	own, _ := l.nc.GetClientID()
	a := dial(t, l, asA, client("leaf"))
	b := dial(t, l, asB, client("leaf"), nats.NoReconnect())
	serves(t, a, 1)
	serves(t, b, 1)
	refused(t, l, "tls", asA, nats.Secure(&tls.Config{RootCAs: server().ClientCAs, ServerName: "leaf"}))

	ca.Renew(t, pair, time.Hour, "renewed")
	if err := l.Reload(Options{TLS: server(), NKeys: []string{pubA}, Users: []access.User{{Name: "u", Password: "new"}}}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "b is cut off", b.nc.IsClosed)
	serves(t, a, 2)
	if n := a.nc.Stats().Reconnects; n != 0 {
		t.Errorf("a, to whom nothing changed, reconnected %d times", n)
	}
	if now, _ := l.nc.GetClientID(); now != own || l.nc.Stats().Reconnects != 0 {
		t.Error("the leaf's own connection was cut")
	}
	refused(t, l, "Authorization Violation", asB, client("renewed"))
	refused(t, l, "Authorization Violation", nats.UserInfo("u", "old"), client("renewed"))
	refused(t, l, "certificate is valid for renewed, not leaf", asA, client("leaf"))
	serves(t, dial(t, l, nats.UserInfo("u", "new"), client("renewed")), 3)

	for name, o := range map[string]Options{
		"settled when the leaf starts":  {TLS: server()},
		"settled when the leaf starts ": {NKeys: []string{pubA}},
	} {
		if err := l.Reload(o); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%v, want %q", err, name)
		}
	}
	serves(t, a, 4)
}

// TestClusterReload: routes stay when the cluster's certificate is replaced, and are made with the new one.
func TestClusterReload(t *testing.T) {
	ca := pki.New(t)
	pair := ca.Issue(t, time.Hour, "127.0.0.1")
	route := func() *tls.Config {
		c, err := access.TLS{Cert: pair.Cert, Key: pair.Key, CA: ca.File}.Route()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a := start(t, Options{Name: "a", Settle: time.Millisecond, Cluster: Cluster{Listen: "127.0.0.1:0", TLS: route()}})
	b := start(t, Options{Name: "b", Settle: time.Millisecond, Cluster: Cluster{Listen: "127.0.0.1:0", TLS: route(), Routes: []string{a.ClusterAddr()}}})
	waitFor(t, "a route", func() bool { return a.Routes() == 1 && b.Routes() == 1 })
	ca.Renew(t, pair, time.Hour, "127.0.0.1")
	o := Options{}
	o.Cluster.TLS = route()
	if err := a.Reload(o); err != nil {
		t.Fatal(err)
	}
	if a.Routes() != 1 {
		t.Error("the route was cut")
	}
	c := start(t, Options{Name: "c", Settle: time.Millisecond, Cluster: Cluster{Listen: "127.0.0.1:0", TLS: route(), Routes: []string{a.ClusterAddr()}}})
	waitFor(t, "routes of c", func() bool { return c.Routes() == 2 })

	// One whose certificate others have not signed makes no route, nor does one who says another password.
	stranger := pki.New(t)
	pair, ca = stranger.Issue(t, time.Hour, "127.0.0.1"), stranger
	d := start(t, Options{Name: "d", Settle: 100 * time.Millisecond, Cluster: Cluster{Listen: "127.0.0.1:0", TLS: route(), Routes: []string{a.ClusterAddr()}}})
	if d.Routes() != 0 || a.Routes() != 2 {
		t.Errorf("d has %d routes, a %d", d.Routes(), a.Routes())
	}
}

func TestClusterOptions(t *testing.T) {
	mutual := &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert}
	f := func(o Options, want string) {
		t.Helper()
		o.Name = "a"
		_, err := o.withDefaults()
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o.Cluster, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("a password is told: %v", err)
		}
	}
	f(Options{Cluster: Cluster{Listen: "127.0.0.1:0", Routes: []string{"h:1", "nats://h:2", "[::1]:3"}}}, "")
	f(Options{Cluster: Cluster{Routes: []string{"h:1"}}}, "want an address where those reach this one")
	f(Options{Cluster: Cluster{Listen: "127.0.0.1:0", Routes: []string{"h"}}}, `route "h": want host:port`)
	f(Options{Cluster: Cluster{Listen: "127.0.0.1:0", Routes: []string{"http://h:1"}}}, `route "http://h:1": want host:port`)
	f(Options{Cluster: Cluster{Listen: "127.0.0.1:0", Routes: []string{"nats://u:s3cret@h:1"}}}, "holds a password")
	f(Options{Cluster: Cluster{Listen: "nonsense"}}, `cannot listen on "nonsense"`)
	f(Options{Cluster: Cluster{Listen: "127.0.0.1:0", Name: "a b"}}, `cluster name "a b" holds a space`)
	f(Options{NATS: "nats://h:1", Cluster: Cluster{Listen: "127.0.0.1:0"}}, "has no routes of its own")
	f(Options{Cluster: Cluster{Listen: "0.0.0.0:0"}}, ErrInsecure.Error())
	f(Options{Cluster: Cluster{Listen: "0.0.0.0:0", TLS: &tls.Config{}}}, ErrInsecure.Error()) // anybody may connect to that
	f(Options{User: "u", Cluster: Cluster{Listen: "0.0.0.0:0"}}, ErrInsecure.Error())          // of clients that is
	f(Options{Cluster: Cluster{Listen: "0.0.0.0:0", TLS: mutual}}, "")
	f(Options{Cluster: Cluster{Listen: "0.0.0.0:0", Password: "s3cret"}}, "")
	f(Options{Insecure: true, Cluster: Cluster{Listen: "0.0.0.0:0"}}, "")
	f(Options{Token: "s3cret", NKeys: []string{"U"}}, "a token cannot be had together with users or nkeys")
	f(Options{User: "u", Users: []access.User{{Name: "u"}}}, `user "u" is there twice`)
}

// TestClusterAdvertise: what other leaves are told is where this one listens, not where its connections come from.
func TestClusterAdvertise(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.2:6301": "127.0.0.2:6301", "[fd00::1]:0": "[fd00::1]:0", "cache-1:6301": "cache-1:6301",
		"0.0.0.0:6301": "", ":6301": "", "[::]:6301": "",
	} {
		if o, _ := (&Cluster{Listen: in}).options(); o.Advertise != want {
			t.Errorf("%q: %q, want %q", in, o.Advertise, want)
		}
	}
	if o, _ := (&Cluster{Listen: "127.0.0.2:1", Advertise: "outside:2"}).options(); o.Advertise != "outside:2" {
		t.Errorf("%q", o.Advertise)
	}
}

// TestJoinedURL is what a leaf says of itself that joined a NATS system: no password, and a form that pools take.
func TestJoinedURL(t *testing.T) {
	for in, want := range map[string]string{
		"nats://h:1":                 "nats://h:1/a",
		"nats://u:s3cret@h:1":        "nats://h:1/a",
		"nats://u:p@h:1,nats://i:2/": "nats://h:1,i:2/a",
		"tls://h":                    "tls://h:4222/a",
		"u:p@h:1":                    "nats://h:1/a",
	} {
		if got := joined(in, "a"); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

package leafnats

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// startCluster runs leaves a, b and c, whose servers have routes to each other: b and c know a alone, and find each other by it.
func startCluster(t *testing.T, o leaf.Options) (a, b, c *leaf.Leaf) {
	t.Helper()
	one := func(name string, routes ...string) *leaf.Leaf {
		o := o
		o.Name, o.Cluster.Listen, o.Cluster.Routes, o.Settle = name, "127.0.0.1:0", routes, 50*time.Millisecond
		return startLeaf(t, o)
	}
	a = one("a")
	b, c = one("b", a.ClusterAddr()), one("c", a.ClusterAddr())
	for _, l := range []*leaf.Leaf{a, b, c} {
		waitFor(t, "routes of "+l.Name(), func() bool { return l.Routes() == 2 })
	}
	return a, b, c
}

func waitFor(t *testing.T, what string, f func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("never: %s", what)
		}
	}
}

// eventually asks until the answer is want.
func eventually(t *testing.T, b *Backend, req, want string) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%s answers %.20q with %q", b.Name(), req, want), func() bool { return newClient(t, 0).do(b, req) == want })
}

// through is a backend for the leaf of that name on a connection that others share.
func through(t *testing.T, conns *Conns, servers, name string) *Backend {
	t.Helper()
	return startBackend(t, Options{
		URL: "nats://" + servers + "/" + name, Conns: conns, HelloInterval: 100 * time.Millisecond, HelloLimit: 2 * time.Second, Timeout: 5 * time.Second,
		Health: backend.HealthOptions{RetryMin: 100 * time.Millisecond},
	})
}

// TestClusterOneConnection: one connection, to one server, reaches the leaves of all, and goes on at another server when that one
// ends. Nobody named the other to it.
func TestClusterOneConnection(t *testing.T) {
	a, b, c := startCluster(t, leaf.Options{})
	conns := NewConns(Access{})
	toB, toC := through(t, conns, a.Addr(), "b"), through(t, conns, a.Addr(), "c")
	for _, x := range []*Backend{toB, toC} {
		if got := newClient(t, 0).do(x, set("k", x.Name())); got != "STORED\r\n" {
			t.Errorf("%s: %q", x.Name(), got)
		}
	}
	for _, x := range []*Backend{toB, toC} {
		if got := newClient(t, 0).do(x, "get k\r\n"); got != hit("k", x.Name()) {
			t.Errorf("%s: %q", x.Name(), got)
		}
	}
	if n := len(conns.m); n != 1 {
		t.Fatalf("%d connections", n)
	}
	if b.Stats().Requests != 2 || c.Stats().Requests != 2 || a.Stats().Requests != 0 {
		t.Errorf("requests %d %d %d, want 0 2 2", a.Stats().Requests, b.Stats().Requests, c.Stats().Requests)
	}
	_ = a.Close(cut)
	eventually(t, toB, "get k\r\n", hit("k", "b"))
	eventually(t, toC, "get k\r\n", hit("k", "c"))
	if n := len(conns.m); n != 1 {
		t.Errorf("%d connections after the server has ended", n)
	}
}

// TestClusterAuth: who a URL names is presented to servers that were found out, too.
func TestClusterAuth(t *testing.T) {
	a, _, _ := startCluster(t, leaf.Options{User: "u", Password: "p%", Cluster: leaf.Cluster{Password: "between leaves"}})
	to := through(t, NewConns(Access{}), "u:p%25@"+a.Addr(), "b")
	if got := newClient(t, 0).do(to, set("k", "v")); got != "STORED\r\n" {
		t.Errorf("%q", got)
	}
	_ = a.Close(cut)
	eventually(t, to, "get k\r\n", hit("k", "v"))
}

// TestSecondServer: a proxy that starts while the first server is away takes the next.
func TestSecondServer(t *testing.T) {
	_, b, _ := startCluster(t, leaf.Options{})
	to := through(t, NewConns(Access{}), freePort(t)+","+b.Addr(), "c")
	if got := newClient(t, 0).do(to, set("k", "v")); got != "STORED\r\n" {
		t.Errorf("%q", got)
	}
}

// TestClusterNameIsTaken: servers of one name make no route to each other, and still the second leaf of a name hears of the first.
func TestClusterNameIsTaken(t *testing.T) {
	a, b, _ := startCluster(t, leaf.Options{})
	again := func(name, route string) error {
		l, err := leaf.Start(context.Background(), leaf.Options{
			Name: name, Settle: 2 * time.Second, Cluster: leaf.Cluster{Listen: "127.0.0.1:0", Routes: []string{route}},
		})
		if err == nil {
			_ = l.Close(cut)
		}
		return err
	}
	if err := again("c", a.ClusterAddr()); !errors.Is(err, leaf.ErrNameTaken) {
		t.Errorf("a second c by way of a: %v", err)
	}
	if err := again("a", b.ClusterAddr()); !errors.Is(err, leaf.ErrNameTaken) {
		t.Errorf("a second a by way of b: %v", err)
	}
}

// TestRouteHeals: while two leaves cannot reach each other a proxy at the one loses the other alone, and has it back when they can.
func TestRouteHeals(t *testing.T) {
	one := func(name, route string) *leaf.Leaf {
		o := leaf.Options{Name: name, Settle: 20 * time.Millisecond, Cluster: leaf.Cluster{Listen: "127.0.0.1:0", Advertise: freePort(t)}}
		if route != "" {
			o.Cluster.Routes = []string{route}
		}
		return startLeaf(t, o)
	}
	a := one("a", "")
	r := newCable(t, a.ClusterAddr())
	b := one("b", r.addr())
	waitFor(t, "a route", func() bool { return a.Routes() == 1 && b.Routes() == 1 })
	conns := NewConns(Access{})
	toA, toB := through(t, conns, a.Addr(), "a"), through(t, conns, a.Addr(), "b")
	for _, x := range []*Backend{toA, toB} {
		if got := newClient(t, 0).do(x, set("k", "v")); got != "STORED\r\n" {
			t.Fatalf("%s: %q", x.Name(), got)
		}
	}
	r.cut()
	waitFor(t, "b is down", func() bool { return !toB.Status().Up })
	if got := newClient(t, 0).do(toA, "get k\r\n"); got != hit("k", "v") {
		t.Errorf("a, to which nothing happened: %q", got)
	}
	if got := newClient(t, 0).do(toB, "get k\r\n"); !strings.HasPrefix(got, "ERR ") {
		t.Errorf("b: %q", got)
	}
	r.heal()
	eventually(t, toB, "get k\r\n", hit("k", "v"))
}

// cable passes connections on, while it is not cut.
type cable struct {
	l  net.Listener
	to string

	mu   sync.Mutex
	down bool
	open []net.Conn
	wg   sync.WaitGroup
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &cable{l: l, to: to}
	r.wg.Go(r.accept)
	t.Cleanup(func() {
		_ = l.Close()
		r.cut()
		r.wg.Wait()
	})
	return r
}

func (r *cable) addr() string { return r.l.Addr().String() }

func (r *cable) accept() {
	for {
		in, err := r.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", r.to)
		r.mu.Lock()
		if err != nil || r.down {
			_ = in.Close()
			if out != nil {
				_ = out.Close()
			}
			r.mu.Unlock()
			continue
		}
		r.open = append(r.open, in, out)
		r.mu.Unlock()
		pass := func(to, from net.Conn) {
			_, _ = io.Copy(to, from)
			_ = to.Close()
			_ = from.Close()
		}
		r.wg.Go(func() { pass(in, out) })
		r.wg.Go(func() { pass(out, in) })
	}
}

func (r *cable) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = true
	for _, c := range r.open {
		_ = c.Close()
	}
	r.open = nil
}

func (r *cable) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = false
}

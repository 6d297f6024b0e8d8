package leafnats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools/backend"
	"github.com/tidepool-proxy/tidepool/tests/natsd"
)

// gate holds a leaf's execution of one key until it is opened, and notes what is executed.
type gate struct {
	local *leaf.Local
	key   string
	open  chan struct{}
	in    chan struct{} // one token: the key's request is being executed

	mu  sync.Mutex
	ran []string
}

func newGate(t *testing.T, key string) *gate {
	local, err := leaf.NewLocal(leaf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(local.Close)
	return &gate{local: local, key: key, open: make(chan struct{}), in: make(chan struct{}, 100)}
}

func (g *gate) exec(r *mc.Request, dst []byte) []byte {
	if string(r.Key) == g.key {
		g.in <- struct{}{}
		<-g.open
	}
	g.mu.Lock()
	g.ran = append(g.ran, string(r.Line))
	g.mu.Unlock()
	return g.local.Exec(r, dst)
}

func (g *gate) executed(line string) (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.ran {
		if s == line {
			n++
		}
	}
	return n
}

// TestLateAnswerIsNobodys: a request times out, its answer comes later, and the next request is not given it.
func TestLateAnswerIsNobodys(t *testing.T) {
	g := newGate(t, "slow")
	var ahead atomic.Int64 // of the leaf's clock
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	l, b := pair(t, leaf.Options{Exec: g.exec, Lanes: 1, Now: now}, Options{Timeout: 300 * time.Millisecond})
	c := newClient(t, 0)
	c.do(b, set("fast", "right"))
	c.send(b, 0, request(t, set("slow", "x")))
	<-g.in
	// Waits behind the slow one and is past its time when the leaf comes to it: never executed.
	c.send(b, 1, request(t, set("late", "y")))
	for i, p := range c.take(2) {
		if !errors.Is(p.Err, backend.ErrTimeout) {
			t.Errorf("request %d: %v, want a timeout", i, p.Err)
		}
	}
	before := b.Status()
	if before.Queued != 0 {
		t.Errorf("still queued: %d", before.Queued)
	}
	ahead.Store(int64(time.Second)) // its time begins when it arrives, a moment after ours
	close(g.open)
	for got := ""; got != hit("fast", "right"); {
		if got = c.do(b, "get fast\r\n"); !strings.HasPrefix(got, "ERR ") && got != hit("fast", "right") {
			t.Fatalf("got %q", got)
		}
	}
	if n := g.executed("set late 0 0 1"); n != 0 {
		t.Errorf("expired request executed %d times", n)
	}
	if n := l.Stats().Refused[frame.ReasonExpired]; n != 1 {
		t.Errorf("%d frames refused as expired, want 1", n)
	}
}

// TestSilentLeafIsMarkedBad: timeouts in a row end in ErrDown without waiting; a hello after the probe's time brings it back.
func TestSilentLeafIsMarkedBad(t *testing.T) {
	g := newGate(t, "slow")
	ev := newEvents()
	b := startBackend(t, Options{
		URL:     startLeaf(t, leaf.Options{Exec: g.exec, Lanes: 1}).URL(),
		Timeout: 50 * time.Millisecond, HelloInterval: 20 * time.Millisecond, HelloLimit: patience, OnEvent: ev.on,
		Health: backend.HealthOptions{FailureLimit: 1, RetryMin: 100 * time.Millisecond},
	})
	ev.wait(t, backend.EventConnected)
	c := newClient(t, 0)
	for i := 0; ; i++ {
		got := c.do(b, "get slow\r\n")
		if got == "ERR "+backend.ErrDown.Error() {
			break
		}
		if got != "ERR "+backend.ErrTimeout.Error() || i > 100 {
			t.Fatalf("request %d: %q", i, got)
		}
	}
	if bad := ev.wait(t, backend.EventMarkedBad); bad.Retry < 100*time.Millisecond {
		t.Errorf("%+v", bad)
	}
	if s := b.Status(); s.Up || s.Bad != 1 || s.MarkedBad != 1 {
		t.Errorf("status %+v", s)
	}
	close(g.open)
	ev.wait(t, backend.EventConnected)
	if s := b.Status(); s.Opened != 1 {
		t.Errorf("status %+v: want the same connection", s)
	}
}

// TestHeldKeeper: a process that was stopped does not take its own silence for the leaf's.
func TestHeldKeeper(t *testing.T) {
	_, b := pair(t, leaf.Options{}, Options{HelloInterval: time.Hour, HelloLimit: 3 * time.Hour})
	ago := func(d time.Duration) int64 { return backend.Now() - int64(d) }
	look := func(greeted, heard int64) bool {
		b.mu.Lock()
		b.greeted, b.sess.heard, b.helloDue = greeted, heard, false
		nc := b.nc
		b.nc = nil // so that the leaf is not greeted, and does not answer
		b.mu.Unlock()
		b.greet()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.nc = nc
		return b.up
	}
	if !look(ago(4*time.Hour), ago(4*time.Hour)) {
		t.Error("held up for four hours, it finds the leaf silent")
	}
	b.mu.Lock()
	heard := b.sess.heard
	b.mu.Unlock()
	if heard < ago(2*time.Hour+time.Minute) || heard > ago(2*time.Hour-time.Minute) {
		t.Errorf("the leaf has %v to answer, want an interval", time.Duration(heard-ago(3*time.Hour)))
	}
	if look(ago(time.Hour), ago(4*time.Hour)) {
		t.Error("greeted every hour, a leaf that was silent for four is up")
	}
}

// TestRestart: a leaf is replaced under load. While it is away there are errors, never a wrong answer; nothing that was sent to the
// first is executed by the second.
func TestRestart(t *testing.T) {
	for _, how := range []struct {
		name string
		ctx  context.Context
	}{{"killed", cut}, {"drained", context.Background()}} {
		t.Run(how.name, func(t *testing.T) { restart(t, how.ctx) })
	}
}

func restart(t *testing.T, ctx context.Context) {
	var era atomic.Int64     // of the leaf that may execute
	var turning sync.RWMutex // held to write while the era changes: what was sent before was sent in the era that it names
	var crossed atomic.Int64
	options := func(addr string, mine int64) leaf.Options {
		local, err := leaf.NewLocal(leaf.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(local.Close)
		return leaf.Options{Name: "leaf-1", Listen: addr, Exec: func(r *mc.Request, dst []byte) []byte {
			if string(r.Token(2)) != "" && r.Cmd == mc.CmdSet && string(r.Token(2)) != fmt.Sprint(mine) {
				crossed.Add(1)
			}
			return local.Exec(r, dst)
		}}
	}
	addr := freePort(t)
	ev := newEvents()
	first := startLeaf(t, options(addr, 0))
	b := startBackend(t, Options{URL: first.URL(), HelloInterval: 50 * time.Millisecond, OnEvent: ev.on})
	ev.wait(t, backend.EventConnected)

	stop := make(chan struct{})
	var wg sync.WaitGroup
	var good, failed [2]atomic.Int64
	for n := range 4 {
		wg.Go(func() {
			c := newClient(t, uint32(n))
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				const depth = 8
				turning.RLock()
				e := era.Load()
				for j := range depth {
					key := fmt.Sprintf("k%d.%d", n, j)
					c.send(b, 2*j, request(t, fmt.Sprintf("set %s %d 0 6\r\n%06d\r\n", key, e, i)))
					c.send(b, 2*j+1, request(t, "get "+key+"\r\n"))
				}
				turning.RUnlock()
				got := c.take(2 * depth)
				for j := range depth {
					if got[2*j].Err != nil || got[2*j+1].Err != nil {
						failed[e].Add(1)
						continue
					}
					want := fmt.Sprintf("VALUE k%d.%d %d 6\r\n%06d\r\nEND\r\n", n, j, e, i)
					if s := text(got[2*j+1]); s != want {
						t.Errorf("got %q, want %q", s, want)
						return
					}
					good[e].Add(1)
				}
			}
		})
	}
	until := func(what string, f func() bool) {
		for limit := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("never %s", what)
			}
		}
	}
	until("served", func() bool { return good[0].Load() > 100 })
	_ = first.Close(ctx)
	until("failed", func() bool { return failed[0].Load() > 0 })
	turning.Lock()
	era.Store(1)
	turning.Unlock()
	startLeaf(t, options(addr, 1))
	until("served again", func() bool { return good[1].Load() > 100 })
	close(stop)
	wg.Wait()
	if n := crossed.Load(); n != 0 {
		t.Errorf("%d sets of the first leaf's time executed by the second", n)
	}
	if s := b.Status(); s.Opened != 2 || s.Queued != 0 {
		t.Errorf("status %+v: want two connections in all, nothing queued", s)
	}
}

// natsServer runs a plain NATS server, as a user's own would be.
func natsServer(t *testing.T) (*server.Server, string) {
	t.Helper()
	s := natsd.Start(t)
	return s, s.ClientURL()
}

// TestNewInstanceOnTheSameConnection: the leaf is restarted, the NATS server between is not, so that only hello tells.
func TestNewInstanceOnTheSameConnection(t *testing.T) {
	srv, url := natsServer(t)
	own := srv.NumSubscriptions()
	g := newGate(t, "slow")
	first := startLeaf(t, leaf.Options{NATS: url, Settle: 1, Exec: g.exec})
	ev := newEvents()
	b := startBackend(t, Options{URL: url + "/leaf-1", HelloInterval: 20 * time.Millisecond, HelloLimit: patience, Timeout: patience, OnEvent: ev.on})
	ev.wait(t, backend.EventConnected)
	c := newClient(t, 0)
	c.send(b, 1, request(t, "incr slow 1\r\n"))
	<-g.in
	stopped := make(chan struct{})
	go func() { defer close(stopped); _ = first.Close(cut) }()
	defer func() { close(g.open); <-stopped }()
	// The old one's subscriptions are gone when the server says so; then the name is free.
	for srv.NumSubscriptions() > own+1 {
		time.Sleep(time.Millisecond)
	}
	startLeaf(t, leaf.Options{NATS: url, Settle: 1})
	if p := c.take(1)[1]; !errors.Is(p.Err, backend.ErrDisconnected) {
		t.Errorf("request to the old instance: %v", p.Err)
	}
	for got := ""; got != "NOT_FOUND\r\n"; {
		if got = c.do(b, "incr slow 1\r\n"); !strings.HasPrefix(got, "ERR ") && got != "NOT_FOUND\r\n" {
			t.Fatalf("got %q", got)
		}
	}
	if s := b.Status(); s.Opened != 1 {
		t.Errorf("status %+v: want one connection", s)
	}
}

// TestOneConnectionForManyLeaves: backends that reach their leaves through one server share the connection, and the last closes it.
func TestOneConnectionForManyLeaves(t *testing.T) {
	srv, url := natsServer(t)
	conns := NewConns(Access{})
	var all []*Backend
	for i := range 3 {
		name := fmt.Sprint("leaf-", i)
		startLeaf(t, leaf.Options{Name: name, NATS: url, Settle: 1})
		b := startBackend(t, Options{URL: url, LeafName: name, Conns: conns})
		all = append(all, b)
		c := newClient(t, 0)
		if got := c.do(b, set("k", name)); got != "STORED\r\n" {
			t.Fatalf("%s: %q", name, got)
		}
	}
	for i, b := range all {
		if got := newClient(t, 0).do(b, "get k\r\n"); got != hit("k", fmt.Sprint("leaf-", i)) {
			t.Errorf("leaf %d: %q", i, got)
		}
	}
	if n := srv.NumClients(); n != 4 {
		t.Errorf("%d clients, want three leaves and one proxy", n)
	}
	if w := all[0].window(); w != defaultWindow {
		t.Errorf("window of one of three: %d", w)
	}
	for i, b := range all {
		if len(conns.m) != 1 {
			t.Errorf("%d connections before closing %d", len(conns.m), i)
		}
		_ = b.Close()
	}
	if len(conns.m) != 0 {
		t.Errorf("%d connections after the last", len(conns.m))
	}
}

func TestCloseAnswersEverything(t *testing.T) {
	g := newGate(t, "slow")
	_, b := pair(t, leaf.Options{Exec: g.exec, Lanes: 1}, Options{Timeout: patience})
	defer close(g.open)
	c := newClient(t, 0)
	for i := range 10 {
		c.send(b, i, request(t, "get slow\r\n"))
	}
	<-g.in
	for i := 10; i < 20; i++ {
		c.send(b, i, request(t, "get slow\r\n"))
	}
	_ = b.Close()
	c.send(b, 20, request(t, "get slow\r\n"))
	for i, p := range c.take(21) {
		if !errors.Is(p.Err, backend.ErrClosed) {
			t.Errorf("request %d: %v", i, p.Err)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	addr := freePort(t)
	ev := newEvents()
	b := startBackend(t, Options{URL: "nats://" + addr, OnEvent: ev.on})
	c := newClient(t, 0)
	c.send(b, 0, request(t, "get early\r\n")) // may wait for the first attempt, no longer
	ev.wait(t, backend.EventConnecting)
	c.send(b, 1, request(t, "get a\r\n"))
	got := c.take(2)
	if !errors.Is(got[0].Err, backend.ErrDisconnected) && !errors.Is(got[0].Err, backend.ErrDown) {
		t.Errorf("before it was known: %v", got[0].Err)
	}
	if !errors.Is(got[1].Err, backend.ErrDown) {
		t.Errorf("after: %v", got[1].Err)
	}
	startLeaf(t, leaf.Options{Listen: addr})
	ev.wait(t, backend.EventConnected)
	if got := c.do(b, "get a\r\n"); got != "END\r\n" {
		t.Errorf("when it came: %q", got)
	}
}

func TestNoLeafAtThatServer(t *testing.T) {
	_, url := natsServer(t)
	b := startBackend(t, Options{URL: url, Timeout: 50 * time.Millisecond, HelloInterval: 10 * time.Millisecond})
	c := newClient(t, 0)
	for got := ""; got != "ERR "+backend.ErrDown.Error() && got != "ERR "+backend.ErrTimeout.Error(); {
		got = c.do(b, "get a\r\n")
	}
	for !strings.Contains(b.Status().LastError, "is not a leaf") {
		time.Sleep(time.Millisecond)
	}
}

func TestLimits(t *testing.T) {
	g := newGate(t, "slow")
	_, b := pair(t, leaf.Options{Exec: g.exec, Lanes: 1}, Options{Timeout: patience, QueueLimit: 3})
	c := newClient(t, 0)
	for i := range 5 {
		c.send(b, i, request(t, "get slow\r\n"))
	}
	got := c.take(2)
	for i := 3; i < 5; i++ {
		if p := got[i]; p == nil || !errors.Is(p.Err, backend.ErrOverloaded) {
			t.Errorf("request %d: %+v", i, p)
		}
	}
	close(g.open)
	c.take(3)
	if s := b.Status(); s.Refused != 2 || s.Queued != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestOptions(t *testing.T) {
	bad := func(o Options, want string) {
		t.Helper()
		_, err := New(o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is told: %v", err)
		}
	}
	bad(Options{}, "want nats://host:port")
	bad(Options{URL: "http://u:secret@h:1"}, "want nats://host:port")
	bad(Options{URL: "nats://u:secret@h"}, "want nats://host:port")
	bad(Options{URL: "nats://u:secret@h:x\x00"}, "want nats://host:port")
	bad(Options{URL: "nats://u:secret@h:1,h:2"}, "several servers want a leaf's name")
	bad(Options{URL: "nats://u:secret@h:1,h/a"}, "want nats://host:port")
	bad(Options{URL: "nats://h:1/Leaf"}, `leaf name "Leaf"`)

	name := func(o Options, want string) {
		t.Helper()
		o.Down = true
		b := startBackend(t, o)
		if b.Name() != want {
			t.Errorf("%+v: %q, want %q", o, b.Name(), want)
		}
		if got := newClient(t, 0).do(b, "get a\r\n"); got != "ERR "+backend.ErrDown.Error() {
			t.Errorf("down: %q", got)
		}
	}
	name(Options{URL: "nats://h:1"}, "h:1")
	name(Options{URL: "nats://h:1/leaf-9"}, "leaf-9")
	name(Options{URL: "nats://h:1", LeafName: "leaf-8", Label: "eight"}, "eight")
}

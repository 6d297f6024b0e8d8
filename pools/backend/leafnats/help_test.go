package leafnats

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools/backend"
	"github.com/tidepool-proxy/tidepool/tests/proc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for something that must come. Only a failing test waits so long.
const patience = 30 * time.Second

// startLeaf runs a leaf until the test ends.
func startLeaf(t testing.TB, o leaf.Options) *leaf.Leaf {
	t.Helper()
	if o.Name == "" {
		o.Name = "leaf-1"
	}
	l, err := leaf.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(cut) })
	return l
}

// cut is a context that has ended: closing with it is as near to a kill as a test comes.
var cut = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// startBackend runs a backend until the test ends.
func startBackend(t testing.TB, o Options) *Backend {
	t.Helper()
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// events collects what a backend tells, to wait for.
type events struct{ ch chan backend.Event }

func newEvents() *events { return &events{make(chan backend.Event, 1000)} }

func (e *events) on(ev backend.Event) { e.ch <- ev }

// wait takes events until one of that kind comes.
func (e *events) wait(t testing.TB, kind backend.EventKind) backend.Event {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case ev := <-e.ch:
			if ev.Kind == kind {
				return ev
			}
		case <-limit:
			t.Fatalf("no event %q", kind)
		}
	}
}

// request parses one request.
func request(t testing.TB, s string) *mc.Request {
	t.Helper()
	var p mc.Parser
	var r mc.Request
	if _, _, err := p.Next([]byte(s), &mc.Rules{MaxValue: 1 << 30}, &r); err != nil || r.Bad != mc.BadNone {
		t.Fatalf("cannot parse %.40q: %v, %v", s, err, r.Bad)
	}
	return &r
}

// client is a Waiter that keeps what it is given. It fails the test if it is given something twice.
type client struct {
	t    testing.TB
	lane uint32
	hold func() // called by the reader at the first answer, then forgotten

	mu    sync.Mutex
	owed  map[*backend.Pending]bool
	ready []*backend.Pending
	awake bool
	wake  chan struct{}
}

func newClient(t testing.TB, lane uint32) *client {
	return &client{t: t, lane: lane, owed: map[*backend.Pending]bool{}, wake: make(chan struct{}, 1)}
}

func (c *client) Done(p *backend.Pending) bool {
	if hold := c.hold; hold != nil {
		c.hold = nil
		hold()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.owed[p] {
		c.t.Errorf("Done called for request %d, which is not outstanding", p.Tag)
	}
	delete(c.owed, p)
	c.ready = append(c.ready, p)
	first := !c.awake
	c.awake = true
	return first
}

func (c *client) Wake() {
	c.mu.Lock()
	if !c.awake {
		c.t.Error("Wake without Done")
	}
	c.awake = false
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// send sends one request under a number.
func (c *client) send(b *Backend, tag int, req *mc.Request) {
	p := backend.NewPending()
	p.Waiter, p.Lane, p.Tag, p.Start = c, c.lane, tag, backend.Now()
	c.mu.Lock()
	c.owed[p] = true
	c.mu.Unlock()
	b.Send(req, p)
}

// take waits for n answers and gives them by number.
func (c *client) take(n int) map[int]*backend.Pending {
	c.t.Helper()
	limit := time.After(patience)
	got := map[int]*backend.Pending{}
	for {
		c.mu.Lock()
		for _, p := range c.ready {
			got[p.Tag] = p
		}
		c.ready = nil
		c.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-c.wake:
		case <-limit:
			c.t.Fatalf("%d of %d answers came", len(got), n)
		}
	}
}

// do sends one request and gives its answer, or "ERR ..." in place of one.
func (c *client) do(b *Backend, req string) string {
	c.t.Helper()
	c.send(b, 0, request(c.t, req))
	return text(c.take(1)[0])
}

func text(p *backend.Pending) string {
	if p.Err != nil {
		return "ERR " + p.Err.Error()
	}
	return string(p.Resp.Raw)
}

// pair is a leaf and a backend for it that is up.
func pair(t testing.TB, lo leaf.Options, bo Options) (*leaf.Leaf, *Backend) {
	t.Helper()
	l := startLeaf(t, lo)
	bo.URL = l.URL()
	b := startBackend(t, bo)
	c := newClient(t, 0)
	if got := c.do(b, "mn\r\n"); got != "MN\r\n" { // waits for hello
		t.Fatalf("first request: %q", got)
	}
	return l, b
}

func freePort(t testing.TB) string {
	t.Helper()
	free, err := proc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return free[0]
}

func set(key, value string) string {
	return fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, len(value), value)
}

func hit(key, value string) string {
	return fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", key, len(value), value)
}

// counting is a Waiter that only counts.
type counting struct {
	mu    sync.Mutex
	n     int
	awake bool
	wake  chan struct{}
}

func (c *counting) Done(*backend.Pending) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	first := !c.awake
	c.awake = true
	return first
}

func (c *counting) Wake() {
	c.mu.Lock()
	c.awake = false
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// await waits for n answers and forgets them.
func (c *counting) await(n int) {
	for {
		c.mu.Lock()
		if c.n >= n {
			c.n -= n
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		<-c.wake
	}
}

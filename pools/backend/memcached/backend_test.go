package memcached

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// echo answers every get with its keys as the values, miss* with misses.
func echo(p *peer) {
	for {
		f := strings.Fields(p.line())
		if len(f) == 0 {
			return
		}
		for _, key := range f[1:] {
			if !strings.HasPrefix(key, "miss") {
				p.say("VALUE %s 0 %d\r\n%s\r\n", key, len(key), key)
			}
		}
		p.say("END\r\n")
	}
}

func valueOf(key string) string {
	return fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", key, len(key), key)
}

func TestSend(t *testing.T) {
	host, port := serve(t, echo)
	b, ev := at(t, host, port, Options{Label: "b1"})
	if got := ask(t, b, "get foo\r\n"); got != valueOf("foo") {
		t.Errorf("%q", got)
	}
	if got := ask(t, b, "get miss\r\n"); got != "END\r\n" {
		t.Errorf("%q", got)
	}
	w := newWaiter()
	p := send(t, b, w, "get foo\r\n")
	w.take(1)
	if p.Backend != backend.Backend(b) || p.End < p.Start || !p.Resp.Hit() || string(p.Resp.Value()) != "foo" || &p.Resp.Raw[0] != &p.Buf[0] {
		t.Errorf("%+v", p)
	}
	s := b.Status()
	if s.Name != "b1" || s.Addr != host+":"+port || !s.Up || s.Queued != 0 || s.Opened != 1 || s.Conns != 1 || s.Bad != 0 || s.LastError != "" {
		t.Errorf("%+v", s)
	}
	if got := ev.kinds(); got != "" {
		t.Errorf("events: %s", got)
	}
}

// The bytes of the request are free again when Send returns.
func TestSendCopies(t *testing.T) {
	host, port := serve(t, echo)
	b, _ := at(t, host, port, Options{})
	r := req(t, "get foo\r\n")
	w := newWaiter()
	p := backend.NewPending()
	p.Waiter = w
	b.Send(r, p)
	copy(r.Line, "get bar")
	w.take(1)
	if got := text(p); got != valueOf("foo") {
		t.Errorf("%q", got)
	}
}

// What one connection reads in one piece wakes a waiter once.
func TestOneWakePerRead(t *testing.T) {
	go1 := make(chan struct{})
	host, port := serve(t, func(p *peer) {
		for range 8 {
			p.line()
		}
		<-go1
		p.say("%s", strings.Repeat("END\r\n", 8))
		p.line()
	})
	b, _ := at(t, host, port, Options{})
	w := newWaiter()
	for range 8 {
		send(t, b, w, "get k\r\n")
	}
	close(go1)
	w.take(8)
	if w.wakes != 1 {
		t.Errorf("%d wakes, want 1", w.wakes)
	}
}

// Requests made before the server has greeted wait for it, and none is on the wire until then.
func TestQueueWhileConnecting(t *testing.T) {
	early := make(chan int, 1)
	asked, greet := make(chan struct{}), make(chan struct{})
	host, port := serveRaw(t, func(p *peer) {
		p.line()
		close(asked)
		<-greet
		early <- p.in.Buffered()
		p.say("VERSION 1\r\n")
		echo(p)
	})
	b, _ := at(t, host, port, Options{})
	w := newWaiter()
	p := send(t, b, w, "get foo\r\n")
	<-asked
	if s := b.Status(); s.Up || s.Queued != 1 {
		t.Errorf("before the greeting: %+v", s)
	}
	close(greet)
	w.take(1)
	if got := text(p); got != valueOf("foo") {
		t.Errorf("%q", got)
	}
	if n := <-early; n != 0 {
		t.Errorf("%d bytes came before the greeting", n)
	}
}

func TestWire(t *testing.T) {
	lines := make(chan string, 10)
	host, port := serve(t, func(p *peer) {
		for range 3 {
			lines <- p.line()
			if l := p.line(); l != "hi" {
				lines <- "not the value: " + l
			}
		}
		p.say("HD\r\nSTORED\r\nSTORED\r\n")
		p.line()
	})
	b, _ := at(t, host, port, Options{})
	w := newWaiter()
	send(t, b, w, "ms /b/a 2 q\r\nhi\r\n")
	send(t, b, w, "set /b/a 0 0 2 noreply\r\nhi\r\n")
	send(t, b, w, "set /b/a 0 0 2\r\nhi\r\n")
	w.take(3)
	for _, want := range []string{"ms /b/a 2  ", "set /b/a 0 0 2 noreplY", "set /b/a 0 0 2"} {
		if got := <-lines; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What has no single answer never reaches the connection that others share.
func TestRefused(t *testing.T) {
	host, port := serve(t, echo)
	b, ev := at(t, host, port, Options{})
	for _, s := range []string{"get a b\r\n", "gets a b c\r\n", "gat 0 a b\r\n", "version\r\n", "stats\r\n", "quit\r\n"} {
		if got := ask(t, b, s); got != backend.ErrRefused.Error() {
			t.Errorf("%q: %q", s, got)
		}
	}
	if got := ask(t, b, "get a\r\n"); got != valueOf("a") || ev.kinds() != "" {
		t.Errorf("afterwards %q, events %s", got, ev.kinds())
	}
}

func TestLargeAnswers(t *testing.T) {
	const limit = 3 << 20
	host, port := serve(t, func(p *peer) {
		for l := p.line(); l != ""; l = p.line() {
			for _, key := range strings.Fields(l)[1:] {
				var size int
				fmt.Sscanf(key, "size%d", &size)
				p.say("VALUE %s 0 %d\r\n%s\r\n", key, size, strings.Repeat("x", size))
			}
			p.say("END\r\n")
		}
	})
	b, _ := at(t, host, port, Options{MaxAnswer: limit + 100, Multiget: backend.MultigetAlways})
	w := newWaiter()
	sizes := []int{0, 1, 65000, 1 << 20, 10, 70000, limit, 5, readSize - 30}
	var ps []*backend.Pending
	for _, n := range sizes {
		ps = append(ps, send(t, b, w, fmt.Sprintf("get size%d\r\n", n)))
	}
	w.take(len(sizes))
	for i, p := range ps {
		if p.Err != nil || len(p.Resp.Value()) != sizes[i] {
			t.Errorf("size %d: %d bytes, %v", sizes[i], len(p.Resp.Value()), p.Err)
		}
	}
	b.Close()
	if n := cap(b.conns[0].rbuf); n > keepRead {
		t.Errorf("the read buffer keeps %d bytes", n)
	}
	var ev *events
	b, ev = at(t, host, port, Options{MaxAnswer: limit + 100, Multiget: backend.MultigetAlways})
	if got := ask(t, b, fmt.Sprintf("get size%d\r\n", limit+200)); got != backend.ErrProtocol.Error() {
		t.Errorf("over the limit: %q", got)
	}
	ev.wait(backend.EventOutOfMemory)
}

// A large answer has the buffer that it was read into, until its request lets go of it, and what came behind it is in another.
func TestLargeAnswersStay(t *testing.T) {
	host, port := serve(t, func(p *peer) {
		for l := p.line(); l != ""; l = p.line() {
			for _, key := range strings.Fields(l)[1:] {
				var size int
				fmt.Sscanf(key[1:], "%d", &size)
				p.say("VALUE %s 0 %d\r\n%s\r\n", key, size, strings.Repeat(key[:1], size))
			}
			p.say("END\r\n")
		}
	})
	b, _ := at(t, host, port, Options{Multiget: backend.MultigetAlways})
	w := newWaiter()
	sizes := []int{backend.Large, 3, 100_000, 100_000, 10, 300_000, backend.Large - 30, 1 << 20, 0}
	for round := range 5 {
		var ps []*backend.Pending
		letter := string(rune('a' + round))
		for _, n := range sizes {
			ps = append(ps, send(t, b, w, fmt.Sprintf("get %s%d\r\n", letter, n)))
		}
		w.take(len(sizes))
		ask(t, b, "get z200000\r\n") // while the others are still held
		for i, p := range ps {
			if p.Err != nil || string(p.Resp.Value()) != strings.Repeat(letter, sizes[i]) {
				t.Errorf("round %d, size %d: %d bytes, %v", round, sizes[i], len(p.Resp.Value()), p.Err)
			}
			if raw := fmt.Sprintf("VALUE %s%d 0 %[2]d\r\n%s\r\nEND\r\n", letter, sizes[i], strings.Repeat(letter, sizes[i])); string(p.Resp.Raw) != raw {
				t.Errorf("round %d, size %d: the answer is not what was sent", round, sizes[i])
			}
			p.Release()
		}
	}
}

// A promise of a gigabyte takes no gigabyte.
func TestPromisedSize(t *testing.T) {
	host, port := serve(t, func(p *peer) {
		p.line()
		p.say("VALUE k 0 1000000000\r\nabc")
	})
	b, ev := at(t, host, port, Options{MaxAnswer: 1 << 30})
	if got := ask(t, b, "get k\r\n"); got != backend.ErrDisconnected.Error() {
		t.Errorf("%q", got)
	}
	ev.wait(backend.EventDisconnected)
	b.Close()
	if n := cap(b.conns[0].rbuf); n > 1<<20 {
		t.Errorf("the read buffer has %d bytes", n)
	}
}

func TestMaxQueued(t *testing.T) {
	host, port := serveRaw(t, func(p *peer) { p.line(); p.line() }) // never greets
	b, _ := at(t, host, port, Options{MaxQueued: 100})
	w := newWaiter()
	f := func(size int, wantQueued bool) {
		t.Helper()
		p := send(t, b, w, fmt.Sprintf("set k 0 0 %d\r\n%s\r\n", size, strings.Repeat("x", size)))
		if wantQueued != (w.got() == 0) {
			t.Errorf("value of %d bytes: queued %v, want %v", size, w.got() == 0, wantQueued)
		}
		if !wantQueued {
			if w.take(1); text(p) != backend.ErrOverloaded.Error() {
				t.Errorf("%q", text(p))
			}
		}
	}
	f(60, true)
	f(60, false)
	f(1, true)
	f(30, false)
	if s := b.Status(); s.Queued != 2 || s.Refused != 2 {
		t.Errorf("%+v", s)
	}
	b.Close()
	for _, p := range w.take(2) {
		if text(p) != backend.ErrClosed.Error() {
			t.Errorf("%q", text(p))
		}
	}

	// One that is larger than the limit by itself goes if nothing is before it.
	b, _ = at(t, host, port, Options{MaxQueued: 100})
	w = newWaiter()
	f(1000, true)
	f(1, false)
	b.Close()
}

// Depth 3 lets four through, as upstream.
func TestDepthLimit(t *testing.T) {
	hold := make(chan struct{})
	host, port := serve(t, func(p *peer) {
		for range 4 {
			p.line()
		}
		<-hold
		p.say("END\r\nEND\r\nEND\r\nEND\r\n")
		echo(p)
	})
	b, _ := at(t, host, port, Options{DepthLimit: 3})
	w := newWaiter()
	for range 4 {
		send(t, b, w, "get k\r\n")
	}
	if got := ask(t, b, "get k\r\n"); got != backend.ErrOverloaded.Error() {
		t.Errorf("the fifth: %q", got)
	}
	close(hold)
	w.take(4)
	if got := ask(t, b, "get k\r\n"); got != valueOf("k") {
		t.Errorf("afterwards: %q", got)
	}
	if s := b.Status(); s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

func TestDown(t *testing.T) {
	dialled := false
	host, port := serveRaw(t, func(*peer) { dialled = true })
	b, ev := at(t, host, port, Options{Down: true, Connections: 3})
	if got := ask(t, b, "get k\r\n"); got != backend.ErrDown.Error() {
		t.Errorf("%q", got)
	}
	if s := b.Status(); s.Up || !s.Down || s.Bad != 0 || s.Opened != 0 {
		t.Errorf("%+v", s)
	}
	b.Close()
	if dialled || ev.kinds() != "" {
		t.Errorf("dialled %v, events %s", dialled, ev.kinds())
	}
	if got := ask(t, b, "get k\r\n"); got != backend.ErrClosed.Error() {
		t.Errorf("closed: %q", got)
	}
}

func TestOptionErrors(t *testing.T) {
	for want, o := range map[string]Options{
		"memcached backend has no address":          {Host: "h"},
		"backend connections argument must be <= 8": {Host: "h", Port: "1", Connections: 9},
	} {
		if _, err := New(o); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}

// Closing answers what is queued and in flight, exactly once, while requests are still being made.
func TestCloseUnderLoad(t *testing.T) {
	host, port := serve(t, echo)
	for range 20 {
		b, _ := at(t, host, port, Options{Connections: 2})
		const senders, each = 4, 200
		w := newWaiter()
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				for range each {
					send(t, b, w, "get foo\r\n")
				}
			})
		}
		b.Close()
		wg.Wait()
		seen := map[*backend.Pending]bool{}
		for _, p := range w.take(senders * each) {
			if got := text(p); seen[p] || got != valueOf("foo") && got != backend.ErrClosed.Error() {
				t.Fatalf("seen before %v, %q", seen[p], got)
			}
			seen[p] = true
		}
		if len(seen) != senders*each {
			t.Fatalf("%d answers, want %d", len(seen), senders*each)
		}
		if s := b.Status(); s.Queued != 0 || s.Up {
			t.Fatalf("%+v", s)
		}
	}
}

// What the tests share: requests, a waiter, servers that do as they are told.

package memcached

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/sock"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(both{m}) }

// both runs the tests twice: connections have goroutines of their own, and a loop.
type both struct{ m *testing.M }

// theLoop is what open gives backends.
var theLoop *sock.Loop

func (b both) Run() int {
	if code := b.m.Run(); code != 0 {
		return code
	}
	l, err := sock.NewLoop()
	if err != nil {
		return 0
	}
	fmt.Println("again, in a loop")
	theLoop = l
	defer l.Close()
	return b.m.Run()
}

// req parses s, lines separated by CRLF.
func req(t testing.TB, s string) *mc.Request {
	t.Helper()
	var p mc.Parser
	r := new(mc.Request)
	n, _, err := p.Next([]byte(s), &mc.Rules{}, r)
	if err != nil || n != len(s) || r.Bad != mc.BadNone {
		t.Fatalf("cannot parse %q: n %d, bad %v, err %v", s, n, r.Bad, err)
	}
	return r
}

// waiter is a session that collects what it gets.
type waiter struct {
	mu    sync.Mutex
	inbox []*backend.Pending
	wakes int
	woken chan struct{}
	asked bool
}

func newWaiter() *waiter { return &waiter{woken: make(chan struct{}, 1)} }

func (w *waiter) Done(p *backend.Pending) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inbox = append(w.inbox, p)
	first := !w.asked
	w.asked = true
	return first
}

func (w *waiter) Wake() {
	w.mu.Lock()
	w.wakes++
	w.asked = false
	w.mu.Unlock()
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// take waits until n Pendings have come, in all, and empties the inbox.
func (w *waiter) take(n int) []*backend.Pending {
	for {
		w.mu.Lock()
		if len(w.inbox) >= n {
			got := w.inbox
			w.inbox = nil
			w.mu.Unlock()
			return got
		}
		w.mu.Unlock()
		<-w.woken
	}
}

// got is how many have come and were not taken.
func (w *waiter) got() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.inbox)
}

// send sends s and gives what its answer will be in.
func send(t testing.TB, b *Backend, w *waiter, s string) *backend.Pending {
	t.Helper()
	p := backend.NewPending()
	p.Waiter, p.Start = w, backend.Now()
	b.Send(req(t, s), p)
	return p
}

// ask sends s alone and gives the answer as text, or the sentinel error's text.
func ask(t testing.TB, b *Backend, s string) string {
	t.Helper()
	w := newWaiter()
	p := send(t, b, w, s)
	if got := w.take(1); len(got) != 1 || got[0] != p {
		t.Fatalf("%q: %d answers", s, len(got))
	}
	return text(p)
}

// text is an answered Pending for comparison.
func text(p *backend.Pending) string {
	if p.Err == nil {
		return string(p.Resp.Raw)
	}
	for _, e := range []error{
		backend.ErrTimeout, backend.ErrDown, backend.ErrDisconnected, backend.ErrProtocol, backend.ErrOverloaded, backend.ErrClosed, backend.ErrRefused,
	} {
		if errors.Is(p.Err, e) {
			return e.Error()
		}
	}
	return "unknown error: " + p.Err.Error()
}

// events collects the kinds of what happened, in order.
type events struct {
	mu   sync.Mutex
	list []backend.Event
	more chan struct{}
}

func newEvents() *events { return &events{more: make(chan struct{}, 1)} }

func (e *events) on(ev backend.Event) {
	ev.Rbuf = append([]byte(nil), ev.Rbuf...)
	e.mu.Lock()
	e.list = append(e.list, ev)
	e.mu.Unlock()
	select {
	case e.more <- struct{}{}:
	default:
	}
}

// kinds is what happened so far, less "connected".
func (e *events) kinds() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var s []string
	for _, ev := range e.list {
		if ev.Kind != backend.EventConnected {
			s = append(s, string(ev.Kind))
		}
	}
	return strings.Join(s, " ")
}

// wait waits for the first event of a kind.
func (e *events) wait(k backend.EventKind) backend.Event {
	for {
		e.mu.Lock()
		for _, ev := range e.list {
			if ev.Kind == k {
				e.mu.Unlock()
				return ev
			}
		}
		e.mu.Unlock()
		<-e.more
	}
}

// peer is one connection as the server sees it.
type peer struct {
	net.Conn
	in *bufio.Reader
	n  int // which connection this is, from 1
}

// line reads a request line, without CRLF; "" at the end of the stream.
func (p *peer) line() string {
	s, _ := p.in.ReadString('\n')
	return strings.TrimRight(s, "\r\n")
}

func (p *peer) say(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// greet answers the handshake.
func (p *peer) greet() bool {
	if p.line() != "version" {
		return false
	}
	p.say("VERSION 1.2.3\r\n")
	return true
}

// serve starts a TCP server that runs script for each connection, after the handshake. It ends with the test.
func serve(t testing.TB, script func(p *peer)) (host, port string) {
	return serveRaw(t, func(p *peer) {
		if p.greet() {
			script(p)
		}
	})
}

// serveRaw is serve without the handshake.
func serveRaw(t testing.TB, script func(p *peer)) (host, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for n := 1; ; n++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[nc] = true
			mu.Unlock()
			wg.Go(func() {
				defer nc.Close()
				script(&peer{nc, bufio.NewReader(nc), n})
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for nc := range open {
			nc.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	host, port, _ = net.SplitHostPort(l.Addr().String())
	return host, port
}

// open makes a backend that is closed with the test.
func open(t testing.TB, o Options) *Backend {
	t.Helper()
	if o.Loop == nil {
		o.Loop = theLoop
	}
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// at makes a backend of a server, with its events.
func at(t testing.TB, host, port string, o Options) (*Backend, *events) {
	t.Helper()
	e := newEvents()
	o.Host, o.Port, o.OnEvent = host, port, e.on
	return open(t, o), e
}

// pipes dials in-memory connections: for tests about time, inside testing/synctest.
type pipes struct {
	script func(p *peer) // nil: the connection is refused
	mu     sync.Mutex
	n      int
}

func (d *pipes) set(script func(p *peer)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.script = script
}

func (d *pipes) dial(context.Context, string, string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	if d.script == nil {
		return nil, errors.New("connection refused")
	}
	client, server := net.Pipe()
	p, script := &peer{server, bufio.NewReader(server), d.n}, d.script
	go func() {
		defer server.Close()
		script(p)
	}()
	return client, nil
}

func (d *pipes) dialled() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

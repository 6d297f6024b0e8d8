// What the tests of this package share: a session that echoes, a server around it, a client that says and sees.

package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen before it fails.
const patience = 20 * time.Second

// desk is a Handler whose sessions answer a get with its key as value, and a set with STORED. Some keys do more, see get.
type desk struct {
	rules   atomic.Pointer[mc.Rules] // nil: memcached's own
	entered chan struct{}            // a "wait" or "flush" has begun
	gate    chan struct{}            // what lets it end
	closed  chan struct{}            // one for each session that was closed
	served  atomic.Uint64            // requests answered
	largest atomic.Int64             // requests in the largest batch

	mu    sync.Mutex
	infos []ConnInfo
}

func newDesk() *desk {
	return &desk{entered: make(chan struct{}, 100), gate: make(chan struct{}), closed: make(chan struct{}, 10000)}
}

func (d *desk) Open(i ConnInfo) Session {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.infos = append(d.infos, i)
	return &deskSession{desk: d}
}

type deskSession struct {
	*desk
	over bool
}

func (d *deskSession) Close() {
	if d.over {
		panic("a session is closed twice")
	}
	d.over = true
	d.closed <- struct{}{}
}

func (d *deskSession) Rules() mc.Rules {
	if r := d.rules.Load(); r != nil {
		return *r
	}
	return mc.Rules{}
}

var errDesk = errors.New("the desk is broken")

func (d *deskSession) Serve(b *Batch) error {
	if d.over {
		panic("a closed session is asked to serve")
	}
	if n := int64(len(b.Reqs)); n > d.largest.Load() {
		d.largest.Store(n)
	}
	for i := range b.Reqs {
		r := &b.Reqs[i]
		d.served.Add(1)
		switch {
		case r.Bad != mc.BadNone:
			b.Out = mc.AnswerBad(b.Out, r, &b.Rules)
		case r.Cmd == mc.CmdQuit:
			return ErrClose
		case r.Cmd.IsGet():
			if err := d.get(b, r); err != nil {
				return err
			}
		case r.Value != nil:
			if !r.NoReply {
				b.Out = append(b.Out, "STORED\r\n"...)
			}
		default:
			b.Out = append(b.Out, "ERROR\r\n"...)
		}
	}
	return nil
}

func (d *deskSession) get(b *Batch, r *mc.Request) error {
	switch string(r.Key) {
	case "wait":
		d.entered <- struct{}{}
		<-d.gate
	case "flush":
		b.Out = append(b.Out, "EARLY\r\n"...)
		err := b.Flush()
		d.entered <- struct{}{}
		<-d.gate
		if err != nil {
			return err
		}
	case "huge":
		b.Out = append(b.Out, make([]byte, hugeAnswer)...)
	case "panic":
		panic("asked for")
	case "fail":
		return errDesk
	case "small": // from the next batch on
		d.rules.Store(&mc.Rules{MaxValue: 1})
	}
	for key, pos, ok := r.NextKey(0); ok; key, pos, ok = r.NextKey(pos) {
		b.Out = append(b.Out, "VALUE "...)
		b.Out = append(b.Out, key...)
		b.Out = append(b.Out, " 0 "...)
		b.Out = strconv.AppendInt(b.Out, int64(len(key)), 10)
		b.Out = append(append(append(b.Out, "\r\n"...), key...), "\r\n"...)
	}
	b.Out = append(b.Out, "END\r\n"...)
	return nil
}

// hugeAnswer is more than any socket's buffers take.
const hugeAnswer = 32 << 20

// value is what the desk answers to a get of key.
func value(key string) string {
	return fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", key, len(key), key)
}

// serve starts a server, by default on one TCP port, and closes it when the test ends.
func serve(t testing.TB, o Options, addrs ...string) *Server {
	t.Helper()
	if o.Handler == nil {
		o.Handler = newDesk()
	}
	s := New(o)
	if len(addrs) == 0 {
		addrs = []string{"127.0.0.1:0"}
	}
	for _, a := range addrs {
		if err := s.Listen(a); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if n := s.buffers.used.Load(); n != 0 {
			t.Errorf("%d bytes count as buffered when all is over", n)
		}
	})
	return s
}

// unixAddr is an address for a unix socket; answers that wait fill its buffers sooner than TCP's.
func unixAddr(t testing.TB) string { return "unix:" + filepath.Join(t.TempDir(), "s") }

// peer is a client.
type peer struct {
	testing.TB
	net.Conn
	r *bufio.Reader
}

// dial connects to the first listener of s.
func dial(t testing.TB, s *Server) *peer { t.Helper(); return dialAddr(t, s.Addrs()[0]) }

func dialAddr(t testing.TB, a ListenAddr) *peer {
	t.Helper()
	c, err := net.Dial(a.Network, a.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &peer{t, c, bufio.NewReader(c)}
}

func (p *peer) says(format string, a ...any) {
	p.Helper()
	if _, err := fmt.Fprintf(p.Conn, format, a...); err != nil {
		p.Fatalf("cannot say it: %v", err)
	}
}

func (p *peer) sees(want string) {
	p.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p.r, got); err != nil || string(got) != want {
		p.Fatalf("sees %.200q (%v), want %.200q", got[:n], err, want)
	}
}

// ends: nothing more comes but an orderly end.
func (p *peer) ends() {
	p.Helper()
	if rest, err := io.ReadAll(p.r); err != nil || len(rest) > 0 {
		p.Fatalf("sees %.200q (%v), want the end", rest, err)
	}
	p.Close()
}

// cut: the connection ends, in whatever way, before all of a huge answer has come.
func (p *peer) cut() {
	p.Helper()
	n, err := io.Copy(io.Discard, p.r)
	var ne net.Error
	if n >= hugeAnswer || errors.As(err, &ne) && ne.Timeout() {
		p.Fatalf("sees %d bytes (%v), want to be cut", n, err)
	}
}

// until waits for ok, which something under way will make true.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// await receives from c.
func await[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain for: %s", what)
	}
	return v
}

// awaitBegun waits until n connections wait for the rest of a request.
func (s *Server) awaitBegun(t testing.TB, n int) {
	t.Helper()
	until(t, "a begun request", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		got := 0
		for c := range s.conns {
			if c.begun.Load() > 0 {
				got++
			}
		}
		return got == n
	})
}

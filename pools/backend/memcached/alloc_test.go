// What a request costs: no allocation, few system calls.

package memcached

import (
	"bytes"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// quick answers every line of a fixed length at once, without allocating: one write for each read.
func quick(answer string, length int) func(p *peer) {
	return func(p *peer) {
		in, out := make([]byte, 64<<10), bytes.Repeat([]byte(answer), 4096)
		rest := 0
		for {
			n, err := p.Conn.Read(in)
			if err != nil {
				return
			}
			rest += n
			if _, err := p.Conn.Write(out[:rest/length*len(answer)]); err != nil {
				return
			}
			rest %= length
		}
	}
}

// batcher is a waiter that allocates nothing.
type batcher struct {
	left  atomic.Int64
	done  chan struct{}
	wrong atomic.Int64
}

func (w *batcher) Done(p *backend.Pending) bool {
	if p.Err != nil || len(p.Resp.Value()) != 100 {
		w.wrong.Add(1)
	}
	return w.left.Add(-1) == 0
}

func (w *batcher) Wake() { w.done <- struct{}{} }

const quickGet = "get some:key:0001\r\n"

func quickAnswer() string {
	return "VALUE some:key:0001 0 100\r\n" + string(bytes.Repeat([]byte("x"), 100)) + "\r\nEND\r\n"
}

// run sends n requests and waits for their answers.
func (w *batcher) run(b *Backend, r *mc.Request, ps []*backend.Pending) {
	w.left.Store(int64(len(ps)))
	for _, p := range ps {
		p.Waiter = w
		b.Send(r, p)
	}
	<-w.done
}

func newBatch(n int) (*batcher, []*backend.Pending) {
	ps := make([]*backend.Pending, n)
	for i := range ps {
		ps[i] = new(backend.Pending)
	}
	return &batcher{done: make(chan struct{}, 1)}, ps
}

func TestNoAllocation(t *testing.T) {
	host, port := serve(t, quick(quickAnswer(), len(quickGet)))
	b, _ := at(t, host, port, Options{})
	r := req(t, quickGet)
	for _, n := range []int{1, 16} {
		w, ps := newBatch(n)
		w.run(b, r, ps)
		if got := testing.AllocsPerRun(200, func() { w.run(b, r, ps) }); got != 0 {
			t.Errorf("%d requests allocate %v times", n, got)
		}
		if w.wrong.Load() != 0 {
			t.Errorf("%d answers were wrong", w.wrong.Load())
		}
	}
}

// countConn counts its writes.
type countConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// What queues up behind one write goes out with the next one.
func TestOneWriteForAll(t *testing.T) {
	host, port := serve(t, quick(quickAnswer(), len(quickGet)))
	b, err := New(Options{Host: host, Port: port, Down: true})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("tcp", net.JoinHostPort(host, port))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var writes atomic.Int64
	c := b.conns[0] // driven by hand: everything is queued before the writer starts
	c.refuse = nil
	c.nc = countConn{nc, &writes}
	w, ps := newBatch(100)
	for _, p := range ps {
		p.Waiter = w
		b.Send(req(t, quickGet), p)
	}
	done := make(chan struct{})
	go func() { c.write(); close(done) }()
	for c.waiting() != len(ps) {
		runtime.Gosched() // until the writer has taken them
	}
	c.mu.Lock()
	c.stop = true
	c.mu.Unlock()
	c.Kick()
	<-done
	if got := writes.Load(); got != 1 {
		t.Errorf("%d writes for %d requests, want 1", got, len(ps))
	}
}

func BenchmarkSend(b *testing.B) {
	for name, n := range map[string]int{"1": 1, "16": 16, "64": 64} {
		b.Run(name, func(b *testing.B) {
			host, port := serve(b, quick(quickAnswer(), len(quickGet)))
			be, _ := at(b, host, port, Options{})
			r := req(b, quickGet)
			w, ps := newBatch(n)
			w.run(be, r, ps)
			b.ReportAllocs()
			for i := 0; i < b.N; i += n {
				w.run(be, r, ps)
			}
		})
	}
}

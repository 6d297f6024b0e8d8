package leafnats

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// lazy is a Waiter that takes everything and wants nothing.
type lazy struct{ n int }

func (l *lazy) Done(*backend.Pending) bool { l.n++; return l.n%16 == 0 }
func (l *lazy) Wake()                      {}

// TestNothingIsAllocatedPerRequest goes the whole way of requests but for NATS itself: Send, the writer's turn, the answers.
func TestNothingIsAllocatedPerRequest(t *testing.T) {
	t.Run("static pool", func(t *testing.T) { nothingIsAllocated(t, nil) })
	t.Run("discovered pool", func(t *testing.T) { nothingIsAllocated(t, &backend.Term{Epoch: 1}) })
}

func nothingIsAllocated(t *testing.T, term *backend.Term) {
	b := startBackend(t, Options{URL: "nats://127.0.0.1:1", Down: true})
	s := &session{b: b, inbox: "inbox", route: &route{instance: 1}}
	s.ackEvery.Store(1 << 20)
	b.mu.Lock()
	b.sess, b.up, b.lanes = s, true, []lane{{buf: b.bufLocked()}, {buf: b.bufLocked()}}
	b.mu.Unlock()
	const n = 32
	var w lazy
	var all [n]*backend.Pending
	for i := range all {
		all[i] = backend.NewPending()
		all[i].Waiter, all[i].Lane = &w, uint32(i)
	}
	r := request(t, "get some-key\r\n")
	body := []byte(strings.Repeat(hit("some-key", strings.Repeat("v", 100)), n/2))
	var flights []*flight
	got := testing.AllocsPerRun(100, func() {
		for _, p := range all {
			p.Start, p.Term = backend.Now(), term
			b.Send(r, p)
		}
		b.mu.Lock()
		flights = b.takeLocked(flights[:0])
		b.mu.Unlock()
		for _, f := range flights {
			if term == nil { // else the flight keeps it
				b.mu.Lock()
				b.returnLocked(f.buf)
				b.mu.Unlock()
			}
			h := frame.Header{Flags: frame.FlagAnswer, ID: f.id, Instance: 1, Parts: 1}
			s.deliver(s.claim(&h, len(body)), &h, body)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations for %d requests", got, n)
	}
	if w.n == 0 || w.n%n != 0 || b.count != 0 || b.bytes != 0 {
		t.Errorf("%d answers; left over: %d requests, %d bytes", w.n, b.count, b.bytes)
	}
	if s := text(all[0]); s != hit("some-key", strings.Repeat("v", 100)) {
		t.Errorf("%q", s)
	}
}

// BenchmarkRoundTrip is a request and its answer, leaf included, with so many in flight. What is allocated is NATS's, per message.
func BenchmarkRoundTrip(b *testing.B) {
	for _, depth := range []int{1, 16, 256} {
		b.Run(fmt.Sprint("depth=", depth), func(b *testing.B) {
			l, be := pair(b, leaf.Options{}, Options{})
			newClient(b, 0).do(be, set("some-key", strings.Repeat("v", 100)))
			frames := l.Stats().Frames
			w := &counting{wake: make(chan struct{}, 1)}
			r := request(b, "get some-key\r\n")
			all := make([]*backend.Pending, depth)
			for i := range all {
				all[i] = backend.NewPending()
			}
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += depth {
				for i, p := range all {
					*p = backend.Pending{Buf: p.Buf, Waiter: w, Lane: uint32(i), Start: backend.Now()}
					be.Send(r, p)
				}
				w.await(depth)
			}
			b.StopTimer()
			for _, p := range all {
				if p.Err != nil || p.Resp.Code != mc.CodeOK {
					b.Fatal(text(p))
				}
			}
			b.ReportMetric(float64(b.N)/float64(max(1, l.Stats().Frames-frames)), "requests/frame")
		})
	}
}

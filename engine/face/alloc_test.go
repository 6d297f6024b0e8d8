package face

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/tests/natsd"
)

// instant is an engine that answers every get with a hit and every set with success.
type instant struct{}

var (
	hitAnswer    = []byte("VA 100 f0 c123456789 t-1\r\n" + strings.Repeat("v", 100) + "\r\n")
	storedAnswer = []byte("HD\r\n")
)

func (instant) Open(server.ConnInfo) server.Session { return instant{} }
func (instant) Rules() mc.Rules                     { return mc.Rules{Routed: true} }
func (instant) Close()                              {}
func (instant) Serve(b *server.Batch) error {
	for i := range b.Reqs {
		if b.Reqs[i].Cmd == mc.CmdMG {
			b.Each(i, hitAnswer)
		} else {
			b.Each(i, storedAnswer)
		}
	}
	return nil
}

func batch(n int, op, value string) (all []*nats.Msg) {
	for range n {
		m := message("cache.some-key", value, "op:"+op)
		m.Reply = "_INBOX.x"
		all = append(all, m)
	}
	return all
}

// TestAllocations: between NATS's message and NATS's publication a request costs at most the text of its CAS number. What nats.go
// allocates itself, a message with its headers in and a block of headers out, is not in it.
func TestAllocations(t *testing.T) {
	f, err := bare()
	if err != nil {
		t.Fatal(err)
	}
	h := f.newHand()
	for op, want := range map[string]float64{"get": 1, "set": 0} {
		value := ""
		if op == "set" {
			value = strings.Repeat("v", 100)
		}
		msgs := batch(maxBatch, op, value)
		got := testing.AllocsPerRun(50, func() {
			h.msgs = append(h.msgs[:0], msgs...)
			h.serve()
			h.trim()
		})
		if got > want*maxBatch {
			t.Errorf("%s: %.2f allocations a request, want at most %v", op, got/maxBatch, want)
		}
	}
	if n := f.counted.lost.Load(); n != 0 {
		t.Errorf("%d answers were lost", n)
	}
}

// bare is a face without NATS.
func bare() (*Face, error) {
	o, err := Options{URL: "none", Handler: instant{}, Log: discard}.withDefaults()
	f := &Face{o: o, requests: newRequests()}
	f.publish = func(m *nats.Msg) error { _, err := io.Discard.Write(m.Data); return err }
	return f, err
}

// BenchmarkBatch is what a face costs beside NATS and the engine.
func BenchmarkBatch(b *testing.B) {
	for _, op := range []string{"get", "set"} {
		b.Run(op, func(b *testing.B) {
			f, err := bare()
			if err != nil {
				b.Fatal(err)
			}
			h := f.newHand()
			msgs := batch(16, op, "")
			b.ReportAllocs()
			for b.Loop() {
				h.msgs = append(h.msgs[:0], msgs...)
				h.serve()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/request")
		})
	}
}

// BenchmarkAsk is a round trip through a real NATS server and a real engine, one at a time and many at once.
func BenchmarkAsk(b *testing.B) {
	ns := natsd.Start(b)
	startFace(b, urlOf(ns), startEngine(b, flat(startLeaves(b, 3))))
	c := dial(b, urlOf(ns))
	if got := c.ask("cache.k", strings.Repeat("v", 100), "op:set"); got != "stored" {
		b.Fatal(got)
	}
	for _, depth := range []int{1, 16, 256} {
		b.Run(fmt.Sprint("depth=", depth), func(b *testing.B) {
			answers := make(chan *nats.Msg, depth)
			inbox := c.nc.NewInbox()
			sub, err := c.nc.ChanSubscribe(inbox, answers)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = sub.Unsubscribe() }()
			m := message("cache.k", "", "op:get")
			m.Reply = inbox
			b.ReportAllocs()
			under := 0
			for b.Loop() {
				if under == depth {
					<-answers
					under--
				}
				if err := c.nc.PublishMsg(m); err != nil {
					b.Fatal(err)
				}
				under++
			}
			for range under {
				<-answers
			}
		})
	}
}

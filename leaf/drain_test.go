// How long a leaf that stops answers, and for whom it waits.

package leaf

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// drains has l drain, with so long for a proxy to take notice; what it gives is closed when it has.
func drains(t *testing.T, l *Leaf, notice time.Duration) <-chan struct{} {
	t.Helper()
	l.notice = notice
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		l.Drain(ctx)
	}()
	return done
}

func wantDrained(t *testing.T, done <-chan struct{}, within time.Duration) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(within):
		t.Fatal("it drains yet")
	}
}

// TestDrainWaitsForNotice: what a proxy far away has sent before it could know is answered, however quiet it was meanwhile.
func TestDrainWaitsForNotice(t *testing.T) {
	l := start(t, Options{Lanes: 1})
	p := dial(t, l)
	q := frame.HelloRequest{Versions: []int{1}, Proxy: "p", Instance: l.Instance()}
	p.hello(q)
	done := drains(t, l, patience)
	draining := func(r frame.HelloReply) {
		t.Helper()
		if r.State != frame.StateDraining {
			t.Fatalf("%+v", r)
		}
	}
	draining(p.reply())
	draining(p.hello(q)) // was on its way: it goes on sending
	select {
	case <-done:
		t.Error("what was on its way is not waited for")
	case <-time.After(100 * time.Millisecond): // ten looks at whether all is quiet
	}
	p.frame(1, "mn\r\n")
	p.want(1, "MN\r\n")
	q.Instance = 0
	draining(p.hello(q))
	wantDrained(t, done, patience/2)
}

// TestDrainWaitsForWhoBegins: a proxy that had yet to send its first request when the leaf began to drain has said so before, and does not know either.
func TestDrainWaitsForWhoBegins(t *testing.T) {
	l := start(t, Options{Lanes: 1})
	p := dial(t, l)
	q := frame.HelloRequest{Versions: []int{1}, Proxy: "p"}
	p.hello(q)
	l.count.pending.Add(1) // it has something to do meanwhile
	done := drains(t, l, patience)
	p.reply()
	p.hello(q) // was on its way
	q.Instance = l.Instance()
	p.hello(q) // and so was this
	l.count.pending.Add(-1)
	select {
	case <-done:
		t.Error("what was on its way is not waited for")
	case <-time.After(100 * time.Millisecond): // ten looks at whether all is quiet
	}
	q.Instance = 0
	p.hello(q)
	wantDrained(t, done, patience/2)
}

// TestDrainDoesNotWaitFor: those of whom nothing can come, and for long who says nothing.
func TestDrainDoesNotWaitFor(t *testing.T) {
	for name, c := range map[string]struct {
		notice time.Duration
		after  func(t *testing.T, l *Leaf, p *proxy)
	}{
		"who is silent": {10 * time.Millisecond, func(*testing.T, *Leaf, *proxy) {}},
		"who was silent before": {patience, func(_ *testing.T, l *Leaf, _ *proxy) {
			for _, p := range l.peers.all() {
				p.seen.Add(-2 * lately.Milliseconds())
			}
		}},
		"who has gone": {patience, func(t *testing.T, l *Leaf, p *proxy) {
			p.nc.Close()
			waitFor(t, "the end of its connection", func() bool { return l.srv.NumClients() == 1 })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, Options{})
			p := dial(t, l, nats.NoReconnect())
			p.hello(frame.HelloRequest{Versions: []int{1}, Proxy: "p", Instance: l.Instance()})
			c.after(t, l, p)
			wantDrained(t, drains(t, l, c.notice), patience/2)
		})
	}
}

// Leaves that hang for a while and go on: when they are asked again.

package leafnats

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// hanging is a backend whose leaf is behind a relay.
func hanging(t *testing.T, o Options) (*Backend, *relay, *events) {
	t.Helper()
	r := newRelay(t, startLeaf(t, leaf.Options{}).Addr())
	ev := newEvents()
	o.URL, o.OnEvent = "nats://"+r.ln.Addr().String(), ev.on
	b := startBackend(t, o)
	ev.wait(t, backend.EventConnected)
	return b, r, ev
}

// soon waits until f.
func soon(t *testing.T, what string, f func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("never %s", what)
		}
	}
}

// hang stops the relay while f runs.
func (r *relay) hang(f func()) {
	r.halt.Lock()
	defer r.halt.Unlock()
	f()
}

// unheard is for how long hello has not been answered.
func (b *Backend) unheard() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sess == nil || b.sess.unheard == 0 {
		return 0
	}
	return time.Duration(backend.Now() - b.sess.unheard)
}

// TestHungLeafIsBackWhenItSpeaks: one that was marked bad because it was silent is good again at its first hello, and not when its rest is over.
func TestHungLeafIsBackWhenItSpeaks(t *testing.T) {
	const timeout = 300 * time.Millisecond
	b, r, ev := hanging(t, Options{
		Timeout: timeout, HelloInterval: 20 * time.Millisecond, Health: backend.HealthOptions{RetryMin: time.Hour},
	})
	c := newClient(t, 0)
	for range 3 {
		r.hang(func() {
			ev.wait(t, backend.EventMarkedBad)
			soon(t, "silent for long", func() bool { return b.unheard() > 2*timeout })
		})
		ev.wait(t, backend.EventConnected)
		soon(t, "served", func() bool { return c.do(b, "get a\r\n") == "END\r\n" }) // a busy machine may find it silent once more
	}
	if s := b.Status(); s.Opened != 1 {
		t.Errorf("status %+v: want the same connection", s)
	}
}

// TestMarkedBadIsGreetedAtOnce: a leaf that requests have found out says hello as soon as it goes on, whenever its next greeting is due. But if it hangs
// again by then it rests.
func TestMarkedBadIsGreetedAtOnce(t *testing.T) {
	const timeout = 300 * time.Millisecond
	b, r, ev := hanging(t, Options{
		Timeout: timeout, HelloInterval: time.Hour, Health: backend.HealthOptions{FailureLimit: backend.NoTolerance, RetryMin: time.Hour},
	})
	c := newClient(t, 0)
	hang := func() {
		if got := c.do(b, "get a\r\n"); got != "ERR "+backend.ErrTimeout.Error() {
			t.Errorf("%q", got)
		}
		ev.wait(t, backend.EventMarkedBad)
		soon(t, "asked", func() bool { return b.unheard() > timeout })
	}
	r.hang(hang)
	ev.wait(t, backend.EventConnected)
	if got := c.do(b, "get a\r\n"); got != "END\r\n" {
		t.Errorf("%q", got)
	}
	r.hang(hang)
	soon(t, "answered", func() bool { return b.unheard() == 0 })
	if got := c.do(b, "get a\r\n"); got != "ERR "+backend.ErrDown.Error() {
		t.Errorf("%q", got)
	}
}

// TestGreetingIsNotServing: a leaf that says hello all the time and lets requests time out has its rest.
func TestGreetingIsNotServing(t *testing.T) {
	f := newFakeLeaf(t, nil)
	f.on(func(*nats.Msg, frame.Header, string) {})
	ev := newEvents()
	b := startBackend(t, Options{
		URL: f.url, Timeout: 300 * time.Millisecond, HelloInterval: 10 * time.Millisecond, HelloLimit: patience, OnEvent: ev.on,
		Health: backend.HealthOptions{FailureLimit: backend.NoTolerance, RetryMin: time.Hour},
	})
	c := newClient(t, 0)
	c.do(b, "get a\r\n")
	ev.wait(t, backend.EventMarkedBad)
	more := f.said.Load() + 10
	soon(t, "greeted", func() bool { return f.said.Load() > more })
	if got := c.do(b, "get a\r\n"); got != "ERR "+backend.ErrDown.Error() {
		t.Errorf("%q", got)
	}
}

// TestLateAnswerIsNews: a leaf that is down and answers anything at all is greeted at once.
func TestLateAnswerIsNews(t *testing.T) {
	f := newFakeLeaf(t, nil)
	late := make(chan func(), 1)
	f.on(func(m *nats.Msg, h frame.Header, _ string) { late <- func() { answer(m, h.ID, nil, "END\r\n") } })
	ev := newEvents()
	const timeout = 50 * time.Millisecond
	b := startBackend(t, Options{
		URL: f.url, Timeout: timeout, HelloInterval: time.Hour, OnEvent: ev.on,
		Health: backend.HealthOptions{FailureLimit: backend.NoTolerance, RetryMin: time.Hour},
	})
	ev.wait(t, backend.EventConnected)
	soon(t, "greeted twice", func() bool { return f.said.Load() == 2 }) // the second says that requests come from now on
	f.mute.Store(true)
	c := newClient(t, 0)
	if got := c.do(b, "get a\r\n"); got != "ERR "+backend.ErrTimeout.Error() {
		t.Errorf("%q", got)
	}
	ev.wait(t, backend.EventMarkedBad)
	soon(t, "silent for long", func() bool { return b.unheard() > 2*timeout })
	f.mute.Store(false)
	(<-late)()
	ev.wait(t, backend.EventConnected)
}

// TestAnswerInTimeIsNews: so is one that comes in time, to what was sent before the leaf was marked bad: it is good again, and hello has to say so.
func TestAnswerInTimeIsNews(t *testing.T) {
	f := newFakeLeaf(t, nil)
	held := make(chan func(), 2)
	f.on(func(m *nats.Msg, h frame.Header, _ string) { held <- func() { answer(m, h.ID, nil, "END\r\n") } })
	ev := newEvents()
	b := startBackend(t, Options{
		URL: f.url, Timeout: time.Second, HelloInterval: time.Hour, OnEvent: ev.on,
		Health: backend.HealthOptions{FailureLimit: backend.NoTolerance, RetryMin: time.Hour},
	})
	ev.wait(t, backend.EventConnected)
	soon(t, "greeted twice", func() bool { return f.said.Load() == 2 }) // the second says that requests come from now on
	first, second := newClient(t, 0), newClient(t, 0)
	answers := make(chan string, 2)
	ask := func(c *client) { answers <- c.do(b, "get a\r\n") }
	go ask(first)
	<-held
	soon(t, "half-way", func() bool { return backend.Now()-b.Status().Oldest > int64(500*time.Millisecond) })
	go ask(second)
	late := <-held
	ev.wait(t, backend.EventMarkedBad)
	soon(t, "found to say hello", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return !b.up })
	late()
	if timedOut, got := <-answers, <-answers; timedOut != "ERR "+backend.ErrTimeout.Error() || got != "END\r\n" {
		t.Errorf("%q and %q", timedOut, got)
	}
	ev.wait(t, backend.EventConnected)
}

// TestWelcomeIsTriedAtOnce: somebody has heard of a leaf that is marked bad.
func TestWelcomeIsTriedAtOnce(t *testing.T) {
	f := newFakeLeaf(t, nil)
	var serves atomic.Bool
	f.on(func(m *nats.Msg, h frame.Header, _ string) {
		if serves.Load() {
			answer(m, h.ID, nil, "END\r\n")
		}
	})
	ev := newEvents()
	b := startBackend(t, Options{
		URL: f.url, Timeout: 300 * time.Millisecond, HelloInterval: time.Hour, OnEvent: ev.on,
		Health: backend.HealthOptions{FailureLimit: backend.NoTolerance, RetryMin: time.Hour},
	})
	ev.wait(t, backend.EventConnected)
	c := newClient(t, 0)
	c.do(b, "get a\r\n")
	ev.wait(t, backend.EventMarkedBad)
	soon(t, "greeted", func() bool { return f.said.Load() == 3 && b.unheard() == 0 })
	if got := c.do(b, "get a\r\n"); got != "ERR "+backend.ErrDown.Error() {
		t.Errorf("%q", got)
	}
	serves.Store(true)
	b.Welcome()
	ev.wait(t, backend.EventConnected)
	if got := c.do(b, "get a\r\n"); got != "END\r\n" {
		t.Errorf("%q", got)
	}
	soon(t, "greeted", func() bool { return f.said.Load() == 5 && b.unheard() == 0 }) // once more when it came back
	b.Welcome()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.welcome || b.helloDue {
		t.Error("it is tried although it serves")
	}
}

// patiently gives Conns that never connect again by themselves.
func patiently() *Conns {
	conns := NewConns(Access{})
	conns.delay = func(int) time.Duration { return time.Hour }
	return conns
}

// TestWelcomeConnectsAtOnce: whenever the next attempt is due.
func TestWelcomeConnectsAtOnce(t *testing.T) {
	addr := freePort(t)
	ev := newEvents()
	b := startBackend(t, Options{URL: "nats://" + addr, OnEvent: ev.on, Conns: patiently()})
	ev.wait(t, backend.EventConnecting)
	for range 2 {
		l := startLeaf(t, leaf.Options{Listen: addr})
		b.Welcome()
		ev.wait(t, backend.EventConnected)
		_ = l.Close(cut)
		ev.wait(t, backend.EventDisconnected)
	}
}

// TestWelcomeLeavesWhatHangs: a connection from which nothing comes, while it is made and after, is no reason to wait.
func TestWelcomeLeavesWhatHangs(t *testing.T) {
	b, r, ev := hanging(t, Options{
		Timeout: 50 * time.Millisecond, ConnectTimeout: time.Hour, HelloInterval: 20 * time.Millisecond, Conns: patiently(),
	})
	r.lost.Store(2)
	ev.wait(t, backend.EventTimeout)
	soon(t, "silent for long", func() bool { return !b.hears() })
	b.Welcome()
	soon(t, "connected anew", func() bool { return r.made.Load() == 2 })
	soon(t, "lost", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.nc == nil })
	b.Welcome()
	ev.wait(t, backend.EventConnected)
	if n := r.made.Load(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

// TestWelcomeLeavesTheOthers: who shares a connection with a leaf that is silent, and hears from its own, keeps it.
func TestWelcomeLeavesTheOthers(t *testing.T) {
	f := newFakeLeaf(t, nil)
	f.on(func(m *nats.Msg, h frame.Header, _ string) { answer(m, h.ID, nil, "END\r\n") })
	conns := NewConns(Access{})
	ev := newEvents()
	url, _ := strings.CutSuffix(f.url, "/leaf-1")
	start := func(name string, every time.Duration, on func(backend.Event)) *Backend {
		return startBackend(t, Options{URL: url + "/" + name, HelloInterval: every, Conns: conns, OnEvent: on})
	}
	there := newEvents()
	b := start("leaf-1", time.Hour, there.on)
	there.wait(t, backend.EventConnected)
	away := start("leaf-2", 20*time.Millisecond, ev.on)
	ev.wait(t, backend.EventTimeout)
	away.Welcome()
	soon(t, "greeted", func() bool { away.mu.Lock(); defer away.mu.Unlock(); return !away.helloDue })
	if got := newClient(t, 0).do(b, "get a\r\n"); got != "END\r\n" || b.Status().Opened != 1 {
		t.Errorf("%q, %+v", got, b.Status())
	}
}

package leafnats

import (
	"sync"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// follows expects requests of lane 3 for these keys to be under way by epoch 5, and others not to be.
func follows(t *testing.T, b *Backend, keys ...string) {
	t.Helper()
	for _, key := range []string{"one", "two", "slow"} {
		want := false
		for _, k := range keys {
			want = want || k == key
		}
		if got := b.Follow(3, []byte(key), 5, nil); got != want {
			t.Errorf("%q is under way: %v, want %v", key, got, want)
		}
	}
	if b.Owes(5) != (len(keys) > 0) {
		t.Errorf("owes something: %v", b.Owes(5))
	}
	if b.Follow(4, []byte("one"), 5, nil) || b.Follow(3, []byte("one"), 6, nil) || b.Owes(6) {
		t.Error("another client's, or of another membership")
	}
}

// told waits until somebody is told.
func told(t *testing.T, ch chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatal("nobody was told")
	}
}

// TestFollow: a request is known to be under way before the leaf is there, while the leaf is at it or has yet to see it, and not when it is answered.
func TestFollow(t *testing.T) {
	in, open := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(open) })
	exec := func(r *mc.Request, dst []byte) []byte {
		if string(r.Key) == "slow" {
			in <- struct{}{}
			<-open
		}
		if r.Cmd == mc.CmdMN {
			return append(dst, "MN\r\n"...)
		}
		return append(dst, "END\r\n"...)
	}
	_, b := pair(t, leaf.Options{Lanes: 1, Exec: exec}, Options{Timeout: patience, HelloInterval: patience})
	t.Cleanup(release)
	by, c, other := term(5, 0, nil), newClient(t, 3), newClient(t, 4)
	follows(t, b)
	b.mu.Lock()
	b.up, b.hopeful = false, true // as before the first hello
	b.mu.Unlock()
	other.by(b, 0, by, request(t, "get two\r\n"))
	c.by(b, 1, by, request(t, "get one\r\n"))
	c.by(b, 2, by, request(t, "get slow\r\n"))
	follows(t, b, "one", "slow")
	news := make(chan struct{}, 10)
	tell := func() { news <- struct{}{} }
	if !b.Follow(3, []byte("one"), 5, tell) {
		t.Error("it waits for the leaf")
	}
	b.mu.Lock()
	b.up, b.hopeful = true, false
	b.dealEarlyLocked()
	b.mu.Unlock()
	told(t, news) // it is in the queue of a lane now
	follows(t, b, "one", "slow")
	b.wakeWriter()
	<-in
	follows(t, b, "one", "slow")
	c.by(b, 3, by, request(t, "get two\r\n"))
	follows(t, b, "one", "two", "slow")
	if !b.Follow(3, []byte("one"), 5, tell) || !b.Follow(3, []byte("two"), 5, tell) {
		t.Error("it is in flight")
	}
	release()
	told(t, news)
	told(t, news)
	c.take(3)
	other.take(1)
	follows(t, b)
	if len(news) > 0 {
		t.Errorf("told %d times too often", len(news))
	}
}

// TestFollowParts: of an answer that comes in parts the rest is under way while the reader is at the first.
func TestFollowParts(t *testing.T) {
	_, b := pair(t, leaf.Options{Lanes: 1, MaxPayload: 16 << 10}, Options{Timeout: patience})
	by, c := term(5, 0, nil), newClient(t, 3)
	c.by(b, 0, by, request(t, set("one", big(11<<10, 1))))
	c.take(1)
	news := make(chan struct{}, 10)
	c.hold = func() { // called by the reader
		if !b.Follow(3, []byte("two"), 5, func() { news <- struct{}{} }) || !b.Owes(5) {
			t.Error("the rest is not under way")
		}
	}
	b.mu.Lock() // so that one frame has all
	for i, line := range []string{"get one\r\n", "get one\r\n", "get two\r\n"} {
		p := backend.NewPending()
		p.Waiter, p.Lane, p.Tag, p.Term = c, 3, i, by
		c.owed[p] = true
		b.enqueueLocked(0, p, request(t, line))
		b.count++
	}
	b.mu.Unlock()
	b.wakeWriter()
	c.take(3)
	told(t, news)
	follows(t, b)
}

// TestFollowRefused: what is refused is under way until who placed it has it back.
func TestFollowRefused(t *testing.T) {
	l, b := pair(t, leaf.Options{Lanes: 1}, Options{Timeout: patience})
	c, news, back := newClient(t, 3), make(chan struct{}, 10), make(chan backend.Again, 1)
	old := term(5, 0, func(list []backend.Again) {
		if !b.Follow(3, []byte("one"), 5, func() { news <- struct{}{} }) || !b.Owes(5) {
			t.Error("not under way, and not back")
		}
		back <- list[0]
	})
	l.SetEpoch(6)
	c.by(b, 1, old, request(t, "get one\r\n"))
	a := <-back
	told(t, news)
	follows(t, b)
	a.Pending.Term = nil
	b.Send(&a.Request, a.Pending)
	c.take(1)
}

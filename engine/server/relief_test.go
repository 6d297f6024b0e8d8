package server

import (
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// Answers that nobody takes are given up for those that somebody would.
func TestUnreadAnswersMakeRoom(t *testing.T) {
	s := serve(t, Options{MaxBuffered: hugeAnswer + hugeAnswer/2}, unixAddr(t))
	unread, refused, other := dial(t, s), dial(t, s), dial(t, s)
	unread.says("get huge\r\n")
	until(t, "answers to wait", func() bool { return s.Stats().Buffered > 0 })
	for range 9 {
		s.sweep()
	}
	if n := s.Stats().ClosedUnread; n != 0 {
		t.Errorf("%d cut though there was room", n)
	}
	refused.says("get huge\r\n") // for which there is none
	refused.cut()
	until(t, "the first to be cut", func() bool { s.sweep(); st := s.Stats(); return st.ClosedUnread == 2 && st.Buffered == 0 })
	unread.cut()
	other.says("get other\r\n")
	other.sees(value("other"))
}

// Those for which most is held go first, and nobody who takes its answers, if slowly.
func TestWhoMakesRoom(t *testing.T) {
	s := serve(t, Options{MaxBuffered: 7 * hugeAnswer}, unixAddr(t))
	slow, little, much := dial(t, s), dial(t, s), dial(t, s)
	for p, n := range map[*peer]int{slow: 3, little: 1, much: 2} {
		before := s.Stats().Buffered
		p.says("%s", strings.Repeat("get huge\r\n", n))
		until(t, "answers to wait", func() bool { return s.Stats().Buffered > before+int64(n-1)*hugeAnswer })
	}
	take := func(p *peer, n int64) {
		if _, err := io.CopyN(io.Discard, p.r, n); err != nil {
			t.Fatal(err)
		}
	}
	// holds finds the connection for which n answers and a part are held, and asks about it; true if it is gone.
	holds := func(n int64, ask func(c *conn) bool) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			if owed := c.owed.Load(); owed > n*hugeAnswer-hugeAnswer/2 && owed < n*hugeAnswer+hugeAnswer/2 {
				return ask(c)
			}
		}
		return true
	}
	const some = 1 << 20
	taken := int64(0)
	for s.Stats().ClosedUnread == 0 { // what a socket took of a write before counts once
		var now int64
		holds(2, func(c *conn) bool { now = c.stuck.Load() + idleness - 1; return true })
		s.tick.Add(max(0, now-s.tick.Load()))
		take(slow, some)
		taken += some
		until(t, "that to be seen", func() bool { return holds(3, func(c *conn) bool { return c.stuck.Load() > now }) })
		s.mu.Lock()
		s.relieve(now)
		s.mu.Unlock()
		until(t, "who was asked to answer", func() bool { return holds(2, func(c *conn) bool { return !c.asked.Load() }) })
	}
	much.cut()
	take(little, hugeAnswer)
	little.sees(value("huge"))
	take(slow, hugeAnswer-taken%hugeAnswer)
	if n := s.Stats().ClosedUnread; n != 1 {
		t.Errorf("%d cut", n)
	}
}

// Who takes its answers as they come is not cut because others hold more than there is room for.
func TestOthersAreFull(t *testing.T) {
	for _, loop := range []bool{false, true} {
		if loop {
			inLoop(t)
		}
		var held atomic.Int64
		d, s, p := late(t, Options{MaxBuffered: 1 << 20, Held: held.Load})
		held.Store(1<<20 + 1)
		p.says("get late\r\n")
		await(t, "the batch to wait", d.homes).GoOn()
		p.sees(value("late"))
		p.says("get a\r\n")
		p.sees(value("a"))
		if !s.Full() || s.Stats().ClosedUnread != 0 {
			t.Errorf("full %v, %+v", s.Full(), s.Stats())
		}
	}
}

// A request of which nothing more comes is given up for others.
func TestStalledRequestsMakeRoom(t *testing.T) {
	s := serve(t, Options{MaxBuffered: 320 << 10})
	set := "set a 0 0 40000\r\n" + strings.Repeat("x", 40000) + "\r\n"
	stalled, slow, late := dial(t, s), dial(t, s), dial(t, s)
	stalled.says("%s", set[:30000])
	slow.says("%s", set[:30000])
	s.awaitBegun(t, 2)
	until(t, "both to be buffered", func() bool { return s.Stats().Buffered == 2*64<<10 })
	large := strings.Repeat("x", 100_000)
	late.says("set b 0 0 100000\r\n%s\r\n", large)
	late.sees(string(lineNoMemory))
	now, read := s.tick.Add(idleness), s.Stats().BytesRead
	slow.says("%s", set[30000:30001])
	until(t, "that to be read", func() bool { return s.Stats().BytesRead > read })
	s.mu.Lock()
	s.relieve(now)
	s.mu.Unlock()
	stalled.ends()
	slow.says("%s", set[30001:])
	slow.sees("STORED\r\n")
	if st := s.Stats(); st.ClosedSlow != 1 || st.Refused != 1 {
		t.Errorf("%+v", st)
	}
	late.says("set b 0 0 100000\r\n%s\r\n", large)
	late.sees("STORED\r\n")
}

// Nor is who takes so little at a time that the socket has no room for more yet.
func TestWhoTakesLittleIsNotCut(t *testing.T) {
	s := serve(t, Options{})
	p := dial(t, s)
	if err := p.Conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	p.says("get huge\r\n")
	var c *conn
	until(t, "answers to wait", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c = range s.conns {
		}
		return c != nil && c.stuck.Load() > 0
	})
	asks := func() {
		now := c.stuck.Load() + idleness - 1
		s.tick.Add(max(0, now-s.tick.Load()))
		s.mu.Lock()
		s.relieve(now)
		s.mu.Unlock()
	}
	for range 5 {
		for unsent := c.unsent(); c.unsent() >= unsent; {
			if _, err := io.CopyN(io.Discard, p.r, 16<<10); err != nil {
				t.Fatal(err)
			}
		}
		asks()
		until(t, "who was asked to answer", func() bool { return !c.asked.Load() })
	}
	if n := s.Stats().ClosedUnread; n != 0 {
		t.Fatalf("%d cut", n)
	}
	until(t, "who takes nothing more to be cut", func() bool { asks(); return s.Stats().ClosedUnread == 1 })
}

// Who was to be given up, and has sent something before it was, is not given up for a later pause.
func TestHaltedRequestGoesOn(t *testing.T) {
	s := serve(t, Options{})
	p := dial(t, s)
	p.says("set a 0 0 40000\r\n%s", strings.Repeat("x", 30_000))
	s.awaitBegun(t, 1)
	until(t, "it to be buffered", func() bool { return s.Stats().Buffered == 64<<10 })
	s.tick.Add(idleness)
	read := s.Stats().BytesRead
	p.says("%s", strings.Repeat("x", 5_000))
	until(t, "that to be read", func() bool { return s.Stats().BytesRead == read+5_000 })
	s.mu.Lock()
	for c := range s.conns {
		c.halted.Store(s.tick.Load()) // what relieve does, if it had looked before
		if err := c.expired(s.tick.Add(idleness)); err != nil {
			t.Error(err)
		}
	}
	s.mu.Unlock()
	p.says("%s\r\n", strings.Repeat("x", 5_000))
	p.sees("STORED\r\n")
}

package engine

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// What is under way for a client is as much as may be held of its answers, once it is known how large they are.
func TestPortions(t *testing.T) {
	const size = 512 << 10
	c, b, p := routed(t, "mcp.attach(mcp.CMD_ANY_STORAGE, p)")
	get, value := "get k\r\n", fmt.Sprintf("VALUE k 0 %d\r\n%s\r\nEND\r\n", size, strings.Repeat("x", size))
	answers := func(n int) {
		t.Helper()
		go io.WriteString(b.conn, strings.Repeat(value, n))
		c.sees(strings.Repeat(value, n))
	}
	c.says(strings.Repeat(get, 64))
	b.sees(strings.Repeat(get, 64))
	answers(64)
	c.says(strings.Repeat(get, 20))
	n := defaultShare / (1<<20 + 16<<10) // for that is what an answer takes
	for left := 20; left > 0; left -= n {
		n = min(n, left)
		b.sees(strings.Repeat(get, n))
		if got := p.inFlight.Load(); got != int64(n) {
			t.Errorf("%d are under way, want %d", got, n)
		}
		answers(n)
	}
	for range 8 { // and while they are small it grows
		c.says(strings.Repeat("get k\r\n", 64))
		for left := 64; left > 0; {
			b.sees("get k\r\n")
			b.says("END\r\n")
			left--
		}
		c.sees(strings.Repeat("END\r\n", 64))
	}
	c.says(strings.Repeat("get k\r\n", 64))
	b.sees(strings.Repeat("get k\r\n", 64))
	b.says(strings.Repeat("END\r\n", 64))
	c.sees(strings.Repeat("END\r\n", 64))
	if n := p.held.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

// A client whose answers are dropped for want of room is refused without asking for them, until there is some.
func TestHopelessGets(t *testing.T) {
	const held, asked, n = 16 << 20, 4 << 20, 64
	unread, b, p := routed(t, "mcp.attach(mcp.CMD_ANY_STORAGE, p)", func(o *Options) { o.MaxItem, o.MaxBuffered = held, 18<<20 })
	answer := func(size int) string {
		return fmt.Sprintf("VALUE k 0 %d\r\n%s\r\nEND\r\n", size, strings.Repeat("x", size))
	}
	if err := unread.c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	unread.says("get k\r\n")
	b.sees("get k\r\n")
	b.says(answer(held))
	if _, err := unread.r.Peek(1); err != nil { // and takes no more
		t.Fatal(err)
	}
	var sent atomic.Int64
	go func() {
		for large := answer(asked); ; {
			switch line, err := b.r.ReadString('\n'); {
			case err != nil:
				return
			case line == "get k\r\n":
				sent.Add(1)
				io.WriteString(b.conn, large)
			case line == "hi\r\n":
				io.WriteString(b.conn, "STORED\r\n")
			case !strings.HasPrefix(line, "set"):
				io.WriteString(b.conn, "END\r\n")
			}
		}
	}()
	c := dial(t, p)
	c.says("get k\r\n")
	c.sees(lineNoMemory)
	c.says(strings.Repeat("get k\r\n", n))
	c.sees(strings.Repeat(lineNoMemory, n))
	if got := sent.Load(); got > n/2 { // now and then one
		t.Errorf("%d of %d have been sent", got, n)
	}
	if got := p.stats.dropped.Load(); got != n+1 {
		t.Errorf("%d are counted", got)
	}
	for range 50 { // who waits for its answers is not refused small ones
		c.says("get small\r\n")
		c.sees("END\r\n")
	}
	unread.resets()
	until(t, "room", func() bool { return p.held.Load() == 0 })
	sets := strings.Repeat("set a 0 0 2\r\nhi\r\n", 40)
	for range 8 {
		c.says(sets)
		c.sees(strings.Repeat("STORED\r\n", 40))
	}
	c.says("get k\r\n")
	c.sees(answer(asked))
	p.sessions.mu.Lock()
	defer p.sessions.mu.Unlock()
	for s := range p.sessions.all {
		if s.dropped.Load() {
			t.Error("a client is held for one that there is no room for, though there is")
		}
	}
}

// What serving costs, and what is counted.

package server

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
)

func TestAllocPerRequest(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	f := func(name, says, sees string) {
		t.Helper()
		p := dial(t, serve(t, Options{}))
		req, want, got := []byte(says), []byte(sees), make([]byte, len(sees))
		once := func() {
			if _, err := p.Conn.Write(req); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(p.Conn, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("sees %.100q (%v)", got, err)
			}
		}
		for range 2 * trustEdges {
			once()
		}
		if n := testing.AllocsPerRun(500, once); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	f("a get", "get a\r\n", value("a"))
	f("a set", "set a 0 0 5\r\nhello\r\n", "STORED\r\n")
	f("100 gets", strings.Repeat("get a\r\n", 100), strings.Repeat(value("a"), 100))
	f("rubbish", "rubbish\r\n\r\nset a 0 0 1\r\nxx\r\n", "ERROR\r\n"+lineEmpty+"CLIENT_ERROR bad data chunk\r\n"+lineEmpty)
	f("a large set", "set a 0 0 100000\r\n"+strings.Repeat("x", 100000)+"\r\n", "STORED\r\n")
	f("a refused set", "set a 0 0 2000000\r\n"+strings.Repeat("x", 2000000)+"\r\n", "SERVER_ERROR object too large for cache\r\n")
}

// A connection that waits for its client gives its buffers back: the next one uses them.
func TestIdleConnectionsHoldNoBuffer(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	const conns = 300
	s := serve(t, Options{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range conns {
		p := dial(t, s)
		p.says("get a\r\nset b 0 0 10\r\nabc") // what is begun is kept, in a few bytes
		p.sees(value("a"))
	}
	s.awaitBegun(t, conns)
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / conns; n > uint64(bufferSizes[0])/2 { // 4 KiB of it are the test's own
		t.Errorf("%d bytes allocated for each idle connection", n)
	}
}

func TestStats(t *testing.T) {
	s := serve(t, Options{}, "tag_a_:127.0.0.1:0", unixAddr(t))
	a, b := s.Addrs()[0], s.Addrs()[1]
	first, second, third := dialAddr(t, a), dialAddr(t, a), dialAddr(t, b)
	for _, p := range []*peer{first, second, third} {
		p.says("get key\r\nbad\r\n")
		p.sees(value("key") + "ERROR\r\n")
	}
	second.Close() // what it counted stays
	until(t, "the second to be gone", func() bool { return s.Stats().Conns == 2 })
	in, out := uint64(len("get key\r\nbad\r\n")), uint64(len(value("key")+"ERROR\r\n"))
	want := []ListenerStats{
		{Addr: a, Conns: 1, Total: 2, BytesRead: 2 * in, BytesWritten: 2 * out},
		{Addr: b, Conns: 1, Total: 1, BytesRead: in, BytesWritten: out},
	}
	st := s.Stats()
	if len(st.Listeners) != 2 || st.Listeners[0] != want[0] || st.Listeners[1] != want[1] {
		t.Errorf("listeners %+v, want %+v", st.Listeners, want)
	}
	if st.Conns != 2 || st.Total != 3 || st.BytesRead != 3*in || st.BytesWritten != 3*out {
		t.Errorf("%+v", st)
	}
	if st.Rejected+st.AcceptErrors+st.Refused+st.ClosedIdle+st.ClosedSlow+st.ClosedUnread+st.Panics != 0 || st.Buffered != 0 {
		t.Errorf("%+v", st)
	}
}

// A client that ends its stream together with its last request is served and closed, also when the server has come to
// trust that a short read empties the socket (see turn).
func TestEndOfStreamIsSeen(t *testing.T) {
	for _, batches := range []int{0, 1, trustEdges - 2, trustEdges - 1, trustEdges, 3 * trustEdges} {
		s := serve(t, Options{})
		p := dial(t, s)
		for range batches {
			p.says("get a\r\n")
			p.sees(value("a"))
		}
		p.says("get b\r\n")
		p.Conn.(*net.TCPConn).CloseWrite()
		p.sees(value("b"))
		s.pass(3) // without a look at the quiet connection its end could go unseen
		p.ends()
	}
}

// Limits: what is refused or cut so that one client harms no other. Time passes by calling sweep.

package server

import (
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// pass lets n seconds pass.
func (s *Server) pass(n int) {
	for range n {
		s.sweep()
	}
}

// short is a limit that is meant to be reached.
const short = 20 * time.Millisecond

func TestUnreadAnswers(t *testing.T) {
	f := func(name string, o Options, cut bool) {
		t.Helper()
		s := serve(t, o, unixAddr(t))
		p, other := dial(t, s), dial(t, s)
		p.says("get huge\r\n")
		if cut {
			until(t, name+": the client to be cut", func() bool { st := s.Stats(); return st.ClosedUnread == 1 && st.Conns == 1 })
			p.cut()
		} else {
			until(t, name+": answers to wait", func() bool { return s.Stats().Buffered > 0 })
		}
		other.says("get other\r\n")
		other.sees(value("other"))
		if cut {
			return
		}
		if _, err := io.CopyN(io.Discard, p.r, hugeAnswer); err != nil {
			t.Fatal(err)
		}
		p.sees(value("huge"))
		p.says("get after\r\n")
		p.sees(value("after"))
		if st := s.Stats(); st.ClosedUnread != 0 || st.Buffered != 0 {
			t.Errorf("%s: %+v", name, st)
		}
	}
	f("a time limit", Options{WriteTimeout: short}, true)
	f("a memory limit", Options{WriteTimeout: -1, MaxBuffered: hugeAnswer / 2}, true)
	f("neither", Options{WriteTimeout: -1}, false)
	f("both, not met", Options{}, false)
}

// A request that is larger than a connection may buffer is refused before it has come, and the stream goes on behind it.
func TestMaxConnBuffer(t *testing.T) {
	s := serve(t, Options{MaxConnBuffer: 20000})
	refused := uint64(0)
	f := func(says, sees string) {
		t.Helper()
		p := dial(t, s)
		go io.WriteString(p, says+"get after\r\n")
		p.sees(sees + value("after"))
		if !strings.HasPrefix(sees, "STORED") {
			refused++
		}
		if st := s.Stats(); st.Refused != refused {
			t.Errorf("%d refused, want %d", st.Refused, refused)
		}
		p.Close()
	}
	large := strings.Repeat("x", 30000)
	f("set a 0 0 16000\r\n"+large[:16000]+"\r\n", "STORED\r\n")
	f("set a 0 0 19900\r\n"+large[:19900]+"\r\n", "STORED\r\n")
	f("set a 0 0 30000\r\n"+large+"\r\n", string(lineNoMemory))
	f("get b\r\nset a 0 0 30000\r\n"+large+"\r\n", value("b")+string(lineNoMemory))
	f("set a 0 0 30000 noreply\r\n"+large+"\r\n", "")
	f("ms a 30000 q\r\n"+large+"\r\n", string(lineNoMemory))

	p := dial(t, s) // the end of a line is not known: nothing can be thrown away up to it
	go io.WriteString(p, "get a\r\nget"+strings.Repeat(" key", 50000)+"\r\n")
	p.sees(value("a") + string(lineNoMemory))
	p.ends()

	p = dial(t, s) // refused before the rest has come; what is left of it may take its time
	p.says("set a 0 0 30000\r\n%s", large[:1000])
	s.awaitBegun(t, 1)
	p.says("%s", large[1000:20000])
	p.sees(string(lineNoMemory))
	s.awaitBegun(t, 0)
	s.pass(100)
	p.says("%s\r\nget after\r\n", large[20000:])
	p.sees(value("after"))
}

// The limit for all: who comes too late is refused, and served again when there is room.
func TestMaxBuffered(t *testing.T) {
	s := serve(t, Options{MaxBuffered: 100 << 10})
	first, second, small := dial(t, s), dial(t, s), dial(t, s)
	set := "set a 0 0 40000\r\n" + strings.Repeat("x", 40000) + "\r\n"
	first.says("%s", set[:len(set)-1])
	s.awaitBegun(t, 1)
	if n := s.Stats().Buffered; n != 64<<10 {
		t.Errorf("%d bytes count as buffered", n)
	}
	second.says("%s", set)
	second.sees(string(lineNoMemory))
	small.says("set a 0 0 2\r\nxx\r\n") // the smallest buffers are no matter of the limit
	small.sees("STORED\r\n")
	first.says("\n")
	first.sees("STORED\r\n")
	until(t, "the buffer to be given back", func() bool { return s.Stats().Buffered == 0 })
	second.says("%s", set)
	second.sees("STORED\r\n")
	if n := s.Stats().Refused; n != 1 {
		t.Errorf("%d refused", n)
	}
}

// Values above the largest size class are buffered too, if they are allowed.
func TestValueAboveTheSizeClasses(t *testing.T) {
	if testing.Short() {
		t.Skip("80 MiB")
	}
	d := newDesk()
	d.rules.Store(&mc.Rules{MaxValue: math.MaxInt32})
	p := dial(t, serve(t, Options{Handler: d}))
	go func() {
		io.WriteString(p, "set a 0 0 83886080\r\n")
		for range 80 {
			p.Conn.Write(make([]byte, 1<<20))
		}
		io.WriteString(p, "\r\n")
	}()
	p.sees("STORED\r\n")
}

func TestMaxConns(t *testing.T) {
	s := serve(t, Options{MaxConns: 2}, "127.0.0.1:0", unixAddr(t))
	tcp, unix := s.Addrs()[0], s.Addrs()[1]
	first, second := dialAddr(t, tcp), dialAddr(t, unix)
	for _, p := range []*peer{first, second} {
		p.says("get a\r\n")
		p.sees(value("a"))
	}
	for _, a := range []ListenAddr{tcp, unix} {
		p := dialAddr(t, a)
		p.sees("ERROR Too many open connections\r\n")
		p.ends()
	}
	first.says("get b\r\n")
	first.sees(value("b"))
	second.Close()
	until(t, "room", func() bool { return s.Stats().Conns == 1 })
	third := dialAddr(t, tcp)
	third.says("get c\r\n")
	third.sees(value("c"))
	if st := s.Stats(); st.Conns != 2 || st.Total != 3 || st.Rejected != 2 || st.Listeners[0].Rejected != 1 || st.Listeners[1].Rejected != 1 {
		t.Errorf("%+v", st)
	}
}

func TestIdleTimeout(t *testing.T) {
	d := newDesk()
	s := serve(t, Options{Handler: d, IdleTimeout: 1000 * time.Second, RequestTimeout: -1})
	silent, chatty, waits, begun := dial(t, s), dial(t, s), dial(t, s), dial(t, s)
	waits.says("get wait\r\n")
	await(t, "the session to wait", d.entered)
	begun.says("get beg")
	s.awaitBegun(t, 1)
	until(t, "all to be accepted", func() bool { return s.Stats().Conns == 4 })
	for range 3 {
		chatty.says("get a\r\n")
		chatty.sees(value("a"))
		s.pass(400)
	}
	silent.ends()
	begun.ends() // RequestTimeout is off: only silence counts
	d.gate <- struct{}{}
	waits.sees(value("wait")) // it was the server that was slow
	chatty.says("get b\r\n")
	chatty.sees(value("b"))
	until(t, "the silent to be gone", func() bool { st := s.Stats(); return st.Conns == 2 && st.ClosedIdle == 2 && st.ClosedSlow == 0 })
	s.pass(1002)
	waits.ends()
	chatty.ends()
}

// A client that takes its answers is not idle.
func TestIdleTimeoutWhileAnswersAreTaken(t *testing.T) {
	s := serve(t, Options{IdleTimeout: 1000 * time.Second, WriteTimeout: -1}, unixAddr(t))
	p := dial(t, s)
	p.says("get huge\r\n")
	until(t, "answers to wait", func() bool { return s.Stats().Buffered > 0 })
	s.pass(2000)
	if _, err := io.CopyN(io.Discard, p.r, hugeAnswer); err != nil {
		t.Fatal(err)
	}
	p.sees(value("huge"))
	s.pass(900)
	p.says("get after\r\n")
	p.sees(value("after"))
}

// Without IdleTimeout a client may say nothing for as long as it likes.
func TestSilenceForHours(t *testing.T) {
	s := serve(t, Options{})
	never, once := dial(t, s), dial(t, s)
	once.says("get a\r\n")
	once.sees(value("a"))
	until(t, "both to be accepted", func() bool { return s.Stats().Conns == 2 })
	s.pass(24 * 3600)
	for _, p := range []*peer{never, once} {
		p.says("get a\r\n")
		p.sees(value("a"))
	}
}

func TestRequestTimeout(t *testing.T) {
	f := func(name string, o Options, ends bool) {
		t.Helper()
		s := serve(t, o)
		line, body, refused := dial(t, s), dial(t, s), dial(t, s)
		refused.says("set a 0 0 2000000\r\nxx")
		refused.sees("SERVER_ERROR object too large for cache\r\n")
		line.says("get a\r\nget b")
		line.sees(value("a"))
		body.says("set a 0 0 20000\r\n")
		s.awaitBegun(t, 2)
		s.pass(30)
		read := s.Stats().BytesRead
		body.says("x") // to send a little does not help
		until(t, "the byte to be read", func() bool { return s.Stats().BytesRead == read+1 })
		s.pass(31)
		if ends {
			line.ends()
			body.ends()
			until(t, "both to be counted", func() bool { return s.Stats().ClosedSlow == 2 })
		} else {
			line.says("\r\n")
			line.sees(value("b"))
			body.says("%s\r\n", strings.Repeat("x", 19999))
			body.sees("STORED\r\n")
		}
		// A value that was refused owes nothing, however slowly it comes.
		refused.says("%s\r\nget after\r\n", strings.Repeat("x", 2000000-2))
		refused.sees(value("after"))
		if n := s.Stats().ClosedIdle; n != 0 {
			t.Errorf("%s: %d closed as idle", name, n)
		}
	}
	f("a minute by default", Options{}, true)
	f("half a minute", Options{RequestTimeout: 29500 * time.Millisecond}, true)
	f("none", Options{RequestTimeout: -1}, false)
	f("an hour", Options{RequestTimeout: time.Hour}, false)
}

// A request that is done starts the time of the next anew.
func TestRequestTimeoutOfTheNext(t *testing.T) {
	s := serve(t, Options{})
	p := dial(t, s)
	p.says("get a")
	for range 5 {
		s.awaitBegun(t, 1)
		s.pass(50)
		p.says("\r\nget a") // it ends, and the next begins with the same bytes
		p.sees(value("a"))
	}
}

// Stopping: what is finished, what is closed, what is cut.

package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// shutdown begins to stop s; the channel gives what Shutdown returns.
func shutdown(s *Server) <-chan error {
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- s.Shutdown(ctx)
	}()
	return done
}

func TestShutdownFinishesAndClosesTheIdle(t *testing.T) {
	d := newDesk()
	s := serve(t, Options{Handler: d}, "127.0.0.1:0", unixAddr(t))
	fresh, idle, busy, begun, refused := dial(t, s), dialAddr(t, s.Addrs()[1]), dial(t, s), dial(t, s), dial(t, s)
	idle.says("get a\r\n")
	idle.sees(value("a"))
	busy.says("get a\r\nget wait\r\nget b\r\n")
	await(t, "the session to wait", d.entered)
	begun.says("get a\r\nset b 0 0 5\r\nab")
	begun.sees(value("a"))
	s.awaitBegun(t, 1)
	refused.says("set b 0 0 2000000\r\nab")
	refused.sees("SERVER_ERROR object too large for cache\r\n")
	until(t, "all to be accepted", func() bool { return s.Stats().Conns == 5 })

	done := shutdown(s)
	idle.ends()
	fresh.ends()
	refused.ends()
	for _, a := range s.Addrs() {
		if c, err := net.Dial(a.Network, a.Address); err == nil {
			c.Close()
			t.Errorf("it still accepts on %v", a)
		}
	}
	d.gate <- struct{}{}
	busy.sees(value("a") + value("wait") + value("b"))
	busy.ends()
	select {
	case err := <-done:
		t.Errorf("shut down (%v) with half a request under way", err)
	default:
	}
	read := s.Stats().BytesRead
	for i, piece := range []string{"c", "d", "e"} { // however many pieces it comes in
		begun.says("%s", piece)
		until(t, "the piece to be read", func() bool { return s.Stats().BytesRead == read+uint64(i)+1 })
	}
	begun.says("\r\n")
	begun.sees("STORED\r\n")
	begun.ends()
	if err := await(t, "shutdown", done); err != nil {
		t.Error(err)
	}
	if n := len(d.closed); n != 5 {
		t.Errorf("%d sessions closed, want 5", n)
	}
}

// Requests that are on their way when the server stops are answered; those behind them are not, and a client that never
// pauses cannot keep the server up. What it sees is whole answers and then an orderly end.
func TestShutdownUnderAStream(t *testing.T) {
	for _, pipeline := range []int{1, 1000} {
		s := serve(t, Options{Linger: patience})
		p := dial(t, s)
		says := bytes.Repeat([]byte("get a\r\n"), pipeline)
		go func() {
			for {
				if _, err := p.Write(says); err != nil {
					return
				}
			}
		}()
		p.sees(value("a"))
		done := shutdown(s)
		rest, err := io.ReadAll(p.r)
		p.Close()
		if err != nil || strings.ReplaceAll(string(rest), value("a"), "") != "" {
			t.Errorf("%d bytes, the last %q (%v)", len(rest), rest[max(0, len(rest)-50):], err)
		}
		if err := await(t, "shutdown", done); err != nil {
			t.Error(err)
		}
	}
}

// The server reads once more after it has begun to stop, and then no more, even if there never was a moment without requests.
func TestShutdownReadsOnceMore(t *testing.T) {
	d := newDesk()
	s := serve(t, Options{Handler: d})
	p := dial(t, s)
	p.says("get wait\r\n")
	await(t, "the session to wait", d.entered)
	done := shutdown(s)
	until(t, "stopping", s.stopping.Load)
	p.says("get wait\r\n") // before the first is answered
	d.gate <- struct{}{}
	await(t, "the session to wait again", d.entered)
	p.says("get wait\r\n")
	d.gate <- struct{}{}
	p.sees(value("wait") + value("wait"))
	p.ends()
	if err := await(t, "shutdown", done); err != nil {
		t.Error(err)
	}
}

// Who does not go on with what it has begun, or does not take its answers, keeps no server from stopping; who goes on slowly is finished with.
func TestShutdownLetsTheStalledGo(t *testing.T) {
	d := newDesk()
	s := serve(t, Options{Handler: d}, unixAddr(t))
	line, data, slow, unread, slowly := dial(t, s), dial(t, s), dial(t, s), dial(t, s), dial(t, s)
	line.says("get beg")
	data.says("set b 0 0 5\r\nab")
	slow.says("set b 0 0 5\r\nab")
	s.awaitBegun(t, 3)
	for _, p := range []*peer{unread, slowly} {
		before := s.Stats().Buffered
		p.says("get huge\r\n")
		until(t, "answers to wait", func() bool { return s.Stats().Buffered > before })
	}
	done := shutdown(s)
	until(t, "stopping", s.stopping.Load)
	for _, piece := range []string{"c", "d", "e", "\r", "\n"} {
		read := s.Stats().BytesRead
		s.sweep()
		slow.says("%s", piece)
		until(t, "the piece to be read", func() bool { return s.Stats().BytesRead > read })
	}
	slow.sees("STORED\r\n")
	slow.ends()
	line.ends()
	data.ends()
	const parts = 5 // one a second, and so in more than the time for which nobody may do nothing
	for i := range parts {
		if _, err := io.CopyN(io.Discard, slowly.r, hugeAnswer/parts); err != nil {
			t.Fatal(err)
		}
		tick := s.tick.Load()
		until(t, "a second", func() bool { return i == parts-1 || s.tick.Load() > tick })
	}
	io.CopyN(io.Discard, slowly.r, hugeAnswer%parts)
	slowly.sees(value("huge"))
	slowly.ends()
	if err := await(t, "shutdown", done); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.ClosedUnread != 0 || st.ClosedSlow != 0 {
		t.Errorf("counted as unread or slow: %+v", st)
	}
	unread.cut()
}

func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	d := newDesk()
	s := serve(t, Options{Handler: d, Linger: time.Hour}, unixAddr(t))
	waits, begun, unread, lingers := dial(t, s), dial(t, s), dial(t, s), dial(t, s)
	waits.says("get wait\r\nget huge\r\n")
	await(t, "the session to wait", d.entered)
	begun.says("get beg")
	s.awaitBegun(t, 1)
	unread.says("get huge\r\n")
	until(t, "answers to wait", func() bool { return s.Stats().Buffered > 0 })
	lingers.says("quit\r\n")
	await(t, "the session to be closed", d.closed)

	gone, cancel := context.WithCancel(context.Background())
	cancel()
	err := s.Shutdown(gone)
	if !errors.Is(err, ErrCut) || !strings.HasPrefix(err.Error(), "cannot finish 4 connections") {
		t.Errorf("shutdown: %v", err)
	}
	begun.ends()
	unread.cut()
	lingers.ends()
	until(t, "all but the waiting session to be gone", func() bool { return s.Stats().Conns == 1 })
	if err := s.Shutdown(gone); err == nil || !strings.HasPrefix(err.Error(), "cannot finish 1 connections") {
		t.Errorf("shutdown again: %v", err)
	}

	closed := make(chan int)
	go func() { s.Close(); closed <- len(d.closed) }()
	d.gate <- struct{}{}
	if n := await(t, "close", closed); n != 3 {
		t.Errorf("close returns when %d of the 3 sessions left are closed", n)
	}
	waits.sees(value("wait")) // what the socket took at once
	waits.cut()
	if st := s.Stats(); st.ClosedUnread != 0 {
		t.Errorf("%d counted as unread: it was the server that gave up", st.ClosedUnread)
	}
}

func TestLifeOfAServer(t *testing.T) {
	s := serve(t, Options{})
	until(t, "serving", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.serving })
	if err := s.Serve(); err == nil || err.Error() != "cannot serve: the server is serving already" {
		t.Errorf("serve twice: %v", err)
	}
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	p := dialAddr(t, s.Addrs()[1]) // added while it serves
	p.says("get a\r\n")
	p.sees(value("a"))
	p.Close()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	until(t, "nobody", func() bool { return s.Stats().Conns == 0 })
	if err := await(t, "shutdown", shutdown(s)); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := s.Shutdown(gone); err != nil { // there is nothing to cut
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Listen("127.0.0.1:0"); err == nil || err.Error() != "cannot listen: the server is stopped" {
		t.Errorf("listen: %v", err)
	}
	if err := s.Serve(); err != nil {
		t.Errorf("serve: %v", err)
	}

	never := New(Options{}) // bound, but never served
	if err := never.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	addr := never.Addrs()[0].Address
	never.Close()
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("a closed server still listens")
	}
}

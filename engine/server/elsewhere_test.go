// Batches that are served elsewhere than in their connections' goroutines.

package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// lateDesk is a desk that serves single gets of keys that begin with "late" when it is told to go on.
type lateDesk struct {
	*desk
	homes chan Home    // of a batch that waits
	begun atomic.Int64 // batches that waited

	pieces atomic.Int64 // see early
}

type lateSession struct {
	*deskSession
	*lateDesk
	idle int // Onwards before it is done
}

func newLateDesk() *lateDesk { return &lateDesk{desk: newDesk(), homes: make(chan Home, 100)} }

func (d *lateDesk) Open(i ConnInfo) Session {
	return &lateSession{deskSession: d.desk.Open(i).(*deskSession), lateDesk: d}
}

func (s *lateSession) Close()               { s.deskSession.Close() }
func (s *lateSession) Serve(b *Batch) error { return s.deskSession.Serve(b) }

func (s *lateSession) Begin(b *Batch, home Home, leave func()) (waits bool, err error) {
	r := &b.Reqs[0]
	if string(r.Key) == "early" {
		if leave != nil {
			leave()
		}
		return false, s.early(b)
	}
	if !bytes.HasPrefix(r.Key, []byte("late")) {
		return false, s.Serve(b)
	}
	s.idle = 0
	if string(r.Key) == "late-idle" {
		s.idle = 2
	}
	s.begun.Add(1)
	s.homes <- home
	return true, nil
}

func (s *lateSession) Onward(b *Batch) (how Outcome, err error) {
	if s.idle > 0 {
		s.idle--
		s.homes <- nil
		return Waits, nil
	}
	switch key := string(b.Reqs[0].Key); key {
	case "late-panic":
		panic("asked for")
	case "late-quit":
		b.Out = append(b.Out, value(key)...)
		return Done, ErrClose
	case "late-fail":
		return Done, errDesk
	case "late-huge":
		b.Append(make([]byte, hugeAnswer), true)
		return Done, nil
	case "late-left", "late-left-quit":
		return Left, nil
	}
	return Done, s.Serve(b)
}

func (s *lateSession) Complete(b *Batch) error {
	b.Append(make([]byte, hugeAnswer), true)
	if string(b.Reqs[0].Key) == "late-left-quit" {
		return ErrClose
	}
	return nil
}

// early writes much in Begin, in pieces, and counts them.
func (s *lateSession) early(b *Batch) error {
	for range earlyPieces {
		b.Out = append(b.Out, make([]byte, hugeAnswer/earlyPieces)...)
		if err := b.Flush(); err != nil {
			return err
		}
		s.pieces.Add(1)
	}
	return nil
}

const earlyPieces = 100

func always() bool { return true }

// late starts a server whose connections are served elsewhere from the first batch on, and a client of it.
func late(t *testing.T, o Options, addrs ...string) (*lateDesk, *Server, *peer) {
	d := newLateDesk()
	o.Handler, o.Async, o.AsyncAfter, o.Loop = d, always, -1, theLoop
	s := serve(t, o, addrs...)
	return d, s, dial(t, s)
}

func TestServedElsewhere(t *testing.T) {
	d, _, p := late(t, Options{})
	for i := range 3 * trustEdges {
		key := fmt.Sprint("late", i)
		p.says("get %s\r\n", key)
		home := await(t, "the batch to wait", d.homes)
		if i%2 == 1 { // what comes meanwhile is served afterwards
			p.says("get a\r\nset b 0 0 2\r\nhi\r\n")
		}
		home.GoOn()
		p.sees(value(key))
		if i%2 == 1 {
			p.sees(value("a") + "STORED\r\n")
		}
	}
	p.says("get late-idle\r\n")
	home := await(t, "the batch to wait", d.homes)
	for range 2 {
		home.GoOn()
		await(t, "it to wait again", d.homes)
	}
	home.GoOn()
	p.sees(value("late-idle"))
	if n := d.begun.Load(); n != 3*trustEdges+1 {
		t.Errorf("%d batches waited", n)
	}
}

// Many clients, whose batches are gone on with at once or later, by whatever goroutine, before or after Begin has returned.
func TestServedElsewhereByMany(t *testing.T) {
	d, s, _ := late(t, Options{})
	stop := make(chan struct{})
	defer close(stop)
	for range 3 {
		go func() {
			for {
				select {
				case home := <-d.homes:
					if rand.IntN(3) == 0 {
						go home.GoOn()
					} else {
						home.GoOn()
					}
				case <-stop:
					return
				}
			}
		}()
	}
	many(t, s, 8, 500, func(i int, key string) (says, sees string, cut int) {
		says, sees = "get "+key+"\r\n", value(key)
		if i%7 == 0 { // now and then two at once
			says, sees = says+"get late"+key+"\r\n", sees+value("late"+key)
		}
		return says, sees, 9
	})
}

// many has clients say and see what f gives for keys that begin with "late", each time in two pieces, the first of which is cut bytes.
func many(t *testing.T, s *Server, clients, times int, f func(i int, key string) (says, sees string, cut int)) {
	t.Helper()
	ended := make(chan bool, clients)
	for n := range clients {
		p := dial(t, s)
		go func() {
			defer func() { ended <- true }()
			for i := range times {
				says, sees, cut := f(i, fmt.Sprintf("late%d-%d", n, i))
				io.WriteString(p, says[:cut])
				io.WriteString(p, says[cut:])
				got := make([]byte, len(sees))
				if _, err := io.ReadFull(p.r, got); err != nil || string(got) != sees {
					t.Errorf("client %d sees %q (%v), want %q", n, got, err, sees)
					return
				}
			}
		}()
	}
	for range clients {
		await(t, "a client to end", ended)
	}
}

// Who goes on elsewhere does not wait for a client that takes nothing.
func TestSlowClientElsewhere(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", unixAddr(t)} {
		d, _, p := late(t, Options{}, addr)
		for range trustEdges + 1 {
			p.says("get late-huge\r\n")
			await(t, "the batch to wait", d.homes).GoOn()
			if n, err := io.CopyN(io.Discard, p.r, hugeAnswer); err != nil {
				t.Fatalf("after %d bytes: %v", n, err)
			}
			p.says("get a\r\n")
			p.sees(value("a"))
		}
	}
}

// What is left is the goroutine's, which waits for the client, and goes on with what comes next.
func TestLeftToTheGoroutine(t *testing.T) {
	d, _, p := late(t, Options{})
	for _, next := range []string{"late", "late-left", "late-left-quit"} {
		for range 2 {
			p.says("get late-left\r\n")
			await(t, "the batch to wait", d.homes).GoOn()
			if n, err := io.CopyN(io.Discard, p.r, hugeAnswer); err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
		p.says("get %s\r\n", next)
		await(t, "the batch to wait", d.homes).GoOn()
		if next == "late" {
			p.sees(value(next))
		} else if n, err := io.CopyN(io.Discard, p.r, hugeAnswer); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	p.ends()
}

func TestEndsElsewhere(t *testing.T) {
	for _, warm := range []int{0, trustEdges} {
		d, s, _ := late(t, Options{})
		for key, sees := range map[string]string{"late-quit": value("late-quit"), "late-fail": "", "late-panic": ""} {
			p := dial(t, s)
			p.says("%s", strings.Repeat("get a\r\n", warm))
			p.sees(strings.Repeat(value("a"), warm))
			p.says("get %s\r\n", key)
			await(t, "the batch to wait", d.homes).GoOn()
			p.sees(sees)
			p.ends()
			await(t, "the session to be closed", d.closed)
		}
		if n := s.counted.panics.Load(); n != 1 {
			t.Errorf("%d panics", n)
		}
	}
}

// A client that goes while its batch is elsewhere: the session is closed when that is done, and not before.
func TestClientGoesMeanwhile(t *testing.T) {
	d, _, p := late(t, Options{})
	p.says("get late\r\n")
	home := await(t, "the batch to wait", d.homes)
	p.Conn.(*net.TCPConn).SetLinger(0)
	p.Close()
	select {
	case <-d.closed:
		t.Error("closed while its batch was under way")
	case <-time.After(50 * time.Millisecond):
	}
	home.GoOn()
	await(t, "the session to be closed", d.closed)
}

// A client that sends, half-closes and waits is served and let go at once.
func TestHalfClosedElsewhere(t *testing.T) {
	d, _, p := late(t, Options{})
	p.says("get late\r\n")
	p.Conn.(*net.TCPConn).CloseWrite()
	await(t, "the batch to wait", d.homes).GoOn()
	p.sees(value("late"))
	p.ends()
}

// A server that stops has what is elsewhere finished, and what was sent before too.
func TestShutdownMeanwhile(t *testing.T) {
	for _, warm := range []int{0, trustEdges} {
		d, s, p := late(t, Options{})
		p.says("%s", strings.Repeat("get a\r\n", warm))
		p.sees(strings.Repeat(value("a"), warm))
		p.says("get late\r\n")
		home := await(t, "the batch to wait", d.homes)
		p.says("get b\r\n")
		stopped := make(chan error, 1)
		go func() { stopped <- s.Shutdown(context.Background()) }()
		until(t, "the server to be stopping", s.stopping.Load)
		home.GoOn()
		p.sees(value("late") + value("b"))
		p.ends()
		if err := await(t, "the server to stop", stopped); err != nil {
			t.Error(err)
		}
	}
}

// The client is not idle while its batch is elsewhere, and is when that is done.
func TestIdleMeanwhile(t *testing.T) {
	d, s, p := late(t, Options{IdleTimeout: 2 * sweepEvery})
	p.says("get late\r\n")
	home := await(t, "the batch to wait", d.homes)
	for range 10 {
		s.sweep()
	}
	home.GoOn()
	p.sees(value("late"))
	for range 4 {
		s.sweep()
	}
	p.ends()
}

// What is written before the batch is left elsewhere waits for the client, as ever.
func TestWritesBeforeItLeaves(t *testing.T) {
	d, s, p := late(t, Options{})
	p.says("get early\r\n")
	until(t, "the socket to be full", func() bool { return s.buffers.used.Load() > 0 })
	other := dial(t, s)
	other.says("get a\r\n")
	other.sees(value("a"))
	if n := d.pieces.Load(); n == earlyPieces {
		t.Error("all is written to a client that reads nothing")
	}
	if n, err := io.CopyN(io.Discard, p.r, hugeAnswer/earlyPieces*earlyPieces); err != nil {
		t.Fatalf("after %d bytes: %v", n, err)
	}
}

// A request that fills the read buffer to its last byte, and one behind it that came with it.
func TestFullBufferElsewhere(t *testing.T) {
	d, _, p := late(t, Options{})
	for range trustEdges {
		p.says("get a\r\n")
		p.sees(value("a"))
	}
	line := "get late" + strings.Repeat(" k", (bufferSizes[0]-len("get late\r\n"))/2)
	if len(line)+2 != bufferSizes[0] {
		t.Fatalf("a line of %d bytes", len(line)+2)
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case home := <-d.homes:
				home.GoOn()
			case <-stop:
				return
			}
		}
	}()
	begun := time.Now()
	p.says("%s\r\nget b\r\n", line)
	p.sees("VALUE late 0 4\r\nlate\r\n" + strings.Repeat("VALUE k 0 1\r\nk\r\n", strings.Count(line, " k")) + "END\r\n" + value("b"))
	if took := time.Since(begun); took >= sweepEvery {
		t.Errorf("the second was served after %v, when the sweeper came", took)
	}
}

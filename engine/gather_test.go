// Batches whose requests are written together.

package engine

import (
	"io"
	"net"
	"strings"
	"testing"
)

type countingKicker int

func (k *countingKicker) Kick() { *k++ }

func TestWritersWaitForTheBatch(t *testing.T) {
	var s session
	var a, b countingKicker
	if s.Gather(&a) {
		t.Error("without a batch a writer is to wait")
	}
	s.gathering = true
	if !s.Gather(&a) || !s.Gather(&b) || !s.Gather(&a) || a+b != 0 {
		t.Error("a writer does not wait")
	}
	if s.kick(); a != 1 || b != 1 || !s.gathering {
		t.Errorf("kicked %d and %d times, gathering %v", a, b, s.gathering)
	}
	s.Gather(&b)
	if s.gathered(); a != 1 || b != 2 || s.gathering {
		t.Errorf("kicked %d and %d times, gathering %v", a, b, s.gathering)
	}
}

// What a client pipelines reaches a server in one piece.
func TestABatchIsOneWrite(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	p := startProxy(t, writeConfig(t, limitConfig(""), port), func(o *Options) { o.Workers = 1 })
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	buf := make([]byte, 64<<10)
	if n, _ := b.Read(buf); string(buf[:n]) != "version\r\n" {
		t.Fatalf("greeted with %q", buf[:n])
	}
	b.Write([]byte("VERSION 1\r\n"))
	c := dial(t, p)
	const rounds = 200 // now and then the writer is still about to rest when the next batch begins
	want := strings.Repeat("set a 0 0 5\r\nhello\r\n", 60)
	split := 0
	for range rounds {
		c.says(want)
		n, err := b.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if n < len(want) {
			split++
			if _, err := io.ReadFull(b, buf[n:len(want)]); err != nil {
				t.Fatal(err)
			}
		}
		b.Write([]byte(strings.Repeat("STORED\r\n", 60)))
		c.sees(strings.Repeat("STORED\r\n", 60))
	}
	if split > rounds/2 { // without it: nine in ten
		t.Errorf("%d of %d batches came in pieces", split, rounds)
	}
}

// A request that waits in place has what came before it in its batch sent first, and what is its own.
func TestWaitingInPlaceSendsTheBatch(t *testing.T) {
	c, b, _ := threeBackends(t, `
    mcp.attach(mcp.CMD_GET, gen({ p[1] }, function(rctx, h) return function(r)
        if r:key() ~= "here" then
            return rctx:enqueue_and_wait(r, h[1])
        end
        local x
        string.gsub("a", "a", function() x = rctx:enqueue_and_wait(r, h[1]) end)
        return x
    end end))
    mcp.attach(mcp.CMD_MG, p[2])`)
	c.says("get a\r\nmg b\r\nget here\r\nget c\r\n")
	b[1].sees("mg b\r\n")
	b[1].says("EN\r\n")
	b[0].sees("get a\r\nget here\r\n")
	b[0].says("END\r\nEND\r\n")
	b[0].sees("get c\r\n")
	b[0].says("END\r\n")
	c.sees("END\r\nEN\r\nEND\r\nEND\r\n")
}

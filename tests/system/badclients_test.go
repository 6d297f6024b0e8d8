// Clients that misbehave: each is told off or cut, and no other client notices.

package system_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// misbehaviours each get a connection of their own.
var misbehaviours = []struct {
	name string
	do   func(t *testing.T, c *client)
}{
	{"rubbish", func(t *testing.T, c *client) {
		for seed := range byte(50) {
			rubbish := make([]byte, 3000)
			x := uint32(seed) + 1
			for i := range rubbish {
				x = x*1664525 + 1013904223
				rubbish[i] = byte(x >> 24)
			}
			rubbish[0] = seed
			c := dial(t, c.c.RemoteAddr().String())
			_, _ = c.c.Write(append(rubbish, '\n'))
			_ = c.c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c.r)
			_ = c.c.Close()
		}
	}},
	{"no command", func(t *testing.T, c *client) {
		c.says("GET / HTTP/1.1\r\nHost: tidepool\r\n\r\n")
		c.ends("")
	}},
	{"half a value, then gone", func(t *testing.T, c *client) {
		c.says("set half 0 0 100\r\nonly this")
		_ = c.c.Close()
	}},
	{"half a value, then no more", func(t *testing.T, c *client) {
		c.says("set half 0 0 100\r\nonly this")
		_ = c.c.(*net.TCPConn).CloseWrite()
		c.ends("")
	}},
	{"half a value, for hours", func(t *testing.T, c *client) {
		c.says("set half 0 0 100\r\nonly this")
	}},
	{"half a line, for hours", func(t *testing.T, c *client) {
		c.says("get ha")
	}},
	{"an endless line", func(t *testing.T, c *client) {
		c.cutWhileSaying(t, "x")
	}},
	{"an endless list of keys", func(t *testing.T, c *client) {
		c.says("get")
		c.cutWhileSaying(t, " key")
	}},
	{"a value of any length", func(t *testing.T, c *client) {
		c.says("set k 0 0 99999999999999999999\r\n")
		c.sees("CLIENT_ERROR parsing request\r\n")
		c.says("set k 0 0 -1\r\n")
		c.sees("CLIENT_ERROR parsing request\r\n")
		c.says("mn\r\n")
		c.sees("MN\r\n")
	}},
	{"a value over the limit", func(t *testing.T, c *client) {
		c.says(fmt.Sprintf("set k 0 0 %d\r\n%s\r\nmn\r\n", 5<<20, strings.Repeat("x", 5<<20)))
		c.sees("SERVER_ERROR object too large for cache\r\nMN\r\n")
	}},
	{"the binary protocol", func(t *testing.T, c *client) {
		get := make([]byte, 24)
		get[0], get[3], get[11] = 0x80, 1, 1 // a get of a key of one byte
		binary.BigEndian.PutUint32(get[12:], 77)
		c.says(string(get) + "k")
		_ = c.c.SetReadDeadline(time.Now().Add(patience))
		got, err := io.ReadAll(c.r)
		if err != nil || len(got) < 24 || got[0] != 0x81 || binary.BigEndian.Uint32(got[12:]) != 77 || binary.BigEndian.Uint16(got[6:]) == 0 ||
			!bytes.Contains(got, []byte("binary protocol is not spoken here")) {
			t.Errorf("the binary protocol is answered %q, %v; want an error that its client can read, and the end", got, err)
		}
	}},
	{"control bytes in a key", func(t *testing.T, c *client) {
		if got := c.ask("get a\tb\x00c\x7f\r\n"); strings.HasPrefix(got, "VALUE") {
			t.Errorf("%q", got)
		}
	}},
	{"a key that is too long", func(t *testing.T, c *client) {
		long := strings.Repeat("k", 251)
		for _, say := range []string{"get " + long, "delete " + long, "mg " + long + " v", "incr " + long + " 1"} {
			if got := c.hears(say); !strings.HasPrefix(got, "CLIENT_ERROR ") {
				t.Errorf("%.20q: %q", say, got)
			}
		}
		if got := c.hears("set " + long + " 0 0 1|x"); !strings.HasPrefix(got, "CLIENT_ERROR ") || strings.Count(got, "|") > 0 {
			t.Errorf("set: %q", got)
		}
	}},
	{"opened and closed", func(t *testing.T, c *client) {
		for range 200 {
			d, err := net.Dial("tcp", c.c.RemoteAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			_ = d.(*net.TCPConn).SetLinger(0) // a reset
			_ = d.Close()
		}
	}},
	{"gone before the answers", func(t *testing.T, c *client) {
		for range 20 {
			d := dial(t, c.c.RemoteAddr().String())
			d.says(strings.Repeat("get key:1 key:2 key:3\r\nset none 0 0 1\r\nx\r\n", 100))
			_ = d.c.(*net.TCPConn).SetLinger(0)
			_ = d.c.Close()
		}
	}},
}

// cutWhileSaying says s for ever, until it is cut. What is said meanwhile is thrown away: nothing waits for it.
func (c *client) cutWhileSaying(t *testing.T, s string) {
	t.Helper()
	piece := strings.Repeat(s, (64<<10)/len(s))
	_ = c.c.SetDeadline(time.Now().Add(patience))
	for {
		if _, err := io.WriteString(c.c, piece); err != nil {
			if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("it was not cut but: %v", err)
			}
			return
		}
	}
}

// TestBadClients: each misbehaves while a load that checks every answer goes on; the proxy takes no more memory than its limits let it.
func TestBadClients(t *testing.T) {
	_, urls := startLeaves(t, 2)
	// What 64 MiB of answers to clients that read nothing take of a slow machine is not to count as a leaf's failure.
	patient := strings.Replace(reloaded(urls, 0), "local b = {}", fmt.Sprintf("mcp.backend_read_timeout(%v)\n    local b = {}", patience.Seconds()), 1)
	p := startProxy(t, patient, "--max-buffered", "64MiB")
	p.ready()
	l := &load{addr: p.addr, conns: 4, depth: 8, keys: 40}
	l.start(t)
	l.flow(t, 1_000)
	for _, m := range misbehaviours {
		c := dial(t, p.addr) // stays open to the end if it is not closed in there
		t.Run(m.name, func(t *testing.T) {
			c.t = t
			m.do(t, c)
			l.flow(t, 200)
		})
	}
	t.Run("70,000 keys in a line", func(t *testing.T) { manyKeys(t, p, l) })
	t.Run("a client that reads nothing", func(t *testing.T) { readsNothing(t, p, l) })
	t.Run("500 connections", func(t *testing.T) { manyConnections(t, p, l) })
	l.end(t)
	if t.Failed() {
		t.Logf("the proxy says:\n%s", p.Stderr.Text())
	}
	if got := p.sum("tidepool_script_errors_total"); got != 0 {
		t.Errorf("%v routes failed", got)
	}
}

// readsNothing: clients ask for much and take nothing. What waits for them is bounded, and others go on.
func readsNothing(t *testing.T, p *proxy, l *load) {
	c := dial(t, p.addr)
	value := strings.Repeat("v", 150_000)
	c.says(fmt.Sprintf("set big 0 0 %d\r\n%s\r\n", len(value), value))
	c.sees("STORED\r\n")
	for range 8 {
		d := dial(t, p.addr)
		_ = d.c.(*net.TCPConn).SetReadBuffer(4 << 10)
		_ = d.c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		_, _ = io.WriteString(d.c, strings.Repeat("get big\r\n", 2_000)) // 300 MB of answers, each
	}
	l.flow(t, 2_000)
	if got := p.sum("tidepool_buffered_bytes"); got > 64<<20 {
		t.Errorf("%.0f bytes are buffered, over --max-buffered", got)
	}
	eventually(t, "the proxy to hold less than 256 MiB for clients that ask for 2.4 GB, with what the collector has still to find", func() bool {
		return p.sum("go_memstats_heap_inuse_bytes") <= 256<<20
	})
}

// manyKeys: a client names 70,000 keys in one line, and stays. It is answered, and the others have their places meanwhile.
func manyKeys(t *testing.T, p *proxy, l *load) {
	c := dial(t, p.addr)
	c.says("get" + strings.Repeat(" x", 70_000) + "\r\nmn\r\n")
	l.flow(t, 200)
	c.sees("END\r\nMN\r\n")
	if got := p.sum("go_memstats_heap_inuse_bytes"); got > 256<<20 {
		t.Errorf("the proxy holds %.0f bytes for one request", got)
	}
}

// manyConnections talk at once; every one is answered, and they are gone when they have gone.
func manyConnections(t *testing.T, p *proxy, l *load) {
	open := p.sum("tidepool_connections_open")
	var all sync.WaitGroup
	conns := make([]*client, 500)
	for i := range conns {
		conns[i] = dial(t, p.addr)
	}
	for i, c := range conns {
		all.Go(func() {
			for n := range 10 {
				value := fmt.Sprintf("%d-%d", i, n)
				say := fmt.Sprintf("set many:%d 0 0 %d\r\n%s\r\nget many:%d\r\n", i, len(value), value, i)
				want := fmt.Sprintf("STORED\r\nVALUE many:%d 0 %d\r\n%s\r\nEND\r\n", i, len(value), value)
				if _, err := io.WriteString(c.c, say); err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				got := make([]byte, len(want))
				_ = c.c.SetReadDeadline(time.Now().Add(patience))
				if _, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
					t.Errorf("connection %d sees %q (%v), want %q", i, got, err, want)
					return
				}
			}
		})
	}
	all.Wait()
	l.flow(t, 200)
	if got := p.sum("tidepool_connections_open"); got < 500 {
		t.Errorf("%v connections are open, want 500 at least", got)
	}
	for _, c := range conns {
		_ = c.c.Close()
	}
	eventually(t, "the connections are gone", func() bool { return p.sum("tidepool_connections_open") <= open })
}

// TestLimits: over each limit there is an error, not a queue.
func TestLimits(t *testing.T) {
	p, _, _ := startHeld(t, "--max-conns", "2", "--max-in-flight", "3", "--max-item", "1KiB")
	c := dial(t, p.addr)
	over := dial(t, p.addr)
	over.ends("ERROR Too many open connections\r\n")
	c.says("add k 0 0 2000\r\n" + strings.Repeat("x", 2000) + "\r\n")
	c.sees("SERVER_ERROR object too large for cache\r\n") // at once: a set would first delete what it was to replace
	c.says("get 1\r\nget 2\r\nget 3\r\n")                 // with two of startHeld
	eventually(t, "a refusal", func() bool { return p.sum("tidepool_requests_refused_total") >= 2 })
}

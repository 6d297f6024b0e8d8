// What is logged of backends, and what is not.

package engine

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

func TestTroublesAreLoggedOnce(t *testing.T) {
	var ts troubles
	start := time.Unix(1000, 0)
	type step struct {
		after float64 // seconds since the first
		label string
		kind  backend.EventKind
		ok    bool
		n     int
	}
	for _, s := range []step{
		{0, "a", backend.EventConnected, false, 0}, // nothing was said of it
		{1, "a", backend.EventTimeout, true, 0},
		{1.1, "a", backend.EventTimeout, false, 0},
		{1.2, "b", backend.EventTimeout, true, 0}, // another's
		{1.3, "a", backend.EventDisconnected, true, 0},
		{2, "a", backend.EventConnected, true, 0},
		{2.1, "a", backend.EventConnected, false, 0}, // another connection of it
		{3, "a", backend.EventTimeout, false, 0},     // now and then
		{4, "a", backend.EventConnected, false, 0},
		{11, "a", backend.EventTimeout, true, 2},
		{11.1, "a", backend.EventMarkedBad, true, 0},
		{11.2, "a", backend.EventMarkedBad, false, 0},
		{14, "a", backend.EventConnected, true, 0},
		{15, "a", backend.EventDisconnected, true, 0},
		{16, "a", backend.EventConnected, true, 0},
		{17, "a", backend.EventDisconnected, false, 0},
		{18, "a", backend.EventMarkedBad, true, 1}, // the log does not end with "is back"
		{40, "a", backend.EventConnected, true, 0},
	} {
		ok, n := ts.note(&backend.Event{Label: s.label, Kind: s.kind}, start.Add(time.Duration(s.after*float64(time.Second))))
		if ok != s.ok || n != s.n {
			t.Errorf("%+v: %v, %d", s, ok, n)
		}
	}
	for i := range 3 * maxTroubles {
		ts.note(&backend.Event{Name: strings.Repeat("x", i), Kind: backend.EventTimeout}, start)
	}
	if n := len(ts.all); n > maxTroubles {
		t.Errorf("%d backends are remembered", n)
	}
}

// TestBackendIsBack: a memcached server that closes its connection, and takes the next.
func TestBackendIsBack(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var server sync.WaitGroup
	t.Cleanup(func() { ln.Close(); server.Wait() })
	server.Go(func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			for r := bufio.NewReader(c); ; {
				line, err := r.ReadString('\n')
				if err != nil || n == 0 && line != "version\r\n" {
					break
				}
				io.WriteString(c, map[string]string{"version\r\n": "VERSION 1\r\n", "get a\r\n": "END\r\n"}[line])
			}
			c.Close()
		}
	})
	out := &logged{}
	p := startProxy(t, writeConfig(t, `pool{ name = "p", backends = { "$1" } } router{ router_type = "flat", default_pool = "p" }`, ln.Addr().String()),
		func(o *Options) { o.Log = slog.New(slog.NewTextHandler(out, nil)) })
	c := dial(t, p)
	c.says("get a\r\n")
	c.sees(lineBackendFailure)
	for answer := ""; answer != "END\r\n"; {
		c.says("get a\r\n")
		if answer, err = c.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		`level=WARN msg="backend trouble" event=disconnected backend=` + ln.Addr().String(),
		`level=INFO msg="backend is back" backend=` + ln.Addr().String(),
	} {
		if n := strings.Count(out.text(), want); n != 1 {
			t.Errorf("%d times %s in\n%s", n, want, out.text())
		}
	}
	p.backendEvent(backend.Event{Kind: backend.EventTimeout, Name: "127.0.0.1:4301", Leaf: "leaf-1", Err: backend.ErrTimeout})
	p.backendEvent(backend.Event{Kind: backend.EventConnected, Name: "127.0.0.1:4301", Leaf: "leaf-1"})
	if want := `event=timeout backend=127.0.0.1:4301 name=127.0.0.1:4301 port="" leaf=leaf-1 `; !strings.Contains(out.text(), want) || strings.Count(out.text(), "is back") != 1 {
		t.Errorf("no %s, or a leaf is said to be back twice, in\n%s", want, out.text())
	}
}

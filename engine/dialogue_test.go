// The harness of routing tests: client says, backend sees, backend says, client sees, and then silence.

package engine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/leaf"
)

// patience bounds every wait of a test; nothing takes as long when the code is right.
const patience = 20 * time.Second

// fakeBackend is a memcached server whose part the test plays.
type fakeBackend struct {
	t    *testing.T
	ln   net.Listener
	conn net.Conn
	r    *bufio.Reader
	up   chan struct{}
}

func newFakeBackend(t *testing.T) *fakeBackend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &fakeBackend{t: t, ln: ln, up: make(chan struct{})}
	t.Cleanup(func() {
		ln.Close()
		<-b.up
		if b.conn != nil {
			b.conn.Close()
		}
	})
	go func() {
		defer close(b.up)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		b.conn, b.r = c, bufio.NewReader(c)
		if line, _ := b.r.ReadString('\n'); line != "version\r\n" && line != "" { // "": the proxy has stopped already
			t.Errorf("greeting is %q", line)
		}
		io.WriteString(c, "VERSION 1.0.0-mock\r\n")
	}()
	return b
}

func (b *fakeBackend) addr() string { return b.ln.Addr().String() }

// sees wants exactly these bytes next.
func (b *fakeBackend) sees(want string) {
	b.t.Helper()
	<-b.up
	b.conn.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(b.r, got); err != nil || string(got) != want {
		b.t.Fatalf("backend sees %q (%v), want %q", got[:n], err, want)
	}
}

func (b *fakeBackend) says(s string) {
	b.t.Helper()
	if _, err := io.WriteString(b.conn, s); err != nil {
		b.t.Fatal(err)
	}
}

// client is a raw connection to the proxy.
type client struct {
	t *testing.T
	c net.Conn
	r *bufio.Reader
}

func (c *client) says(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.c, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) sees(want string) {
	c.t.Helper()
	c.c.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
		rest := make([]byte, c.r.Buffered())
		c.r.Read(rest)
		c.t.Fatalf("client sees %q then %q (%v), want %q", got[:n], rest, err, want)
	}
}

// silence proves that nothing else comes, by a command that is answered in order after it.
func (c *client) silence() {
	c.t.Helper()
	c.says("mn\r\n")
	c.sees("MN\r\n")
}

// resets ends the connection so that whoever writes to it is told at once.
func (c *client) resets() {
	c.t.Helper()
	if err := c.c.(*net.TCPConn).SetLinger(0); err != nil {
		c.t.Fatal(err)
	}
	c.c.Close()
}

// ends wants the proxy to close the connection.
func (c *client) ends() {
	c.t.Helper()
	c.c.SetReadDeadline(time.Now().Add(patience))
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		c.t.Fatalf("client sees %q (%v), want the end", rest, err)
	}
}

// writeConfig writes a configuration in which every "$n" stands for args[n-1].
func writeConfig(t testing.TB, text string, args ...string) string {
	t.Helper()
	for i, a := range args {
		text = strings.ReplaceAll(text, fmt.Sprintf("$%d", i+1), a)
	}
	path := filepath.Join(t.TempDir(), "conf.lua")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startProxy starts a proxy on a port of its own; change may alter its options.
func startProxy(t testing.TB, config string, change ...func(*Options)) *Proxy {
	t.Helper()
	local, err := leaf.NewLocal(leaf.Options{Memory: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Files: []string{config}, Listen: []string{"127.0.0.1:0"}, Workers: 2, Local: local,
		Async: func() bool { return true }, AsyncAfter: -1, // with more than one processor, too: that is harder
		Log: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	for _, f := range change {
		f(&o)
	}
	p, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		local.Close()
	})
	return p
}

func dial(t *testing.T, p *Proxy) *client { return dialAddr(t, p.Addrs()[0]) }

func dialAddr(t *testing.T, addr string) *client {
	t.Helper()
	if i := strings.Index(addr, "_:"); i >= 0 {
		addr = addr[i+2:]
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t: t, c: c, r: bufio.NewReader(c)}
}

// testWriter sends log lines to the test's log.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Helper()
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// rewrite changes a configuration that writeConfig wrote.
func rewrite(t *testing.T, path, text string, args ...string) {
	t.Helper()
	src, err := os.ReadFile(writeConfig(t, text, args...))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, src, 0o600); err != nil {
		t.Fatal(err)
	}
}

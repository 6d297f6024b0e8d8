// Addresses, sockets, and what a session is told of them.

package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestParseListen(t *testing.T) {
	f := func(in string, want ...ListenAddr) {
		t.Helper()
		got, err := ParseListen(in)
		if err != nil || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
			t.Errorf("%q is %#v (%v), want %#v", in, got, err, want)
		}
		for _, a := range want { // String is the way back
			if again, err := ParseListen(a.String()); err != nil || len(again) != 1 || again[0] != a {
				t.Errorf("%q, written as %q, is %#v (%v)", in, a.String(), again, err)
			}
		}
	}
	tcp := func(tag, addr string) ListenAddr { return ListenAddr{tag, "tcp", addr} }
	unix := func(tag, addr string) ListenAddr { return ListenAddr{tag, "unix", addr} }
	f("127.0.0.1:11211", tcp("", "127.0.0.1:11211"))
	f(":11211", tcp("", ":11211"))
	f("localhost:0", tcp("", "localhost:0"))
	f("[::1]:65535", tcp("", "[::1]:65535"))
	f("[fe80::1%eth0]:1", tcp("", "[fe80::1%eth0]:1"))
	f("unix:/run/tidepool.sock", unix("", "/run/tidepool.sock"))
	f("unix:relative", unix("", "relative"))
	f("unix:tag_b_:x", unix("", "tag_b_:x")) // a path may be anything
	f("tag_b_:127.0.0.1:1", tcp("b", "127.0.0.1:1"))
	f("tag[b]:127.0.0.1:1", tcp("b", "127.0.0.1:1"))
	f("tag_a_b_:[::]:1", tcp("a_b", "[::]:1"))
	f("tag[eightlet]:unix:/x", unix("eightlet", "/x"))
	f("tag_b_:unix:/x", unix("b", "/x"))
	f("proto[ascii]:127.0.0.1:1", tcp("", "127.0.0.1:1"))
	f("proto[ascii]:tag_x_:127.0.0.1:1", tcp("x", "127.0.0.1:1"))
	f("tag_x_:proto[ascii]:unix:/y", unix("x", "/y"))
	f("127.0.0.1:1,127.0.0.1:2", tcp("", "127.0.0.1:1"), tcp("", "127.0.0.1:2"))
	f("127.0.0.1:1, unix:/y ; tag[z]:[::1]:2;", tcp("", "127.0.0.1:1"), unix("", "/y"), tcp("z", "[::1]:2"))
}

func TestParseListenErrors(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got, err := ParseListen(in); err == nil || err.Error() != want {
			t.Errorf("%q is %v (%v), want %s", in, got, err, want)
		}
	}
	f("", `cannot listen on "": want host:port or unix:/path`)
	f(" , ;", `cannot listen on " ": want host:port or unix:/path: missing port in address`)
	f(",;", `cannot listen on ",;": want host:port or unix:/path`)
	f("nowhere", `cannot listen on "nowhere": want host:port or unix:/path: missing port in address`)
	f("::1:11211", `cannot listen on "::1:11211": want host:port or unix:/path: too many colons in address`)
	f("127.0.0.1:65536", `cannot listen on "127.0.0.1:65536": port "65536" must be a number from 0 to 65535`)
	f("127.0.0.1:-1", `cannot listen on "127.0.0.1:-1": port "-1" must be a number from 0 to 65535`)
	f("127.0.0.1:", `cannot listen on "127.0.0.1:": port "" must be a number from 0 to 65535`)
	f("127.0.0.1:http", `cannot listen on "127.0.0.1:http": port "http" must be a number from 0 to 65535`)
	f("127.0.0.1:1,nowhere", `cannot listen on "nowhere": want host:port or unix:/path: missing port in address`)
	f("unix:", `cannot listen on "unix:": want a path after unix:`)
	f("tag_a:127.0.0.1:1", `cannot listen on "tag_a:127.0.0.1:1": want tag_NAME_:address`)
	f("tag[a:127.0.0.1:1", `cannot listen on "tag[a:127.0.0.1:1": want tag[NAME]:address`)
	f("tag__:127.0.0.1:1", `cannot listen on "tag__:127.0.0.1:1": tag "" must be 1 to 8 characters`)
	f("tag[ninechars]:127.0.0.1:1", `cannot listen on "tag[ninechars]:127.0.0.1:1": tag "ninechars" must be 1 to 8 characters`)
	f("tag_a_:tag[b]:127.0.0.1:1", `cannot listen on "tag_a_:tag[b]:127.0.0.1:1": a listener has one tag`)
	f("proto[binary]:127.0.0.1:1", `cannot listen on "proto[binary]:127.0.0.1:1": the only protocol is proto[ascii]`)
	f("proto[ascii:127.0.0.1:1", `cannot listen on "proto[ascii:127.0.0.1:1": the only protocol is proto[ascii]`)
}

func TestLoopback(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:1": true, "unix:/x": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "example.com:1": false,
	} {
		a, err := ParseListen(addr)
		if err != nil || a[0].Loopback() != want {
			t.Errorf("%s (%v): loopback is not %v", addr, err, want)
		}
	}
	if (ListenAddr{Network: "tcp", Address: "nonsense"}).Loopback() {
		t.Error("nonsense is loopback")
	}
}

// What Open is told: the listener's tag and address, the client's address, a number of its own.
func TestConnInfo(t *testing.T) {
	d := newDesk()
	u := unixAddr(t)
	s := serve(t, Options{Handler: d}, "127.0.0.1:0, tag_b_:127.0.0.1:0; tag[c]:"+u)
	addrs := s.Addrs()
	for i, tag := range []string{"", "b", "c"} {
		p := dialAddr(t, addrs[i])
		p.says("get a\r\n")
		p.sees(value("a"))
		d.mu.Lock()
		got := d.infos[i]
		d.mu.Unlock()
		want := ConnInfo{uint64(i + 1), tag, addrs[i].Network, p.RemoteAddr().String(), p.LocalAddr().String(), got.FD}
		if addrs[i].Network == "unix" {
			want.Local, want.Remote = strings.TrimPrefix(u, "unix:"), "unix"
		}
		if got != want || got.FD <= 0 {
			t.Errorf("told %+v, want %+v", got, want)
		}
	}
}

// If one address cannot be bound, none is.
func TestListenAllOrNone(t *testing.T) {
	s := serve(t, Options{})
	taken := s.Addrs()[0].Address
	u := unixAddr(t)
	err := s.Listen(u + "," + taken)
	if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("cannot listen on %q: ", taken)) || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a port in use: %v", err)
	}
	if err := s.Listen("nowhere"); err == nil {
		t.Error("nowhere is bound")
	}
	if n := len(s.Addrs()); n != 1 {
		t.Errorf("%d listeners", n)
	}
	if _, err := os.Lstat(strings.TrimPrefix(u, "unix:")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

func TestUnixSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	s := serve(t, Options{UnixMode: 0o640}, "unix:"+path) // a dead process left it
	p := dial(t, s)
	p.says("get a\r\n")
	p.sees(value("a"))
	if fi, err := os.Lstat(path); err != nil || fi.Mode() != os.ModeSocket|0o640 {
		t.Errorf("mode %v (%v)", fi.Mode(), err)
	}

	other := New(Options{})
	defer other.Close()
	f := func(path, want string) {
		t.Helper()
		if err := other.Listen("unix:" + path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
	f(path, "another process listens on it")
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	f(file, "the file exists and is not a socket")
	if b, err := os.ReadFile(file); err != nil || string(b) != "mine" {
		t.Errorf("the file holds %q (%v)", b, err)
	}
	f(filepath.Join(t.TempDir(), "no", "such", "s"), "no such file or directory")
	f(file+"/s", "not a directory")

	s.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	second := serve(t, Options{}, "unix:"+path)
	if fi, err := os.Lstat(path); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("default mode %v (%v)", fi.Mode(), err)
	}
	p = dial(t, second)
	p.says("get a\r\n")
	p.sees(value("a"))
}

// flaky fails to accept some times, as a listener does when file descriptors have run out.
type flaky struct {
	net.Listener
	fails atomic.Int64
}

func (l *flaky) Accept() (net.Conn, error) {
	if l.fails.Add(-1) >= 0 {
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

// Accepting that fails is tried again, and logged once for each time it begins to fail.
func TestAcceptErrors(t *testing.T) {
	var log strings.Builder
	s := serve(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &flaky{Listener: ln}
	l.fails.Store(3)
	addr := ListenAddr{Network: "tcp", Address: ln.Addr().String()}
	if err := s.adopt([]*listener{{addr: addr, ln: l}}); err != nil {
		t.Fatal(err)
	}
	p := dialAddr(t, addr)
	p.says("get a\r\n")
	p.sees(value("a"))
	if st := s.Stats(); st.AcceptErrors != 3 || st.Listeners[1].AcceptErrors != 3 || st.Listeners[0].AcceptErrors != 0 {
		t.Errorf("%+v", st)
	}
	l.fails.Store(1 << 30) // it ends in a pause
	p2 := dialAddr(t, addr)
	p2.says("get a\r\n")
	until(t, "failures", func() bool { return s.Stats().AcceptErrors > 4 })
	s.Close()
	if got := log.String(); strings.Count(got, "cannot accept connections") != 2 || !strings.Contains(got, "too many open files") {
		t.Errorf("logged %q", got)
	}
}

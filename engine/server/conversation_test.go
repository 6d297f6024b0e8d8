// Conversations with a server whose sessions echo, over real sockets.

package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

const patience = 20 * time.Second

// echo answers each request with its command, key and the length of its value.
type echo struct{ gate chan struct{} } // a get of "wait" waits for gate

func (e *echo) Open(ConnInfo) Session { return e }
func (e *echo) Rules() mc.Rules       { return mc.Rules{MaxValue: 1 << 20} }
func (e *echo) Close()                {}
func (e *echo) Serve(b *Batch) error {
	for i := range b.Reqs {
		r := &b.Reqs[i]
		switch {
		case r.Bad != mc.BadNone:
			b.Out = mc.AnswerBad(b.Out, r, &b.Rules)
			if r.Bad.Closes() {
				return ErrClose
			}
		case r.Cmd == mc.CmdQuit:
			return ErrClose
		default:
			if string(r.Key) == "wait" {
				<-e.gate
			}
			b.Out = fmt.Appendf(b.Out, "%s %s %d\r\n", r.Cmd, r.Key, len(r.Value))
		}
	}
	return nil
}

// serve starts a server and gives the address of its first listener.
func serve(t *testing.T, o Options, addrs ...string) (*Server, string) {
	t.Helper()
	if o.Handler == nil {
		o.Handler = &echo{}
	}
	s := New(o)
	if len(addrs) == 0 {
		addrs = []string{"127.0.0.1:0"}
	}
	for _, a := range addrs {
		if err := s.Listen(a); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s, s.Addrs()[0].Address
}

type peer struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, network, addr string) *peer {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &peer{t, c, bufio.NewReader(c)}
}

func (p *peer) sees(want string) {
	p.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p.r, got); err != nil || string(got) != want {
		p.t.Fatalf("sees %q (%v), want %q", got[:n], err, want)
	}
}

func (p *peer) ends() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.r); err != nil || len(rest) > 0 {
		p.t.Fatalf("sees %q (%v), want the end", rest, err)
	}
}

// A conversation gives the same answers wherever the network cuts it.
func TestCutsDoNotShow(t *testing.T) {
	const says = "get a\r\nset b 0 0 5\r\nhe\r\no\r\nget c d\nrubbish\r\nms e 2\r\nhi\r\nset f 0 0 1\r\nxx\r\nmg g v\r\nquit\r\nget never\r\n"
	_, addr := serve(t, Options{})
	whole := dial(t, "tcp", addr)
	io.WriteString(whole, says)
	want, err := io.ReadAll(whole.r)
	if err != nil || !strings.HasPrefix(string(want), "get a 0\r\nset b 7\r\nget c 0\r\nERROR\r\nms e 4\r\nCLIENT_ERROR bad data chunk\r\n") ||
		!strings.HasSuffix(string(want), "mg g 0\r\n") {
		t.Fatalf("%q %v", want, err)
	}
	for cut := 1; cut < len(says); cut++ {
		p := dial(t, "tcp", addr)
		p.Conn.(*net.TCPConn).SetNoDelay(true)
		io.WriteString(p, says[:cut])
		if n := strings.Count(says[:cut], "\r\nget c d\n"); n > 0 {
			p.sees("get a 0\r\n") // so that the first part has been read by itself
			io.WriteString(p, says[cut:])
			p.sees(string(want[len("get a 0\r\n"):]))
			continue
		}
		io.WriteString(p, says[cut:])
		p.sees(string(want))
	}
}

func TestLargeAndTooLargeValues(t *testing.T) {
	_, addr := serve(t, Options{})
	p := dial(t, "tcp", addr)
	go fmt.Fprintf(p, "set a 0 0 %d\r\n%s\r\nset b 0 0 %d\r\n%s\r\nget c\r\n", 1<<20, strings.Repeat("x", 1<<20), 1<<20+1, strings.Repeat("y", 1<<20+1))
	p.sees(fmt.Sprintf("set a %d\r\n", 1<<20+2))
	p.sees("SERVER_ERROR object too large for cache\r\n")
	p.sees("get c 0\r\n")
}

func TestEndlessLineIsCut(t *testing.T) {
	s, addr := serve(t, Options{MaxLine: 64 << 10})
	p := dial(t, "tcp", addr)
	go func() {
		for line := []byte(strings.Repeat("a", 4096)); ; {
			if _, err := p.Write(line); err != nil {
				return
			}
		}
	}()
	if got, _ := io.ReadAll(p.r); !strings.HasPrefix(string(got), "ERROR") && !strings.HasPrefix(string(got), "CLIENT_ERROR") && len(got) > 0 {
		t.Errorf("sees %q", got)
	}
	if b := s.Stats().Buffered; b > 1<<20 {
		t.Errorf("%d bytes buffered", b)
	}
}

func TestBinaryProtocolIsRefused(t *testing.T) {
	_, addr := serve(t, Options{})
	p := dial(t, "tcp", addr)
	p.Write(append([]byte{0x80, 0}, make([]byte, 22)...))
	got, err := io.ReadAll(p.r)
	if err != nil || !strings.Contains(string(got), "binary") {
		t.Errorf("sees %q (%v)", got, err)
	}
}

func TestConnectionLimit(t *testing.T) {
	s, addr := serve(t, Options{MaxConns: 1})
	first := dial(t, "tcp", addr)
	io.WriteString(first, "get a\r\n")
	first.sees("get a 0\r\n")
	second := dial(t, "tcp", addr)
	if got, _ := io.ReadAll(second.r); !strings.Contains(string(got), "Too many open connections") {
		t.Errorf("sees %q", got)
	}
	if st := s.Stats(); st.Rejected != 1 || st.Conns != 1 {
		t.Errorf("%+v", st)
	}
}

func TestShutdownFinishesAndClosesTheIdle(t *testing.T) {
	e := &echo{gate: make(chan struct{})}
	s, addr := serve(t, Options{Handler: e})
	idle, busy := dial(t, "tcp", addr), dial(t, "tcp", addr)
	io.WriteString(idle, "get a\r\n")
	idle.sees("get a 0\r\n")
	io.WriteString(busy, "get b\r\n")
	busy.sees("get b 0\r\n")
	io.WriteString(busy, "get wait\r\n")
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- s.Shutdown(ctx)
	}()
	idle.ends()
	close(e.gate)
	busy.sees("get wait 0\r\n")
	busy.ends()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("it still accepts")
	}
}

func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	e := &echo{gate: make(chan struct{})}
	s, addr := serve(t, Options{Handler: e})
	p := dial(t, "tcp", addr)
	io.WriteString(p, "get a\r\n")
	p.sees("get a 0\r\n")
	io.WriteString(p, "get wait\r\n")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	io.ReadAll(p.r) // cut, not answered
	close(e.gate)
	if err := <-done; !errors.Is(err, ErrCut) {
		t.Errorf("shutdown: %v", err)
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
	s, _ := serve(t, Options{}, "unix:"+path) // a dead process left it
	p := dial(t, "unix", path)
	io.WriteString(p, "get a\r\n")
	p.sees("get a 0\r\n")
	if err := New(Options{Handler: &echo{}}).Listen("unix:" + path); err == nil || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("a socket in use is taken over: %v", err)
	}
	s.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	file := filepath.Join(t.TempDir(), "f")
	os.WriteFile(file, nil, 0o600)
	if err := New(Options{Handler: &echo{}}).Listen("unix:" + file); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file is replaced: %v", err)
	}
}

func TestParseListen(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:1":                     "[127.0.0.1:1]",
		"tag_b_:127.0.0.1:1":              "[tag_b_:127.0.0.1:1]",
		"tag[b]:unix:/x":                  "[tag_b_:unix:/x]",
		"127.0.0.1:1, unix:/y;[::1]:2":    "[127.0.0.1:1 unix:/y [::1]:2]",
		"proto[ascii]:tag_x_:127.0.0.1:1": "[tag_x_:127.0.0.1:1]",
		"":                                `cannot listen on "": want host:port or unix:/path`,
		"nowhere":                         `cannot listen on "nowhere": want host:port`,
		"127.0.0.1:99999":                 "must be a number from 0 to 65535",
		"tag_toolongtag_:127.0.0.1:1":     "must be 1 to 8 characters",
		"tag_a:127.0.0.1:1":               "want tag_NAME_:address",
		"tag_a_:tag_b_:127.0.0.1:1":       "a listener has one tag",
		"unix:":                           "want a path after unix:",
		"proto[binary]:127.0.0.1:1":       "the only protocol is proto[ascii]",
	} {
		got, err := ParseListen(in)
		if s := fmt.Sprint(got); err == nil && s != want {
			t.Errorf("%q is %s, want %s", in, s, want)
		}
		if err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

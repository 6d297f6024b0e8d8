// Who comes in, who does not, and what strangers can do: nothing.

package auth

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inside answers whatever reaches it with the command's name.
type inside struct{}

func (inside) Open(server.ConnInfo) server.Session { return inside{} }
func (inside) Rules() mc.Rules                     { return mc.Rules{} }
func (inside) Close()                              {}
func (inside) Serve(b *server.Batch) error {
	for i := range b.Reqs {
		if b.Reqs[i].Cmd == mc.CmdQuit {
			return server.ErrClose
		}
		b.Out = append(b.Out, b.Reqs[i].Cmd.String()+"\r\n"...)
	}
	return nil
}

// users writes a file of them.
func users(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// guarded serves inside behind the users of text.
func guarded(t *testing.T, text string) (*File, string) {
	t.Helper()
	f, err := Open(users(t, text))
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.Options{Handler: f.Guard(inside{})})
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	go s.Serve()
	t.Cleanup(func() { s.Close() })
	return f, s.Addrs()[0].Address
}

// talk says everything at once and gives what is answered until the connection is closed.
func talk(t *testing.T, addr, says string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, strings.ReplaceAll(says, "|", "\r\n")); err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(bufio.NewReader(c))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(got), "\r\n", "|")
}

// later answers elsewhere.
type later struct{ inside }

func (later) Open(server.ConnInfo) server.Session { return later{} }
func (later) Begin(_ *server.Batch, home server.Home, _ func()) (bool, error) {
	go home.GoOn()
	return true, nil
}
func (l later) Onward(b *server.Batch) (server.Outcome, error) {
	if b.Reqs[0].Cmd == mc.CmdQuit {
		return server.Left, nil
	}
	b.Out = append(b.Out, "later "...)
	return server.Done, l.Serve(b)
}
func (later) Complete(b *server.Batch) error {
	b.Out = append(b.Out, "bye\r\n"...)
	return server.ErrClose
}

// Who has come in is served elsewhere, if anybody is; a stranger is not.
func TestGuardElsewhere(t *testing.T) {
	f, err := Open(users(t, "foo:bar\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := server.New(server.Options{Handler: f.Guard(later{}), Async: func() bool { return true }, AsyncAfter: -1})
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	go s.Serve()
	t.Cleanup(func() { s.Close() })
	c, err := net.Dial("tcp", s.Addrs()[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for _, turn := range [][2]string{
		{"get a\r\n", lineStranger},
		{"set x 0 0 7\r\nfoo bar\r\n", lineWelcome},
		{"get a\r\n", "later get\r\n"},
		{"quit\r\n", "bye\r\n"},
	} {
		if _, err := io.WriteString(c, turn[0]); err != nil {
			t.Fatal(err)
		}
		if got, err := r.ReadString('\n'); got != turn[1] || err != nil {
			t.Fatalf("%q is answered %q (%v), want %q", turn[0], got, err, turn[1])
		}
	}
}

func TestGuard(t *testing.T) {
	_, addr := guarded(t, "foo:bar\nbaaaz:quux\r\nodd:pass:word and more")
	no := strings.ReplaceAll(lineStranger, "\r\n", "|")
	failure := strings.ReplaceAll(lineFailure, "\r\n", "|")
	for says, want := range map[string]string{
		"get a|stats|flush_all|version|mn|":                            strings.Repeat(no, 5),
		"set a 0 0 2|hi|get a|":                                        "CLIENT_ERROR bad authentication token format|" + no,
		"set a 0 0 7|foo bar|get a|set b 0 0 2|hi|":                    "STORED|get|set|",
		"set a 0 0 10|baaaz quux|get a|":                               "STORED|get|",
		"set a 0 0 22|odd pass:word and more|get a|":                   "STORED|get|",
		"set a 0 0 7|foo baz|set a 0 0 8|foo barr|set a 0 0 6|oo bar|": strings.Repeat(failure, 3),
		"set a 0 0 8|foo quux|set a 0 0 4|foo |set a 0 0 1| |get a|":   strings.Repeat(failure, 3) + no,
		"set a 0 0 2147483000|set a 0 0 7|foo bar|get a|":              "CLIENT_ERROR auth token too long|STORED|get|",
		"set a 0 0 7 noreply|foo bar|get a|":                           "STORED|get|",
		"set a 0 0 7|foo barxxget a|get b|":                            "CLIENT_ERROR bad command line termination|" + no + no,
		"add a 0 0 7|foo bar|ms a 7|foo bar|set a|incr a|get b|":       strings.Repeat(no, 5),
		"quit|get a|":                     "",
		"set a 0 0 7|foo bar|quit|get a|": "STORED|",
		"set a 0 0 7|foo bar|set b 0 0 20000|" + strings.Repeat("x", 20000) + "|": "STORED|set|",
		"GET / HTTP/1.1|get a|": "",
	} {
		if got := talk(t, addr, says); got != want {
			t.Errorf("%.60q:\n got %q\nwant %q", says, got, want)
		}
	}
}

func TestCounts(t *testing.T) {
	f, addr := guarded(t, "foo:bar")
	talk(t, addr, "get a|set a 0 0 7|foo baz|set a 0 0 7|foo bar|set a 0 0 7|foo baz|")
	if c, e := f.Counts(); c != 2 || e != 1 {
		t.Errorf("%d commands, %d errors, want 2, 1", c, e)
	}
}

func TestReload(t *testing.T) {
	f, addr := guarded(t, "foo:bar\n")
	const foo, new = "set a 0 0 7|foo bar|", "set a 0 0 7|new one|"
	for _, d := range []struct{ text, err, foo, new string }{
		{"new:one\n", "", "CLIENT_ERROR authentication failure|", "STORED|"},
		{"foo:bar\nsecret\n", ":2: want user:password", "CLIENT_ERROR authentication failure|", "STORED|"},
		{"", "has none", "CLIENT_ERROR authentication failure|", "STORED|"},
		{"foo:bar", "", "STORED|", "CLIENT_ERROR authentication failure|"},
	} {
		if err := os.WriteFile(f.path, []byte(d.text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := f.Reload()
		if (err == nil) != (d.err == "") || err != nil && (!strings.Contains(err.Error(), d.err) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: %v, want %q", d.text, err, d.err)
		}
		if got := talk(t, addr, foo); got != d.foo {
			t.Errorf("%q: foo gets %q, want %q", d.text, got, d.foo)
		}
		if got := talk(t, addr, new); got != d.new {
			t.Errorf("%q: new gets %q, want %q", d.text, got, d.new)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there was read")
	}
}

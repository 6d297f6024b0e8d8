// What backends are sent, and that every memcached answers it exactly once.

package mc

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestAppendWire(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		r := parse(t, in)
		got := AppendWire([]byte("x"), r)
		if string(got) != "x"+want {
			t.Errorf("%q:\n got %q\nwant %q", in, got[1:], want)
		}
		if len(got)-1 > r.WireLen() {
			t.Errorf("%q: WireLen %d is less than %d", in, r.WireLen(), len(got)-1)
		}
	}
	f("get a\r\n", "get a\r\n")
	f("get  a  \n", "get  a  \r\n")
	f("set a 0 0 2\nhi\r\n", "set a 0 0 2\r\nhi\r\n")
	f("set /b/a 0 0 2 noreply\r\nhi\r\n", "set /b/a 0 0 2 noreplY\r\nhi\r\n")
	f("set a 0 0 2 noreply  \r\nhi\r\n", "set a 0 0 2 noreplY  \r\nhi\r\n")
	f("set a +1 4294967296 2 x\r\nhi\r\n", "set a +1 4294967296 2 x\r\nhi\r\n")
	f("set a 0 0 2 noreply x\r\nhi\r\n", "set a 0 0 2\r\nhi\r\n")
	f("set a  0 0 2  0 0 0 \r\nhi\r\n", "set a  0 0 2\r\nhi\r\n")
	f("append a 0 0 2 noreply noreply\r\nhi\r\n", "append a 0 0 2\r\nhi\r\n")
	f("set a 0 0 2 "+strings.Repeat("x ", 30)+"noreply\r\nhi\r\n", "set a 0 0 2\r\nhi\r\n")
	f("cas a 0 0 2 7 noreply\r\nhi\r\n", "cas a 0 0 2 7 noreplY\r\nhi\r\n")
	f("cas a 0 0 2 7 x noreply\r\nhi\r\n", "cas a 0 0 2 7\r\nhi\r\n")
	f("cas a 0 0 2 noreply x y\r\nhi\r\n", "cas a 0 0 2 noreplY\r\nhi\r\n")
	f("ms /b/a 2 q\r\nhi\r\n", "ms /b/a 2  \r\nhi\r\n")
	f("ms q 2 q k\r\nhi\r\n", "ms q 2   k\r\nhi\r\n")
	f("mg a q v q1 k\r\n", "mg a   v    k\r\n")
	f("mg a s v\r\n", "mg a s v\r\n")
	f("touch k noreply\r\n", "touch k noreplY\r\n")
	f("delete a noreply\r\n", "delete a 0      \r\n")
	f("delete noreply\r\n", "delete noreply 0\r\n")
	f("delete noreply noreply\r\n", "delete noreply 0      \r\n")
	f("incr a 1 x\r\n", "incr a 1 x\r\n")
	f("incr a 1 x noreply\r\n", "incr a 1\r\n")
	f("decr a noreply x y\r\n", "decr a noreplY\r\n")
	f("touch a  0 x y  \r\n", "touch a  0\r\n")
	f("delete a 0 x\r\n", "delete a 0 x\r\n")
	f("delete noreply x x x x x noreply\r\n", "delete noreply 0\r\n")
	f("get noreply\r\n", "get noreply\r\n")
	f("flush_all noreply\r\n", "flush_all 0      \r\n")
	f("flush_all 10 noreply\r\n", "flush_all 10 0      \r\n")
	f("flush_all 10\r\n", "flush_all 10\r\n")
}

func TestCheckWire(t *testing.T) {
	f := func(in string, want Bad) {
		t.Helper()
		if got := CheckWire(parse(t, in)); got != want {
			t.Errorf("%.60q: %d, want %d", in, got, want)
		}
	}
	long := strings.Repeat("k", 250)
	f("get "+long+"\r\n", BadNone)
	f("get "+long+"k\r\n", BadKey)
	f("mg "+long+"k\r\n", BadKey)
	f("set "+long+"k 0 0 2\r\nhi\r\n", BadKey)
	f("get a b\r\n", BadFormat)
	f("version\r\n", BadNone)
	// What no memcached of 64 bits takes the value of for a command.
	for _, numbers := range []string{"0 2147483648", "0 4294967295", "0 4294967296", "0 +1", "0 -1", "0 -4294967296", "+1 0", "4294967296 0", "007 08"} {
		f("set a "+numbers+" 2\r\nhi\r\n", BadNone)
		f("cas a "+numbers+" 2 5\r\nhi\r\n", BadNone)
		f("append a "+numbers+" 2 noreply x\r\nhi\r\n", BadNone)
	}
	for _, numbers := range []string{"x 0", "0 x", "-1 0", "+ 0", "0 -", "1x 0", "0 0x1", "+-1 0", "0 --1", "0 9223372036854775808",
		"18446744073709551616 0", "0 18446744073709551616", "0\x00 0", "\v0 0", "0 1.5"} {
		f("set a "+numbers+" 2\r\nhi\r\n", BadStore)
		f("cas a "+numbers+" 2 5\r\nhi\r\n", BadStore)
	}
	for _, line := range []string{"set a\x00b 0 0 2", "set a 0 0 2 \x00", "append a\x00 0 0 2 noreply", "cas \x00 0 0 2 5", "ms a\x00b 2 q", "ms a 2 O\x00"} {
		f(line+"\r\nhi\r\n", BadStore)
	}
	for _, line := range []string{"get a\x00b", "get \x00", "mg a\x00 v", "mg a O\x00", "delete a noreply\x00", "incr a 1 noreply\x00", "touch a 0 noreply\x00", "md a q\x00",
		"gat 0 \x00a", "flush_all noreply\x00"} {
		f(line+"\r\n", BadStore)
	}
	for _, cas := range []string{"", " x", " -1", " +5", " noreply", " noreply x", " 18446744073709551616"} {
		f("cas a 0 0 2"+cas+"\r\nhi\r\n", BadStore)
	}
	flags := strings.Repeat(" k", 16)
	f("ms a 2"+flags+"\r\nhi\r\n", BadNone)
	f("ms a 2 q"+flags+"\r\nhi\r\n", BadFlags)
	f("mg a v q"+flags+"\r\n", BadNone)
	r := parse(t, "set a 0 0 2\r\nhi\r\n")
	r.Value = nil
	if CheckWire(r) != BadFormat {
		t.Error("a set without its value")
	}
	r.Bad = BadChunk
	if CheckWire(r) != BadChunk {
		t.Error("a malformed request")
	}
}

// One request, one answer: lines put together at random, good and bad, go the way of the proxy to a real memcached.
func TestWireIsAnsweredOnce(t *testing.T) {
	conn := dialMemcached(t)
	lines := append(randomLines(4000), tricky()...)
	var wire []byte
	var sent []string
	for _, line := range lines {
		var p Parser
		var r Request
		if _, _, err := p.Next([]byte(line), routed, &r); err != nil || CheckWire(&r) != BadNone || !r.Cmd.HasKey() {
			continue
		}
		wire = AppendWire(wire, &r)
		wire = append(wire, "mn\r\n"...)
		sent = append(sent, line)
	}
	if len(sent) < 1000 {
		t.Fatalf("only %d of %d lines may be sent", len(sent), len(lines))
	}
	go conn.Write(wire)
	in := &answers{t: t, from: conn}
	for _, line := range sent {
		first := in.next()
		if first.Code == CodeNop {
			t.Fatalf("%q has no answer", line)
		}
		if got := in.next(); got.Code != CodeNop {
			t.Fatalf("%q has a second answer, %q", line, got.Raw)
		}
	}
}

// tricky are lines that some memcached answers never or twice if they are sent as they come.
func tricky() []string {
	long := strings.Repeat("k", 251)
	return []string{
		"incr a 1 noreply\x00\r\n", "delete a noreply\x00\r\n", "touch a 0 noreply\x00x\r\n", "set a\x00b 0 0 2\r\nhi\r\n", "ms a\x00b 2\r\nhi\r\n", "set a x 0 2\r\nhi\r\n", "set a 0 x 2\r\nhi\r\n", "set a 0 0 2 x y\r\nhi\r\n", "set " + long + " 0 0 2\r\nhi\r\n",
		"set a 4294967296 4294967295 2\r\nhi\r\n", "set a +1 +1 2\r\nhi\r\n", "set a 18446744073709551615 -4294967295 2\r\nhi\r\n",
		"append a 0 0 2 noreply noreply\r\nhi\r\n", "set a 0 0 2 noreply x\r\nhi\r\n", "cas a 0 0 2 +5 x noreply\r\nhi\r\n", "cas a 0 0 2\r\nhi\r\n", "cas a 0 0 2 noreply\r\nhi\r\n", "ms " + long + " 2\r\nhi\r\n",
		"delete noreply\r\n", "touch noreply noreply\r\n", "incr a noreply\r\n", "get a b\r\n", "get noreply\r\n",
		"mg a q q\r\n", "mg a qq v\r\n", "ms a 2 q q\r\nhi\r\n", "ms a! 2 b q\r\nhi\r\n", "ms a 2 Mx q\r\nhi\r\n", "ms a 4 F0 I T0 C1 E5 O1 k c MS s P1 L1 N1 f t v h\r\nmn\r\n\r\n", "md a q\r\n",
		"ma a q\r\n", "me a q\r\n", "mg " + long + "\r\n", "set a 0 0 2 noreply\r\nhi\r\n", "touch a 0 noreply  \r\n",
	}
}

// randomLines draws words from what commands are made of, mostly in places where they belong.
func randomLines(n int) []string {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(words ...string) string { return words[rnd.IntN(len(words))] }
	word := func() string {
		return pick("0", "1", "2", "-1", "2147483648", "99999999999", "noreply", "a", "key", "q", "x\x01y", "+1", "\xff", "k\rk")
	}
	flag := func() string {
		return pick("q", "k", "v", "b", "t", "f", "c", "s", "O1", "T30", "TX", "N0", "F1", "F", "C1", "MA", "MX", "J1", "D1", "I", "x", "qq", "u", "E9")
	}
	var lines []string
	for range n {
		cmd := Cmd(1 + rnd.IntN(int(CmdEndStorage)-1))
		parts := []string{cmd.String()}
		if cmd == CmdGat || cmd == CmdGats {
			parts = append(parts, pick("0", "10", word()))
		}
		parts = append(parts, pick("a", "b", "c", word()))
		value := ""
		switch {
		case cmd == CmdMS:
			parts = append(parts, "2")
			value = "hi\r\n"
		case cmd.HasValue():
			parts = append(parts, pick("0", "1", word()), pick("0", "9", word()), "2")
			value = "hi\r\n"
		}
		for range rnd.IntN(4) {
			if cmd.IsMeta() {
				parts = append(parts, flag())
			} else {
				parts = append(parts, word())
			}
		}
		lines = append(lines, strings.Join(parts, pick(" ", " ", " ", "  "))+pick("\r\n", "\r\n", "\n", " \r\n")+value)
	}
	return lines
}

// answers cuts a connection's stream with ParseResponse.
type answers struct {
	t    *testing.T
	from io.Reader
	buf  []byte
}

func (a *answers) next() Response {
	a.t.Helper()
	for {
		var r Response
		n, _, err := ParseResponse(a.buf, &r)
		if err == nil {
			r.Rebase(bytes.Clone(r.Raw))
			a.buf = a.buf[n:]
			return r
		}
		if err != ErrMore {
			a.t.Fatalf("cannot read an answer from %.200q: %v", a.buf, err)
		}
		more := make([]byte, 64<<10)
		n, err = a.from.Read(more)
		if err != nil {
			a.t.Fatalf("cannot read an answer: %v, got %.200q", err, a.buf)
		}
		a.buf = append(a.buf, more[:n]...)
	}
}

// dialMemcached starts a memcached on a socket of its own and connects.
func dialMemcached(t *testing.T) net.Conn {
	t.Helper()
	bin, err := exec.LookPath("memcached")
	if err != nil {
		if os.Getenv("TIDEPOOL_PEERS") == "required" {
			t.Fatalf("memcached is required: %v", err)
		}
		t.Skip("SKIPPED: memcached is not installed, nothing was compared with it")
	}
	path := filepath.Join(t.TempDir(), "mc.sock")
	cmd := exec.Command(bin, "-s", path, "-u", "root", "-m", "64", "-vv")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start memcached: %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	// It says so once it listens, and then a line for every command.
	for lines := bufio.NewScanner(stderr); ; {
		if !lines.Scan() {
			t.Fatalf("memcached ended before it listened: %v", lines.Err())
		}
		if strings.Contains(lines.Text(), "server listening") {
			break
		}
	}
	go io.Copy(io.Discard, stderr)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("cannot reach memcached: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

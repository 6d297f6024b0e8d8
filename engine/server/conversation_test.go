// What clients say and see.

package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

func TestPipeliningKeepsOrder(t *testing.T) {
	for _, maxBatch := range []int{1, 7, 64} {
		d := newDesk()
		p := dial(t, serve(t, Options{Handler: d, MaxBatch: maxBatch}))
		var says, sees strings.Builder
		for i := range 500 {
			key := fmt.Sprint("key", i)
			fmt.Fprintf(&says, "get %s\r\nset %s 0 0 2\r\nxx\r\nset %s 0 0 2 noreply\r\nyy\r\n", key, key, key)
			sees.WriteString(value(key) + "STORED\r\n")
		}
		go io.WriteString(p, says.String())
		p.sees(sees.String())
		if n := d.largest.Load(); n > int64(maxBatch) || maxBatch == 7 && n < 7 {
			t.Errorf("a batch of %d requests, at most %d were asked for", n, maxBatch)
		}
	}
}

// A slow answer holds back those behind it on its own connection, and nobody else's.
func TestSlowAnswersKeepTheirOrder(t *testing.T) {
	for _, maxBatch := range []int{1, 2, 64} {
		d := newDesk()
		s := serve(t, Options{Handler: d, MaxBatch: maxBatch})
		slow, other := dial(t, s), dial(t, s)
		slow.says("get a\r\nget wait\r\nset b 0 0 2\r\nhi\r\nget wait\r\nget c\r\n")
		for range 2 {
			await(t, "the session to wait", d.entered)
			slow.says("get d\r\nget e\r\n") // what comes meanwhile waits its turn
			other.says("get other\r\n")
			other.sees(value("other"))
			d.gate <- struct{}{}
		}
		slow.sees(value("a") + value("wait") + "STORED\r\n" + value("wait") + value("c") + strings.Repeat(value("d")+value("e"), 2))
	}
}

// conversation has something of everything. Every byte of it is read before the end.
const conversation = "get a\r\nset b 0 0 7\r\nhe\r\nllo\r\nget c d\nrubbish\r\nms e 2\r\nhi\r\nset f 0 0 1\r\nxx\r\nset g 0 0 12\r\n0123456789ab\r\n" +
	"set h 0 0 2 noreply\r\nhi\r\n\r\nget i\r\nquit\r\n"

var conversationRules = mc.Rules{MaxValue: 8}

// lineEmpty answers an empty line, and any of less than four bytes, as memcached 1.6.45 does (older ones: ERROR). The line end
// that is left over when a value was a byte longer than announced is such a line.
const lineEmpty = "CLIENT_ERROR bad command line format\r\n"

var conversationSees = value("a") + "STORED\r\n" + "VALUE c 0 1\r\nc\r\nVALUE d 0 1\r\nd\r\nEND\r\n" + "ERROR\r\n" + "STORED\r\n" +
	"CLIENT_ERROR bad data chunk\r\n" + lineEmpty + "SERVER_ERROR object too large for cache\r\n" + lineEmpty + value("i")

// A conversation gives the same answers wherever the network cuts it.
func TestCutsDoNotShow(t *testing.T) {
	d := newDesk()
	d.rules.Store(&conversationRules)
	s := serve(t, Options{Handler: d})
	read := uint64(0)
	f := func(pieces ...string) {
		t.Helper()
		p := dial(t, s)
		for _, piece := range pieces {
			p.says("%s", piece)
			read += uint64(len(piece))
			until(t, "the piece to be read by itself", func() bool { return s.Stats().BytesRead == read })
		}
		got, err := io.ReadAll(p.r)
		p.Close()
		if err != nil || string(got) != conversationSees {
			t.Fatalf("cut into %q: sees %q (%v), want %q", pieces, got, err, conversationSees)
		}
	}
	f(conversation)
	for cut := 1; cut < len(conversation); cut++ {
		f(conversation[:cut], conversation[cut:])
	}
	f(strings.Split(conversation, "")...)
}

func TestValuesUpToTheLimitAndAbove(t *testing.T) {
	for _, limit := range []int{100, 1 << 10, 16 << 10, 64 << 10, 1 << 20, 5 << 20} {
		d := newDesk()
		d.rules.Store(&mc.Rules{MaxValue: limit})
		p := dial(t, serve(t, Options{Handler: d}))
		for _, size := range []int{limit - 1, limit, limit + 1, 3 * limit, limit} {
			go fmt.Fprintf(p.Conn, "set k 0 0 %d\r\n%s\r\nget after\r\n", size, strings.Repeat("x", size))
			if size > limit {
				p.sees("SERVER_ERROR object too large for cache\r\n")
			} else {
				p.sees("STORED\r\n")
			}
			p.sees(value("after"))
		}
	}
}

func TestOddClients(t *testing.T) {
	d := newDesk()
	s := serve(t, Options{Handler: d, MaxLine: 32 << 10, MaxBuffered: 64 << 10})
	healthy := dial(t, s)
	f := func(name, says, want string, half bool) {
		t.Helper()
		p := dial(t, s)
		go func() {
			io.WriteString(p, says)
			if half {
				p.Conn.(*net.TCPConn).CloseWrite()
			}
		}()
		if got, err := io.ReadAll(p.r); err != nil || string(got) != want {
			t.Errorf("%s: sees %.200q (%v), want %q", name, got, err, want)
		}
		p.Close()
		await(t, name+": its session to be closed", d.closed)
		healthy.says("get healthy\r\n")
		healthy.sees(value("healthy"))
	}
	header := string(append([]byte{0x80, 0}, make([]byte, 22)...))

	f("nothing", "", "", true)
	f("a begun line", "get a\r\nget", value("a"), true)
	f("half a value", "get a\r\nset b 0 0 10\r\nabc", value("a"), true)
	f("half a large value", "set b 0 0 50000\r\n"+strings.Repeat("x", 40000), "", true)
	f("half a swallowed value", "set b 0 0 9999999\r\nabc", "SERVER_ERROR object too large for cache\r\n", true)
	f("empty lines", "\r\n\n", lineEmpty+lineEmpty, true)
	f("zeroes", "\x00\x00\r\nget a\r\n", "ERROR\r\n"+value("a"), true)
	f("quit", "get a\r\nquit\r\nget never\r\n", value("a"), false)
	f("more after quit than buffers hold", "get a\r\nquit\r\n"+strings.Repeat("x", 300000), value("a"), false)
	f("the binary protocol", "get a\r\n"+header, value("a")+string(mc.AnswerBad(nil, &mc.Request{Bad: mc.BadBinary, Line: []byte(header)}, &mc.Rules{})), false)
	f("a web browser", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", false)
	// The server decides, not the client's end of stream. That the limit of 64 KiB for all is not met says that memory is bounded.
	f("a line without end", strings.Repeat("a", 2049), "", false)
	f("a long line without end", strings.Repeat("a", 1<<20), "", false)
	f("a multiget without end", "get"+strings.Repeat(" k", 16<<10), "CLIENT_ERROR line too long\r\n", false)
	f("a longer multiget without end", "get"+strings.Repeat(" k", 1<<20), "CLIENT_ERROR line too long\r\n", false)
	f("a session that fails", "get a\r\nget fail\r\n", "", false)
	if st := s.Stats(); st.Refused != 2 {
		t.Errorf("%d refused, want the 2 multigets", st.Refused)
	}
}

// How a line without end was cut does not decide when the connection ends.
func TestEndlessLineInPieces(t *testing.T) {
	s := serve(t, Options{})
	p := dial(t, s)
	for i := range 2049 {
		p.says("a")
		until(t, "a byte to be read", func() bool { return s.Stats().BytesRead == uint64(i+1) })
	}
	p.ends()
}

func TestLongMultiget(t *testing.T) {
	p := dial(t, serve(t, Options{}))
	var says, sees strings.Builder
	says.WriteString("get")
	for i := range 40000 { // 400 KB
		fmt.Fprintf(&says, " key%06d", i)
		fmt.Fprintf(&sees, "VALUE key%06d 0 9\r\nkey%06d\r\n", i, i)
	}
	go io.WriteString(p, says.String()+"\r\n")
	p.sees(sees.String() + "END\r\n")
}

// Rules are asked for before each batch, and hold for the whole batch.
func TestRulesOfABatch(t *testing.T) {
	const says = "set a 0 0 2\r\nxx\r\nget small\r\nset a 0 0 2\r\nxx\r\n"
	p := dial(t, serve(t, Options{MaxBatch: 1}))
	p.says(says)
	p.sees("STORED\r\n" + value("small") + "SERVER_ERROR object too large for cache\r\n")
	p = dial(t, serve(t, Options{MaxBatch: 3}))
	p.says(says)
	p.sees("STORED\r\n" + value("small") + "STORED\r\n")
	p.says("set a 0 0 2\r\nxx\r\n")
	p.sees("SERVER_ERROR object too large for cache\r\n")
}

// What a session flushes arrives, behind what was answered before it, while the session goes on.
func TestFlush(t *testing.T) {
	d := newDesk()
	p := dial(t, serve(t, Options{Handler: d}))
	p.says("get a\r\nget flush\r\nget b\r\n")
	p.sees(value("a") + "EARLY\r\n")
	d.gate <- struct{}{}
	p.sees(value("flush") + value("b"))
}

// What is large is not copied into Out, and comes in its place all the same.
func TestAppend(t *testing.T) {
	large := bytes.Repeat([]byte("l"), direct)
	var out bytes.Buffer
	b := NewBatch(&out)
	for _, p := range [][]byte{[]byte("a"), large, large, []byte("b"), []byte("c"), large[:direct-1], large} {
		b.Append(p, false)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	l := string(large)
	if got := out.String(); got != "a"+l+l+"bc"+l[1:]+l {
		t.Errorf("%d bytes, not in their order", len(got))
	}
	if cap(b.Out) > 2*direct {
		t.Errorf("Out has grown to %d", cap(b.Out))
	}
	for _, c := range []struct {
		before string
		p      []byte
		last   bool
		copied bool
	}{{"", large[:directAlone], true, false}, {"", large[:directAlone-1], true, true}, {"", large[:directAlone], false, true}, {"x", large[:directAlone], true, true}} {
		out.Reset()
		b.Out = append(b.Out, c.before...)
		b.Append(c.p, c.last)
		if copied := out.Len() == 0; copied != c.copied {
			t.Errorf("%d bytes after %q, last: %v: copied: %v, want %v", len(c.p), c.before, c.last, copied, c.copied)
		}
		if err := b.Flush(); err != nil || out.String() != c.before+string(c.p) {
			t.Errorf("%d bytes after %q: wrote %d bytes, %v", len(c.p), c.before, out.Len(), err)
		}
	}
	var each []byte
	b.Each = func(_ int, answer []byte) { each = answer }
	b.Append(large, false)
	if b.Each(0, b.Out); string(each) != l {
		t.Errorf("Each is given %d bytes", len(each))
	}
	r, w := net.Pipe()
	r.Close()
	b = NewBatch(w)
	b.Append(large, false)
	if err := b.Flush(); err == nil || !strings.HasPrefix(err.Error(), "cannot write an answer: ") {
		t.Errorf("error %v", err)
	}
}

func TestFlushToAClientThatHasGone(t *testing.T) {
	r, w := net.Pipe()
	r.Close()
	b := NewBatch(w)
	if err := b.Flush(); err != nil {
		t.Errorf("nothing to write: %v", err)
	}
	b.Out = append(b.Out, "x"...)
	if err := b.Flush(); err == nil || !strings.HasPrefix(err.Error(), "cannot write answers: ") {
		t.Errorf("error %v", err)
	}
	if len(b.Out) != 0 {
		t.Errorf("%q is left", b.Out)
	}
}

// A panic takes back the answers of its batch: what the session had appended may end anywhere. Earlier batches have been answered.
func TestPanicEndsItsConnectionOnly(t *testing.T) {
	d := newDesk()
	s := serve(t, Options{Handler: d})
	other, p, q := dial(t, s), dial(t, s), dial(t, s)
	p.says("set a 0 0 20000\r\n%s\r\n", strings.Repeat("x", 20000))
	p.sees("STORED\r\n")
	p.says("set a 0 0 20000 noreply\r\n%s\r\nget panic\r\nget never\r\n", strings.Repeat("x", 20000))
	p.ends()
	q.says("get flush\r\nget a\r\nget panic\r\nget never\r\n")
	q.sees("EARLY\r\n") // what was flushed stays so
	d.gate <- struct{}{}
	q.ends()
	for range 2 {
		await(t, "the session to be closed", d.closed)
	}
	other.says("get a\r\n")
	other.sees(value("a"))
	if n := s.Stats().Panics; n != 2 {
		t.Errorf("%d panics counted", n)
	}
}

// badHandler panics where few expect it.
type badHandler struct{ *desk }

type badSession struct{ Session }

func (b badSession) Close() { b.Session.Close(); panic("in Close") }

func (h badHandler) Open(i ConnInfo) Session {
	if i.ID == 1 {
		panic("in Open")
	}
	return badSession{h.desk.Open(i)}
}

func TestPanicsInOpenAndClose(t *testing.T) {
	s := serve(t, Options{Handler: badHandler{newDesk()}})
	dial(t, s).ends()
	p := dial(t, s)
	p.says("get a\r\nquit\r\n")
	p.sees(value("a"))
	p.ends()
	until(t, "both to be gone", func() bool { st := s.Stats(); return st.Conns == 0 && st.Panics == 2 })
}

// Bad input: answered with an error, counted, and without any harm to what comes after.

package leaf

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// badFrames is a leaf with something stored, and a proxy that sends it bad frames while another one looks on.
type badFrames struct {
	t        *testing.T
	l        *Leaf
	p, other *proxy
	id       uint64
}

func newBadFrames(t *testing.T, o Options) *badFrames {
	l := start(t, o)
	b := &badFrames{t: t, l: l, p: dial(t, l), other: dial(t, l)}
	b.p.frame(1, "set kept 7 0 5\r\nvalue\r\nset n 0 0 1\r\n5\r\n")
	b.p.want(1, "STORED\r\nSTORED\r\n")
	return b
}

// send sends msg and wants it refused for that reason, once, counted once, and nothing executed: what is stored is as it was
// for this proxy and the other, and nobody waits for anything.
func (b *badFrames) send(name string, id uint64, why frame.Reason, msgs ...[]byte) {
	b.t.Helper()
	before := b.l.Stats()
	for _, m := range msgs {
		b.p.send(frame.LaneSubject(b.l.Name(), 0), m)
	}
	h, _ := b.p.next()
	if h.Flags != frame.FlagAnswer|frame.FlagRefused || h.ID != id || h.Reason != why {
		b.t.Errorf("%s: got %+v, want frame %d refused: %v", name, h, id, why)
	}
	after := b.l.Stats()
	if n := after.Refused[why] - before.Refused[why]; n != 1 || after.Requests != before.Requests {
		b.t.Errorf("%s: counted %d times, %d requests executed", name, n, after.Requests-before.Requests)
	}
	for _, p := range []*proxy{b.p, b.other} {
		b.id++
		p.frame(100+b.id, "get kept n\r\n")
		p.want(100+b.id, "VALUE kept 7 5\r\nvalue\r\nVALUE n 0 1\r\n5\r\nEND\r\n")
	}
	waitFor(b.t, "idle", func() bool { return b.l.Stats().Pending == 0 })
}

// good is a frame that would change what is stored.
func (b *badFrames) good(change ...func(h *frame.Header)) []byte {
	h := b.p.header(9)
	for _, f := range change {
		f(&h)
	}
	return h.Append(nil, []byte("delete kept\r\nincr n 1\r\n"))
}

func TestBadFrames(t *testing.T) {
	b := newBadFrames(t, Options{Lanes: 1})
	whole := b.good()
	for n := range whole {
		id := uint64(9)
		if n < frame.Size {
			id = 0 // no header, no id
		}
		b.send(fmt.Sprintf("cut after %d bytes", n), id, frame.ReasonFormat, b.good()[:n])
	}
	for v := range 256 {
		if v == frame.Version {
			continue
		}
		m := b.good()
		m[2] = byte(v)
		b.send(fmt.Sprintf("version %d", v), 9, frame.ReasonVersion, m)
	}
	for bit := range 7 {
		m := b.good()
		m[3] = 2 << bit
		if m[3] == frame.FlagAck {
			continue // without a body it would be none
		}
		b.send(fmt.Sprintf("flags %#x", m[3]), 9, frame.ReasonFormat, m)
	}
	for _, by := range []int{-24, -1, 1, 1000, 1 << 30, -1 << 31} {
		m := b.good()
		n := uint32(len(m)-frame.Size) + uint32(by)
		m[36], m[37], m[38], m[39] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
		b.send(fmt.Sprintf("length %d", n), 9, frame.ReasonFormat, m)
	}
	for _, c := range []struct {
		name string
		why  frame.Reason
		msg  []byte
	}{
		{"a byte too many", frame.ReasonFormat, append(b.good(), 'x')},
		{"twice", frame.ReasonFormat, append(b.good(), b.good()...)},
		{"an acknowledgement with a body", frame.ReasonFormat, b.good(func(h *frame.Header) { h.Flags = frame.FlagAck })},
		{"an answer", frame.ReasonFormat, b.good(func(h *frame.Header) { h.Flags = frame.FlagAnswer })},
		{"the third part of two", frame.ReasonFormat, b.good(func(h *frame.Header) { h.Part, h.Parts = 2, 2 })},
		{"for another instance", frame.ReasonInstance, b.good(func(h *frame.Header) { h.Instance ^= 1 })},
		{"of an epoch that cannot be", frame.ReasonFormat, b.good(func(h *frame.Header) { h.Epoch = 1 << 62 })},
		{"a membership of one", frame.ReasonFormat, b.p.told(`{"pool":"users","epoch":4611686018427387904,"members":[{"name":"leaf-1"}]}`)},
		{"late", frame.ReasonExpired, b.good(func(h *frame.Header) { h.Millis = 0 })},
	} {
		b.send(c.name, 9, c.why, c.msg)
	}
	body := func(s string) []byte { h := b.p.header(9); return h.Append(nil, []byte(s)) }
	for _, s := range []string{
		"delete kept", "delete kept\r\nset n 0 0 9\r\nx\r\n", "delete kept\r\nset n 0 0 4294967296\r\nx\r\n",
		"delete kept\r\nset n 0 0 -1\r\nincr n 1\r\n", "delete kept\r\nset n 0 0 1\r\n7\rincr n 1\r\n", "delete kept\r\nms n x\r\nincr n 1\r\n",
		"set kept 0 0 9000000\r\nvvv", "delete kept\r\nset " + strings.Repeat("k", 251) + " 0 0 90\r\nincr n 1\r\n",
		"delete kept\r\n" + strings.Repeat("x", 5000),
		"\x80\x01\x00\x04" + strings.Repeat("\x00", 20) + "kept", "GET / HTTP/1.1\r\n\r\n",
	} {
		b.send(fmt.Sprintf("body %.40q", s), 9, frame.ReasonFormat, body(s))
	}
	b.p.silence()
	b.p.by(uint64(time.Now().UnixMilli()), 10, 0, "set n 0 0 1\r\n7\r\n") // none that is newer was believed
	b.p.want(10, "STORED\r\n")
}

// told is a frame that tells a membership.
func (p *proxy) told(text string) []byte {
	h := frame.Header{Flags: frame.FlagTold, Instance: p.l.Instance(), ID: 9}
	return h.Append(nil, []byte(text))
}

// An oversized frame comes in parts: what is put together is bounded.
func TestOversizedFrame(t *testing.T) {
	b := newBadFrames(t, Options{Lanes: 1, MaxPending: 100_000})
	msg := func(i, of uint16, size int) []byte {
		h := b.p.header(9)
		h.Part, h.Parts = i, of
		return h.Append(nil, []byte("set kept 0 0 9000000\r\n"+strings.Repeat("v", size)))
	}
	b.send("two parts", 9, frame.ReasonTooLarge, msg(0, 3, 60_000), msg(1, 3, 60_000))
	b.send("more parts than there is room to note", 9, frame.ReasonTooLarge, msg(0, 65535, 10))
}

// A message over the server's limit never gets to the leaf: its sender is told, and cut off; others notice nothing.
func TestOversizedMessage(t *testing.T) {
	b := newBadFrames(t, Options{Lanes: 1, MaxPayload: 32 << 10})
	c, err := net.Dial("tcp", b.l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "CONNECT {\"verbose\":false}\r\nPUB %s %s %d\r\n", frame.LaneSubject(b.l.Name(), 0), b.p.inbox, 64<<10)
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("never told: %v", err)
		}
		if strings.Contains(line, "-ERR") && strings.Contains(line, "Maximum Payload") {
			break
		}
	}
	b.p.frame(50, "get kept\r\n")
	b.p.want(50, "VALUE kept 7 5\r\nvalue\r\nEND\r\n")
	b.p.silence()
}

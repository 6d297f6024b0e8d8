// The header, parts and the Assembler.

package frame

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"
	"time"
)

// The bytes are a contract between proxies and leaves of different builds.
func TestLayout(t *testing.T) {
	h := Header{Flags: FlagAnswer, Part: 1, Parts: 0x0203, Instance: 0x0405060708090a0b, ID: 0x1112131415161718,
		Epoch: 0x052425262728, Millis: 0x31323334, Acked: 0x4142434445464748}
	got := hex.EncodeToString(h.Append([]byte("x"), []byte("ab")))
	want := hex.EncodeToString([]byte("xTP")) + "01" + "01" + "0100" + "0302" + "0b0a090807060504" + "1817161514131211" +
		"2827262524050000" + "34333231" + "02000000" + "4847464544434241" + hex.EncodeToString([]byte("ab"))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if h.Len != 2 {
		t.Error("Append sets Len")
	}
	refusal := Header{Flags: FlagAnswer | FlagRefused, Reason: ReasonExpired, Millis: 99}
	if msg := refusal.Append(nil, nil); msg[32] != byte(ReasonExpired) || msg[6] != 1 {
		t.Errorf("refusal % x", msg)
	}
}

func TestRoundTrip(t *testing.T) {
	f := func(h Header, body string) {
		t.Helper()
		msg := h.Append(nil, []byte(body))
		var got Header
		b, err := got.Parse(msg)
		if err != nil || got != h || string(b) != body {
			t.Errorf("%+v %q: got %+v %q %v", h, body, got, b, err)
		}
		if len(body) > 0 && &b[0] != &msg[Size] {
			t.Error("the body is not inside the message")
		}
	}
	f(Header{}, "")
	f(Header{ID: 7, Instance: math.MaxUint64, Epoch: 9, Millis: 250, Acked: 1 << 40}, "get a\r\n")
	f(Header{Flags: FlagAnswer, ID: 7, Part: 2, Parts: 3}, "END\r\n")
	f(Header{Flags: FlagAck, Acked: 5}, "")
	for r := ReasonInstance; r <= ReasonOverloaded; r++ {
		f(Header{Flags: FlagAnswer | FlagRefused, Reason: r}, "")
		if r.String() == "unknown" {
			t.Errorf("reason %d has no name", r)
		}
	}
}

func TestParseErrors(t *testing.T) {
	f := func(want error, body string, change func(msg []byte) []byte) {
		t.Helper()
		h := Header{ID: 77}
		msg := change(h.Append(nil, []byte(body)))
		var got Header
		b, err := got.Parse(msg)
		if !errors.Is(err, want) || b != nil {
			t.Errorf("% x: body %q %v, want %v", msg, b, err, want)
		}
		if err != ErrMagic && err != ErrShort && got.ID != 77 {
			t.Errorf("%v: whoever refuses it needs the id, got %d", err, got.ID)
		}
	}
	set := func(at int, v byte) func([]byte) []byte {
		return func(msg []byte) []byte { msg[at] = v; return msg }
	}
	f(ErrMagic, "", func([]byte) []byte { return nil })
	f(ErrMagic, "", set(0, 't'))
	f(ErrMagic, "", set(1, 'X'))
	f(ErrShort, "", func(msg []byte) []byte { return msg[:Size-1] })
	f(ErrVersion, "", set(2, 2))
	f(ErrVersion, "", set(2, 0))
	f(ErrFlags, "", set(3, 16))
	f(ErrFlags, "", set(3, FlagTold|FlagAnswer))
	f(ErrFlags, "", set(3, FlagRefused))
	f(ErrFlags, "", set(3, FlagAck|FlagAnswer))
	f(ErrEpoch, "", set(24+6, 1))
	f(ErrEpoch, "", set(24+7, 0x80))
	f(ErrPart, "", set(4, 1))
	f(ErrPart, "", set(6, 0))
	f(ErrLength, "body", set(36, 3))
	f(ErrLength, "body", func(msg []byte) []byte { return msg[:len(msg)-1] })
	f(ErrLength, "body", func(msg []byte) []byte { return append(msg, 'x') })
	f(ErrLength, "body", set(3, FlagAck))
	f(ErrLength, "body", set(3, FlagAnswer|FlagRefused))
	f(ErrReason, "", set(3, FlagAnswer|FlagRefused))
	f(ErrReason, "", func(msg []byte) []byte { msg[32] = 8; return set(3, FlagAnswer|FlagRefused)(msg) })
	f(ErrPart, "", func(msg []byte) []byte { msg[6] = 2; return set(3, FlagAck)(msg) })
}

func TestParts(t *testing.T) {
	const payload = Slack + Size + 10 // room for bodies of 10 bytes
	f := func(body, want int) {
		t.Helper()
		n, err := Parts(body, payload)
		if n != want || err != nil {
			t.Errorf("%d bytes: %d %v, want %d", body, n, err, want)
		}
		whole := bytes.Repeat([]byte("0123456789abc"), body/13+1)[:body]
		var joined []byte
		for i := range n {
			msg := AppendPart(nil, Header{ID: 5}, whole, i, n, payload)
			var h Header
			b, err := h.Parse(msg)
			if err != nil || int(h.Part) != i || int(h.Parts) != n || len(msg) > payload-Slack {
				t.Fatalf("part %d of %d: %+v %v", i, n, h, err)
			}
			joined = append(joined, b...)
		}
		if !bytes.Equal(joined, whole) {
			t.Errorf("%d bytes: joined they are others", body)
		}
	}
	f(0, 1)
	f(1, 1)
	f(10, 1)
	f(11, 2)
	f(20, 2)
	f(21, 3)
	f(655350, 65535)
	if _, err := Parts(655351, payload); err != ErrParts {
		t.Error(err)
	}
	if MaxBody(100) != 1 {
		t.Error("a server that allows next to nothing must not lead to a division by zero")
	}
}

// give adds part i of n to a, with the body, and returns what Add says.
func give(a *Assembler, from string, id uint64, i, n uint16, body string, now time.Duration) (string, bool, error) {
	h := Header{ID: id, Part: i, Parts: n, Len: uint32(len(body)), Millis: 100 - uint32(i)}
	head, whole, done, err := a.Add(from, h, []byte(body), int64(now))
	if done && (head.Part != 0 || head.Parts > 1 || int(head.Len) != len(whole) || head.ID != id || head.Millis != 100) {
		return "", false, errors.New("the header is not the whole frame's")
	}
	return string(whole), done, err
}

func TestAssembler(t *testing.T) {
	var a Assembler
	f := func(from string, id uint64, i, n uint16, body, want string) {
		t.Helper()
		got, done, err := give(&a, from, id, i, n, body, 0)
		if err != nil || got != want || done != (want != "") {
			t.Errorf("%s %d part %d: %q %v %v, want %q", from, id, i, got, done, err, want)
		}
	}
	f("p", 1, 0, 1, "alone", "alone")
	f("p", 1, 0, 3, "a", "")
	f("q", 1, 0, 2, "x", "") // another sender's frame of the same id
	f("p", 2, 1, 2, "2", "")
	f("p", 1, 2, 3, "c", "")
	f("p", 1, 2, 3, "C", "") // twice
	f("p", 1, 1, 3, "b", "abc")
	f("q", 1, 1, 2, "y", "xy")
	f("p", 2, 0, 2, "1", "12") // the later part came first
	f("p", 3, 0, 2, "", "")
	f("p", 3, 1, 2, "z", "z")
	if frames, n := a.Held(); frames != 0 || n != 0 {
		t.Errorf("holds %d frames, %d bytes", frames, n)
	}
}

func TestAssemblerErrors(t *testing.T) {
	a := Assembler{Limits: Limits{Bytes: 1000, Frames: 2, Age: time.Second}}
	f := func(id uint64, i, n uint16, size int, now time.Duration, want error) {
		t.Helper()
		_, done, err := give(&a, "p", id, i, n, string(make([]byte, size)), now)
		if err != want || done {
			t.Errorf("frame %d part %d: %v %v, want %v", id, i, done, err, want)
		}
	}
	held := func(want int) {
		t.Helper()
		frames, n := a.Held()
		if frames != want || (n == 0) != (want == 0) || n > 1000 {
			t.Errorf("holds %d frames of %d bytes, want %d frames", frames, n, want)
		}
	}
	f(1, 0, 2, 10, 0, nil)
	f(1, 1, 3, 10, 0, ErrMismatch) // another number of parts: the frame is gone
	held(0)
	f(2, 0, 2, 1000, 0, ErrTooLarge)
	held(0)
	f(3, 0, 1000, 10, 0, ErrTooLarge) // the bookkeeping alone
	held(0)
	f(4, 0, 3, 300, 0, nil)
	f(5, 0, 3, 300, 0, nil)
	f(6, 0, 2, 1, 0, ErrFull) // a third frame
	held(2)
	f(5, 1, 3, 300, 0, ErrFull) // no room for more bytes: it goes, the other stays
	held(1)
	f(7, 0, 2, 1, 900*time.Millisecond, nil)
	f(8, 0, 2, 1, 1001*time.Millisecond, nil) // frame 4 is over age and makes place
	held(2)
	f(7, 1, 2, 1, 1901*time.Millisecond, nil) // too late: it begins anew and never gets whole
	held(2)
	a.Forget("p")
	held(0)

	f(9, 0, 2, 600, 10*time.Second, nil)
	f(10, 0, 2, 600, 10*time.Second, ErrFull)
	f(10, 0, 2, 600, 11500*time.Millisecond, nil) // bytes of a frame over age make room too
	held(1)
	if n := a.Expire(int64(12 * time.Second)); n != 0 {
		t.Errorf("%d went too early", n)
	}
	if n := a.Expire(int64(13 * time.Second)); n != 1 {
		t.Errorf("%d went", n)
	}
	held(0)
}

// A frame's parts must agree on whose it is.
func TestMismatch(t *testing.T) {
	f := func(change func(h *Header)) {
		t.Helper()
		var a Assembler
		h := Header{ID: 1, Parts: 2, Instance: 3, Epoch: 4}
		a.Add("p", h, []byte("a"), 0)
		h.Part = 1
		change(&h)
		if _, _, done, err := a.Add("p", h, []byte("b"), 0); err != ErrMismatch || done {
			t.Errorf("%+v: %v %v", h, done, err)
		}
	}
	f(func(h *Header) { h.Instance = 9 })
	f(func(h *Header) { h.Epoch = 9 })
	f(func(h *Header) { h.Flags = FlagAnswer })
	f(func(h *Header) { h.Parts = 3 })
}

func TestNoAllocations(t *testing.T) {
	h := Header{ID: 7, Millis: 100}
	body := bytes.Repeat([]byte("get a\r\n"), 20)
	buf := make([]byte, 0, 1<<10)
	var a Assembler
	if n := testing.AllocsPerRun(100, func() {
		buf = h.Append(buf[:0], body)
		var got Header
		b, err := got.Parse(buf)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, done, _ := a.Add("_INBOX.x", got, b, 0); !done {
			t.Fatal("not whole")
		}
	}); n != 0 {
		t.Errorf("a frame of one part allocates %v times", n)
	}
}

func BenchmarkFrame(b *testing.B) {
	h := Header{ID: 7, Millis: 100}
	msg := h.Append(nil, bytes.Repeat([]byte("get a\r\n"), 20))
	b.ReportAllocs()
	for b.Loop() {
		h.Put(msg)
		h.Parse(msg)
	}
}

func FuzzHeader(f *testing.F) {
	for _, h := range []Header{{}, {ID: 1, Part: 1, Parts: 3}, {Flags: FlagAck}, {Flags: FlagAnswer | FlagRefused, Reason: ReasonEpoch}, {Flags: FlagAnswer}} {
		f.Add(h.Append(nil, nil))
		f.Add(h.Append(nil, []byte("END\r\n")))
	}
	f.Add([]byte("TP"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		var h Header
		body, err := h.Parse(msg)
		if err != nil {
			if body != nil {
				t.Fatalf("% x: a body and %v", msg, err)
			}
			return
		}
		if again := h.Append(nil, body); !bytes.Equal(again, msg) {
			t.Fatalf("% x: written again it is % x", msg, again)
		}
	})
}

// Parts in any order, twice or mixed with another frame's, give the body or nothing.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte("0123456789abcdefghij"), uint8(7), []byte{0, 1, 2, 0x80, 2, 1})
	f.Add([]byte("xy"), uint8(1), []byte{1, 0})
	f.Fuzz(func(t *testing.T, body []byte, room uint8, order []byte) {
		if len(body) > 4096 {
			return
		}
		payload := Slack + Size + 1 + int(room)
		n, err := Parts(len(body), payload)
		if err != nil {
			t.Fatal(err)
		}
		a := Assembler{Limits: Limits{Frames: 4}}
		given := [2]map[int]bool{{}, {}}
		for _, o := range order {
			frame, i := int(o>>7), int(o&0x7f)%n
			var h Header
			b, err := h.Parse(AppendPart(nil, Header{ID: uint64(frame)}, body, i, n, payload))
			if err != nil {
				t.Fatal(err)
			}
			_, whole, done, err := a.Add("p", h, b, 0)
			given[frame][i] = true
			if err != nil || done != (len(given[frame]) == n) || done && !bytes.Equal(whole, body) {
				t.Fatalf("part %d of %d: %q %v %v", i, n, whole, done, err)
			}
			if done {
				given[frame] = map[int]bool{}
			}
		}
		a.Forget("p")
		if frames, held := a.Held(); frames != 0 || held != 0 {
			t.Fatalf("holds %d frames, %d bytes", frames, held)
		}
	})
}

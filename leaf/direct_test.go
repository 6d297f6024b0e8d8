// Messages for lanes are taken off what nats-server writes to the leaf, however that comes in pieces, and nats.go has the rest.

package leaf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/pipe"
)

func TestTap(t *testing.T) {
	l := start(t, Options{})
	lane := frame.LaneSubject(l.Name(), 0)
	var stream []string
	passed, answered := "", ""
	pass := func(s string) { stream, passed = append(stream, s), passed+s }
	refused := func(i int) {
		reply := fmt.Sprint("in.", i)
		stream = append(stream, fmt.Sprintf("MSG %s 3 %s 7\r\nga\r\nage\r\n", lane, reply))
		h := frame.Header{Flags: frame.FlagAnswer | frame.FlagRefused, Reason: frame.ReasonFormat, Instance: l.Instance()}
		answered += fmt.Sprintf("PUB %s %d\r\n%s\r\n", reply, frame.Size, h.Append(nil, nil))
	}
	pass("INFO {\"server_id\":\"MSG\"}\r\n")
	pass("+OK\r\n")
	pass("PONG\r\n") // it is connected
	refused(0)
	refused(1)
	pass("PING\r\n")
	pass("MSG other 1 8\r\nMSG x 1\r\r\n")
	pass("MSG " + lane + "x 1 in.x 0\r\n\r\n")
	pass("HMSG " + lane + " 3 in.h 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
	refused(2)
	stream = append(stream, "MSG "+lane+" 3 2\r\nhi\r\n") // whom should be answered?
	pass("MSG other 1 in.x 100000\r\n" + strings.Repeat("MSG "+lane+" 3 in.no 1\r\n", 10_000)[:100_000] + "\r\n")
	pass("-ERR 'no'\r\n")
	refused(3)
	pass("PONG\r\n")
	whole := strings.Join(stream, "")

	rnd := rand.New(rand.NewPCG(1, 2))
	for name, piece := range map[string]func() int{
		"whole": func() int { return len(whole) }, "bytes": func() int { return 1 }, "pieces": func() int { return 1 + rnd.IntN(1+rnd.IntN(5000)) },
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := pipe.New()
			tap := l.direct.tap(ours, theirs)
			dropped := l.Stats().Dropped
			for at := 0; at < len(whole); {
				p := []byte(whole[at:min(len(whole), at+piece())])
				n, err := tap.Write(p)
				if n != len(p) || err != nil {
					t.Fatalf("%d of %d: %v", n, len(p), err)
				}
				clear(p) // it is the server's again
				at += n
			}
			if n := l.Stats().Dropped - dropped; n != 1 {
				t.Errorf("%d dropped", n)
			}
			tap.Close()
			if got, err := io.ReadAll(ours); string(got) != passed || err != nil {
				t.Errorf("nats.go has %d bytes, want %d (%v)", len(got), len(passed), err)
			}
			ours.Close()
		})
	}
	ours, theirs := pipe.New()
	tap := l.direct.tap(ours, theirs)
	fmt.Fprint(tap, whole)
	got := make([]byte, len(answered))
	if _, err := io.ReadFull(tap, got); string(got) != answered || err != nil {
		t.Errorf("answered %q (%v), want %q", got, err, answered)
	}
	for _, bad := range []string{"MSG a 1 in x\r\n", "MSG a 1 in \r\n", "MSG a 1 99999999999\r\n", "MSG 5\r\nabcde\r\n"} { // nats.go says what it is
		ours, theirs := pipe.New()
		tap := l.direct.tap(ours, theirs)
		all := bad + whole
		fmt.Fprint(tap, all[:10])
		fmt.Fprint(tap, all[10:])
		tap.Close()
		if got, err := io.ReadAll(ours); string(got) != all || err != nil {
			t.Errorf("behind %q nats.go has %d bytes, want %d (%v)", bad, len(got), len(all), err)
		}
	}
}

// What the server has left to write to a connection that has been replaced is not taken: newer frames come by the new one. And nothing is published
// by one that is not connected yet.
func TestTapIsReplaced(t *testing.T) {
	l := start(t, Options{})
	msg := fmt.Sprintf("MSG %s 3 in.x 7\r\ngarbage\r\n", frame.LaneSubject(l.Name(), 0))
	var taps []*tap
	for range 2 {
		ours, theirs := pipe.New()
		taps = append(taps, l.direct.tap(ours, theirs))
		if _, err := l.direct.publish("in.x", nil); !errors.Is(err, errAway) {
			t.Errorf("published before it was connected: %v", err)
		}
		if _, err := fmt.Fprint(taps[len(taps)-1], "PONG\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	frames := l.Stats().Frames
	if n, err := fmt.Fprint(taps[0], msg); n != 0 || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("old connection: %d %v", n, err)
	}
	if _, err := fmt.Fprint(taps[1], msg); err != nil {
		t.Error(err)
	}
	if n := l.Stats().Frames - frames; n != 1 {
		t.Errorf("%d frames, want 1", n)
	}
	for _, tap := range taps {
		tap.Close()
	}
	if ours, err := l.direct.publish("in.x", nil); !ours || err == nil {
		t.Errorf("published by nobody: %v %v", ours, err)
	}
}

// Frames are answered, in their order, by nats.go or not, before and after the leaf's connection was cut.
func TestDirectOrNot(t *testing.T) {
	for _, direct := range []bool{false, true} {
		l := start(t, Options{})
		if !direct {
			l.direct.close() // as if there was nothing to tap
		}
		p := dial(t, l)
		for n := range uint64(3) {
			for i := range uint64(50) {
				p.frame(100*n+i, strings.Repeat("mn\r\n", int(i)))
			}
			for i := range uint64(50) {
				p.want(100*n+i, strings.Repeat("MN\r\n", int(i)))
			}
			for _, sub := range l.subs {
				if got, err := sub.Delivered(); sub.Subject == frame.LaneSubject(l.Name(), 0) && (got == 0) != direct {
					t.Errorf("direct %v, and %d messages were nats.go's (%v)", direct, got, err)
				}
			}
			id, err := l.nc.GetClientID()
			if err != nil {
				t.Fatal(err)
			}
			if err := l.srv.DisconnectClientByID(id); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the leaf is back", func() bool { return l.nc.Stats().Reconnects == n+1 && l.nc.IsConnected() })
			if err := l.nc.Flush(); err != nil { // it has subscribed
				t.Fatal(err)
			}
			p.hello(frame.HelloRequest{Proxy: "p"})
		}
	}
}

// What waits for room is the leaf's own, whatever the server does with the bytes in which it came.
func TestParkedBytes(t *testing.T) {
	l := start(t, Options{Window: 1 << 20, MaxItem: 512 << 10})
	p := dial(t, l)
	value := bytes.Repeat([]byte("v"), 400<<10)
	p.frame(1, fmt.Sprintf("set k 0 0 %d\r\n%s\r\n", len(value), value))
	p.want(1, "STORED\r\n")
	hit := fmt.Sprintf("VALUE k 0 %d\r\n%s\r\nEND\r\n", len(value), value)
	for id := range uint64(10) {
		p.frame(10+id, fmt.Sprintf("get k\r\nget miss-%d\r\nmn\r\n", id)) // each over the bytes of the one before, in the server's buffer
	}
	waitFor(t, "frames to wait", func() bool { return l.Stats().Parked > 0 })
	got, want := "", strings.Repeat(hit+"END\r\nMN\r\n", 10)
	for len(got) < len(want) {
		_, body := p.next()
		got += body
		h := p.header(0)
		h.Flags = frame.FlagAck
		p.raw(&h, "")
	}
	if got != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}

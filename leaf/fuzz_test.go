package leaf

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// FuzzFrame gives a lane whatever bytes there are, as a message from a proxy that goes on afterwards. A bad frame has one
// refusal, which is counted; a good one has one answer; and nothing else comes of either: the proxy's next frame is answered
// as if there had been none, and every byte that waited is accounted for.
func FuzzFrame(f *testing.F) {
	l := start(f, Options{Lanes: 1, MaxItem: 1000, MaxPending: 1 << 20})
	p := dial(f, l)
	if err := p.nc.Flush(); err != nil { // the answer to what does not take p's connection must find its subscription
		f.Fatal(err)
	}
	good := frame.Header{ID: 1, Instance: l.Instance(), Millis: 1000}
	f.Add(good.Append(nil, []byte("set a 0 0 1\r\nx\r\nget a\r\n")), false)
	f.Add(good.Append(nil, []byte("set a 0 0 1\r\nx\r\nget a")), true)
	f.Add(good.Append(nil, []byte("set a 0 0 99999999999\r\nx\r\nquit\r\nmg a v q\r\n")), true)
	f.Add(good.Append(nil, nil), true)
	f.Add([]byte("TP"), true)
	f.Add([]byte("get a\r\n"), true)
	part := good
	part.Part, part.Parts = 0, 65535
	f.Add(part.Append(nil, []byte("get a\r\n")), true)
	part.Part = 65534
	f.Add(part.Append(nil, []byte("get a\r\n")), true)
	ack := frame.Header{Flags: frame.FlagAck, Instance: l.Instance(), Acked: 1 << 63}
	f.Add(ack.Append(nil, nil), true)
	f.Fuzz(func(t *testing.T, msg []byte, own bool) {
		if own && len(msg) >= 16 { // else hardly anything gets past the instance check
			h := frame.Header{Instance: l.Instance()}
			copy(msg[8:16], h.Append(nil, nil)[8:16])
		}
		p.t = t
		var h frame.Header
		body, err := h.Parse(msg)
		before := l.Stats().Refused
		l.lanes[0].message(&nats.Msg{Reply: p.inbox, Data: append([]byte(nil), msg...)})
		p.frame(fenceID, "mn\r\n")
		answers, refused := untilFence(p)
		waitFor(t, "idle", func() bool { return l.Stats().Pending == 0 })

		counted := uint64(0)
		for why, n := range l.Stats().Refused {
			counted += n - before[why]
		}
		if counted < uint64(len(refused)) || counted > uint64(len(refused)+answers) { // of a long body the end may be refused alone
			t.Errorf("%d refusals, %d answers, %d counted", len(refused), answers, counted)
		}
		switch {
		case err == nil && h.Flags == frame.FlagAck && h.Instance == l.Instance():
			if answers+len(refused) != 0 {
				t.Errorf("an acknowledgement had %d answers and %d refusals", answers, len(refused))
			}
		case err == nil && h.Parts > 1 && h.Flags == 0 && h.Instance == l.Instance(): // the rest may be there, or never come
		case err != nil || h.Flags != 0 || h.Instance != l.Instance():
			if answers != 0 || len(refused) != 1 || refused[0].ID != h.ID {
				t.Errorf("%+v, %v: %d answers, refused %+v", h, err, answers, refused)
			}
		case answers+len(refused) != 1:
			t.Errorf("%+v, body %q: %d answers, refused %+v", h, body, answers, refused)
		}
	})
}

// fenceID is the frame that ends what a test waits for.
const fenceID = 1 << 60

// untilFence counts the whole answers that come before the fence's, and gives the refusals.
func untilFence(p *proxy) (answers int, refused []frame.Header) {
	p.t.Helper()
	for {
		h, body := p.next()
		switch {
		case h.Flags&frame.FlagRefused != 0:
			refused = append(refused, h)
		case h.ID == fenceID && body == "MN\r\n":
			return answers, refused
		case h.Part+1 == h.Parts:
			answers++
		}
	}
}

package leaf

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// FuzzArrive gives a lane whatever bytes there are. It must go on serving, and account for every byte.
func FuzzArrive(f *testing.F) {
	l := start(f, Options{Lanes: 1, MaxItem: 1000, MaxPending: 1 << 20})
	p := dial(f, l)
	good := frame.Header{ID: 1, Instance: l.Instance(), Millis: 1000}
	f.Add(good.Append(nil, []byte("set a 0 0 1\r\nx\r\nget a\r\n")), false)
	f.Add(good.Append(nil, []byte("set a 0 0 1\r\nx\r\nget a")), true)
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
		l.lanes[0].arrive(&nats.Msg{Reply: "nobody", Data: msg})
		p.t = t
		p.frame(7, "mn\r\n")
		p.want(7, "MN\r\n")
		waitFor(t, "idle", func() bool { return l.Stats().Pending == 0 })
	})
}

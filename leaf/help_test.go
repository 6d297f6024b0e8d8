package leaf

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/tests/natsd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func start(t testing.TB, o Options) *Leaf {
	t.Helper()
	if o.Name == "" {
		o.Name = "leaf-1"
	}
	l, err := Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(ended()) })
	return l
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// proxy is a proxy's end of the protocol, by hand.
type proxy struct {
	t     testing.TB
	l     *Leaf
	nc    *nats.Conn
	sub   *nats.Subscription
	inbox string
	acked uint64
}

func dial(t testing.TB, l *Leaf, opts ...nats.Option) *proxy {
	t.Helper()
	nc, err := nats.Connect("nats://"+l.Addr(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	p := &proxy{t: t, l: l, nc: nc, inbox: nats.NewInbox()}
	if p.sub, err = nc.SubscribeSync(p.inbox); err != nil {
		t.Fatal(err)
	}
	return p
}

// send publishes bytes as they are.
func (p *proxy) send(subject string, data []byte) {
	p.t.Helper()
	if err := p.nc.PublishRequest(subject, p.inbox, data); err != nil {
		p.t.Fatal(err)
	}
}

// header is that of a good frame.
func (p *proxy) header(id uint64) frame.Header {
	return frame.Header{ID: id, Instance: p.l.Instance(), Millis: 60_000, Acked: p.acked}
}

// frame sends a good frame to lane 0.
func (p *proxy) frame(id uint64, body string) {
	p.t.Helper()
	h := p.header(id)
	p.raw(&h, body)
}

func (p *proxy) raw(h *frame.Header, body string) {
	p.t.Helper()
	p.send(frame.LaneSubject(p.l.Name(), 0), h.Append(nil, []byte(body)))
}

// next is the next message; answers count as received.
func (p *proxy) next() (h frame.Header, body string) {
	p.t.Helper()
	m, err := p.sub.NextMsg(patience)
	if err != nil {
		p.t.Fatal(err)
	}
	b, err := h.Parse(m.Data)
	if err != nil {
		p.t.Fatalf("%v: %q", err, m.Data)
	}
	if h.Flags&frame.FlagRefused == 0 {
		p.acked += uint64(len(m.Data))
	}
	return h, string(b)
}

// want takes one answer and checks it.
func (p *proxy) want(id uint64, body string) {
	p.t.Helper()
	h, got := p.next()
	if h.Flags != frame.FlagAnswer || h.ID != id || h.Instance != p.l.Instance() || got != body {
		p.t.Errorf("got %+v %q, want frame %d, %q", h, got, id, body)
	}
}

// refusal takes one refusal and checks it.
func (p *proxy) refusal(id uint64, why frame.Reason) {
	p.t.Helper()
	h, _ := p.next()
	if h.Flags != frame.FlagAnswer|frame.FlagRefused || h.ID != id || h.Reason != why {
		p.t.Errorf("got %+v, want frame %d refused: %v", h, id, why)
	}
}

// hello says hello as a proxy.
func (p *proxy) hello(q frame.HelloRequest) (r frame.HelloReply) {
	p.t.Helper()
	msg, _ := json.Marshal(&q)
	p.send(frame.HelloSubject(p.l.Name()), msg)
	return p.reply()
}

func (p *proxy) reply() (r frame.HelloReply) {
	p.t.Helper()
	m, err := p.sub.NextMsg(patience)
	if err == nil {
		err = json.Unmarshal(m.Data, &r)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// silence checks that nothing more has been sent to p than was taken, once everything sent so far is handled. The lanes
// must be idle.
func (p *proxy) silence() {
	p.t.Helper()
	p.hello(frame.HelloRequest{})
	if n, _, _ := p.sub.Pending(); n != 0 {
		p.t.Errorf("%d messages more than expected", n)
	}
}

// natsServer runs a plain NATS server, as a user's own would be.
func natsServer(t *testing.T) string {
	t.Helper()
	return natsd.Start(t).ClientURL()
}

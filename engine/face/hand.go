// A hand: one session of the engine, and the goroutine that feeds it with what the intake has.

package face

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/face/wire"
	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
)

const (
	maxBatch = 64        // requests that a hand takes at once
	maxTake  = 1 << 20   // bytes of payload after which it takes no more
	maxKeep  = 128 << 10 // largest buffer that a hand keeps
)

// hand serves batches. Everything is its goroutine's, but wake.
type hand struct {
	f      *Face
	stripe uint32
	wake   chan struct{} // has room for one
	sess   server.Session
	batch  *server.Batch
	msgs   []*nats.Msg // of the batch, as they came
	asks   []ask       // those that could be read, in the batch's order
	from   []*nats.Msg // whose they are; nil: answered
	buf    []byte      // the commands of the batch
	keys   []byte
	reply  reply
}

func (f *Face) newHand() *hand {
	h := &hand{f: f, wake: make(chan struct{}, 1), batch: server.NewBatch(io.Discard)}
	h.batch.Each = h.answer
	h.open()
	return h
}

// open gives the hand a session.
func (h *hand) open() {
	id := h.f.nextID.Add(1)
	h.stripe = uint32(id)
	h.sess = h.f.o.Handler.Open(server.ConnInfo{ID: id, Tag: h.f.o.Tag, Network: "nats", Local: h.f.o.Prefix, Remote: "nats", FD: -1})
}

// run is the hand's goroutine. It is made when there is something to take.
func (h *hand) run() {
	defer h.f.hands.Done()
	defer func() { h.sess.Close() }()
	for {
		runtime.Gosched() // let more gather: what is taken together goes to a backend together
		h.msgs = h.f.take(h.msgs[:0])
		if len(h.msgs) > 0 {
			h.serve()
			h.trim()
		}
		switch h.f.after(h) {
		case again:
		case rest:
			if _, ok := <-h.wake; !ok {
				return
			}
		case leave:
			return
		}
	}
}

// serve answers all messages that were taken.
func (h *hand) serve() {
	h.asks, h.from, h.buf, h.keys = h.asks[:0], h.from[:0], h.buf[:0], h.keys[:0]
	now := h.f.o.Now().Unix()
	for _, m := range h.msgs {
		var a ask
		var problem string
		if h.keys, problem = a.read(h.keys, m, h.f.o.Prefix, now); problem != "" {
			h.refuse(m, a.op, wire.CodeBadRequest, "CLIENT_ERROR "+problem)
			continue
		}
		h.buf = a.append(h.buf, m.Data)
		h.asks, h.from = append(h.asks, a), append(h.from, m)
	}
	if len(h.asks) == 0 {
		return
	}
	err := h.parse()
	if err == nil {
		err = h.engine()
	}
	for i, m := range h.from {
		if m != nil {
			h.f.o.Log.Error("NATS face: a request was not answered by the engine", "op", wire.Ops[h.asks[i].op], "err", err)
			h.refuse(m, h.asks[i].op, wire.CodeServer, "SERVER_ERROR the proxy failed")
		}
	}
}

// parse cuts the commands as a client connection's are cut, so that the same rules hold.
func (h *hand) parse() error {
	b := h.batch
	b.Rules = h.sess.Rules()
	if cap(b.Reqs) < len(h.asks) {
		b.Reqs = make([]mc.Request, maxBatch)
	}
	b.Reqs = b.Reqs[:len(h.asks)]
	var p mc.Parser
	rest := h.buf
	for i := range b.Reqs {
		n, _, err := p.Next(rest, &b.Rules, &b.Reqs[i])
		if err != nil || p.Swallow > 0 || b.Reqs[i].Bad.Closes() {
			return fmt.Errorf("cannot parse %s: %w", quote(string(rest[:min(len(rest), maxQuote+1)])), err)
		}
		rest = rest[n:]
	}
	return nil
}

// engine lets the session serve the batch, and survives it.
func (h *hand) engine() (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.f.counted.panics.Add(1)
			h.f.o.Log.Error("session panicked", "listener", "NATS face", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
			// Somebody may still hold the requests: neither they nor their bytes are used again.
			h.batch, h.buf, h.keys = server.NewBatch(io.Discard), nil, nil
			h.batch.Each = h.answer
			h.reopen()
		}
	}()
	return h.sess.Serve(h.batch)
}

func (h *hand) reopen() {
	defer func() { _ = recover() }() // what panicked once may again
	old := h.sess
	h.open()
	old.Close()
}

// answer is Batch.Each.
func (h *hand) answer(i int, answer []byte) {
	a, m := &h.asks[i], h.from[i]
	var res mc.Response
	s := statusError
	if _, _, err := mc.ParseResponse(answer, &res); err == nil {
		s = judge(a.op, &res)
	}
	if s == statusError {
		code, text := failure(answer)
		h.from[i] = nil
		h.refuse(m, a.op, code, text)
		return
	}
	h.f.count(h.stripe, a.op, s)
	if m.Reply != "" {
		h.reply.fill(m.Reply, s, &res)
		h.f.send(&h.reply)
	}
	h.from[i] = nil
	h.f.done(m)
}

// refuse answers with an error.
func (h *hand) refuse(m *nats.Msg, o op, code int, text string) {
	h.f.count(h.stripe, o, statusError)
	if m.Reply != "" {
		h.reply.fail(m.Reply, code, text)
		h.f.send(&h.reply)
	}
	h.f.done(m)
}

// trim lets go of messages, and of buffers that were large once.
func (h *hand) trim() {
	clear(h.msgs)
	clear(h.from)
	h.reply.msg.Data = nil
	if cap(h.buf) > maxKeep {
		h.buf = nil
	}
	if cap(h.batch.Out) > maxKeep {
		h.batch.Out = nil
	}
	h.batch.Reqs = h.batch.Reqs[:0]
}

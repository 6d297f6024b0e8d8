// The writer: the one goroutine of a backend that gives anything to NATS.

package leafnats

import (
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// turn is what the writer found to do.
type turn struct {
	nc      *nats.Conn // nil: nothing is to be sent
	ups     uint64     // Backend.ups
	sess    *session   // nil: one must be made
	route   *route     // nil until the first hello
	hello   bool
	serves  uint64 // the instance that hello says requests go to; 0: none
	ack     bool
	tell    *backend.Term // a leaf that was started since has not heard of it; nil: there is none
	retired []*session
	flights []*flight
}

// write does what there is to do until the Backend is closed.
func (b *Backend) write() {
	var t turn
	for {
		select {
		case <-b.wake:
		case <-b.quit:
			return
		}
		runtime.Gosched() // let those who are about to send do so: one frame then takes them all
		for b.look(&t) {
			b.do(&t)
		}
	}
}

// look fills t with what is to be done and reports whether that is anything.
func (b *Backend) look(t *turn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(t.flights)
	*t = turn{nc: b.nc, ups: b.ups, sess: b.sess, retired: b.retired, flights: t.flights[:0]}
	b.retired = nil
	if b.closed || b.nc == nil {
		t.nc, t.sess = nil, nil
		return len(t.retired) > 0
	}
	if b.sess == nil {
		return !b.noSession || len(t.retired) > 0
	}
	t.route = b.sess.route
	t.hello, b.helloDue = b.helloDue, false
	if t.hello && b.sess.unheard == 0 {
		b.sess.unheard = backend.Now()
	}
	if t.route != nil {
		t.flights = b.takeLocked(t.flights)
		if b.up {
			t.serves = t.route.instance
		}
	}
	t.ack = b.ackDue && t.route != nil && len(t.flights) == 0
	b.ackDue = false
	if t.route != nil && len(t.flights) == 0 && b.term != nil && b.sess.toldFor != t.route {
		t.tell = b.term
	}
	return t.hello || t.ack || t.tell != nil || len(t.flights) > 0 || len(t.retired) > 0
}

func (b *Backend) do(t *turn) {
	for _, s := range t.retired {
		s.unsubscribe()
	}
	if t.sess == nil {
		if t.nc != nil {
			b.open(t.nc, t.ups)
		}
		return
	}
	if t.hello && t.serves != 0 {
		b.sayHello(t.nc, t.sess, t.serves)
	}
	if t.tell != nil {
		b.tellTerm(t, 0, t.tell)
	}
	for _, f := range t.flights {
		b.publish(t, f)
	}
	if t.hello && t.serves == 0 { // last: a leaf that drains goes by it that nothing more comes
		b.sayHello(t.nc, t.sess, 0)
	}
	if t.ack {
		b.publishAck(t)
	}
}

// publish sends one flight, in as many parts as it takes, unless it has been given up meanwhile.
func (b *Backend) publish(t *turn, f *flight) {
	// Once it has been answered f is used again: what is needed of it is read before.
	id, subject, deadline, buf, term := f.id, t.route.lanes[f.lane], f.deadline, f.buf, f.term
	f.watched.Write()
	if term != nil {
		b.tellTerm(t, f.lane, term)
	}
	most := t.maxPayload()
	limit := frame.MaxBody(most)
	body := len(buf) - frame.Size
	parts, err := frame.Parts(body, most)
	h := frame.Header{Parts: uint16(parts), ID: id, Instance: t.route.instance, Epoch: term.Number()}
	for i := 0; i < parts && err == nil; i++ {
		left, alive := b.timeLeft(id, deadline)
		if !alive {
			break
		}
		h.Part, h.Millis, h.Acked = uint16(i), left, t.sess.ackNow()
		var msg []byte
		if i == 0 || term == nil {
			// The header goes over the bytes just before, which NATS has copied already.
			msg = buf[i*limit : frame.Size+min((i+1)*limit, body)]
			h.Put(msg)
		} else { // and whoever places a refused frame's requests anew may read already
			msg = frame.AppendPart(nil, h, buf[frame.Size:], i, parts, most)
		}
		err = t.send(subject, msg)
	}
	var out backend.List
	b.mu.Lock()
	if term == nil { // else its flight has it
		b.returnLocked(buf)
	}
	if g := b.flights[id]; g != nil && err != nil {
		b.giveUpLocked(g, &out)
	}
	b.mu.Unlock()
	if err != nil {
		failAll(&out, fmt.Errorf("cannot send frame (%v): %w", err, backend.ErrDisconnected))
	}
}

// send publishes what is for a lane. It may get before what nats.go has still to write, but not before the subscription that answers come to: there is
// no route before an answer has come.
func (t *turn) send(subject string, msg []byte) error {
	if s := t.sess; s.wire != nil {
		return s.wire.publish(subject, s.inbox, msg)
	}
	return t.nc.PublishRequest(subject, t.sess.inbox, msg)
}

// maxPayload is how long a message to the leaf may be: a server may have lowered its limit meanwhile.
func (t *turn) maxPayload() int {
	if w := t.sess.wire; w != nil && w.most.Load() >= minPayload {
		return min(t.route.maxPayload, int(w.most.Load()))
	}
	return t.route.maxPayload
}

// timeLeft is how many milliseconds a flight has left; it is not alive if it has none or was given up.
func (b *Backend) timeLeft(id uint64, deadline int64) (millis uint32, alive bool) {
	left := time.Duration(deadline - backend.Now())
	if left < time.Millisecond {
		return 0, false // the keeper fails it
	}
	b.mu.Lock()
	_, alive = b.flights[id]
	b.mu.Unlock()
	return uint32(left / time.Millisecond), alive
}

// publishAck sends an acknowledgement by itself.
func (b *Backend) publishAck(t *turn) {
	h := frame.Header{Flags: frame.FlagAck, Instance: t.route.instance, Acked: t.sess.ackNow()}
	var msg [frame.Size]byte
	h.Put(msg[:])
	_ = t.send(t.route.lanes[0], msg[:]) // hello says it again
}

// sayHello asks the leaf who it is, and tells it whether it is sent requests. The answer comes to the reader.
func (b *Backend) sayHello(nc *nats.Conn, s *session, serves uint64) {
	w := b.window()
	s.ackEvery.Store(uint64(w / 16))
	msg, err := json.Marshal(&frame.HelloRequest{
		Versions: []int{frame.Version}, Proxy: b.o.Proxy, Window: w, Acked: s.ackNow(), Instance: serves,
	})
	if err != nil {
		panic(err) // numbers and a name: cannot happen
	}
	if err := nc.PublishRequest(frame.HelloSubject(s.name), s.inbox, msg); err != nil {
		b.o.Log.Debug("leaf: cannot say hello", "backend", b.o.Label, "err", err)
	}
}

// window is what the leaf may have on its way to us. A NATS server cuts a connection off when 64 MiB wait for it, so those who
// share one share a safe part of that.
func (b *Backend) window() int64 {
	const safe = 3 * defaultWindow
	return int64(max(min(b.o.Window, safe/max(1, b.conn.share())), minWindow))
}

// open subscribes the reply subject of a connection that has just come up, for the ups-th time, and has the leaf greeted.
func (b *Backend) open(nc *nats.Conn, ups uint64) {
	name := b.o.LeafName
	if name == "" {
		name = nc.ConnectedServerName()
	}
	s := &session{b: b, name: name, inbox: nats.NewInbox(), maxPayload: int(nc.MaxPayload()), wire: b.conn.newest()}
	err := s.subscribe(nc)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.noSession = true // until the keeper tries again
		// It does so every second: what it finds is told when it is news.
		if last := b.health.State().Err; last == nil || last.Error() != err.Error() {
			b.o.Log.Warn("leaf: cannot use connection", "backend", b.o.Label, "err", err)
		}
		b.health.Failure(err)
		return
	}
	if b.closed || b.nc == nil || b.ups != ups || b.sess != nil {
		b.retired = append(b.retired, s)
		return
	}
	s.heard = backend.Now()
	b.leaf, b.sess, b.helloDue = name, s, true
}

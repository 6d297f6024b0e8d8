// Hello: telling proxies, operators and leaves who is here.

package leaf

import (
	"encoding/json"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// A leaf's states, in the order in which it passes through them.
const (
	stateStarting int32 = iota
	stateServing
	stateDraining
)

var stateNames = [...]string{frame.StateStarting, frame.StateServing, frame.StateDraining}

// hello is the subscription's callback. It answers in step with the answers to frames, so that a proxy can tell from the bytes
// sent so far whether it has lost any.
func (l *Leaf) hello(m *nats.Msg) {
	if m.Reply == "" {
		l.count.dropped.Add(1)
		return
	}
	l.count.hellos.Add(1)
	var q frame.HelloRequest
	if err := json.Unmarshal(m.Data, &q); err != nil || q.Proxy == "" {
		r := l.helloReply(nil) // to an operator, or a leaf that asks for its name
		r.Addr = l.whereabouts()
		if q.Proxies {
			r.Proxies, r.Items, r.Warming = l.peers.names(l.o.Now()), l.items(), l.Warm() != nil
		}
		_ = l.nc.Publish(m.Reply, encode(r))
		return
	}
	p := l.peers.get([]byte(m.Reply), l.o.Now())
	if p == nil {
		return // too many proxies: to this one we are not here
	}
	if q.Window > 0 {
		p.window.Store(min(q.Window, int64(l.o.Window)))
	}
	q.Proxy = q.Proxy[:min(len(q.Proxy), maxProxyName)]
	p.name.Store(&q.Proxy)
	p.sendsTo.Store(q.Instance)
	// One that was sent before it knew names us; or it comes before the first that does, which says that requests come.
	p.noticed.Store(l.state.Load() == stateDraining && q.Instance != l.instance)
	l.greet(p)
	l.acked(p, q.Acked)
}

const maxProxyName = 64 // bytes that are kept

// items is how many the store holds; 0 without one.
func (l *Leaf) items() int64 {
	if l.local == nil {
		return 0
	}
	return l.local.Store.Stats().Items
}

// greet sends p a hello reply.
func (l *Leaf) greet(p *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = l.publish(p.reply, encode(l.helloReply(p))) // if it fails, the proxy asks again
}

// announce tells every proxy what it would hear at its next hello.
func (l *Leaf) announce() {
	for _, p := range l.peers.all() {
		l.greet(p)
	}
}

func (l *Leaf) helloReply(p *peer) *frame.HelloReply {
	r := &frame.HelloReply{
		Versions:   []int{frame.Version},
		Name:       l.o.Name,
		Instance:   l.instance,
		Lanes:      l.o.Lanes,
		MaxItem:    l.o.MaxItem,
		MaxPayload: int(l.maxPayload.Load()),
		Epoch:      l.members.fenced.Load(),
		State:      stateNames[l.state.Load()],
	}
	if p != nil {
		r.Sent = p.sent.Load()
	}
	return r
}

func encode(r *frame.HelloReply) []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // numbers and names: cannot happen
	}
	return b
}

// Terms: telling a leaf the membership that the next frames go by, and what becomes of requests that went by an older one.

package leafnats

import (
	"fmt"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Fenced implements backend.Fencer. It goes back to what the new one says when the leaf was restarted.
func (b *Backend) Fenced() uint64 { return b.fenced.Load() }

// fenceLocked notes an epoch that the leaf's present instance has told.
func (b *Backend) fenceLocked(epoch uint64) {
	if epoch > b.fenced.Load() {
		b.fenced.Store(epoch)
	}
}

// tellTerm sees to it that the leaf knows term before it gets what is published on that lane next. It is the writer's. What is
// published on one subject arrives in order, so nothing is waited for.
func (b *Backend) tellTerm(t *turn, lane int, term *backend.Term) {
	s := t.sess
	if s.toldFor != t.route {
		s.toldFor, s.told = t.route, make([]*backend.Term, len(t.route.lanes))
	}
	if s.told[lane] == term {
		return
	}
	s.told[lane] = term
	h := frame.Header{Flags: frame.FlagTold, Instance: t.route.instance, Epoch: term.Epoch}
	if len(term.Text) > frame.MaxBody(t.maxPayload()) {
		b.o.Log.Error("leaf: membership is too long for a NATS message", "backend", b.o.Label, "bytes", len(term.Text))
		return // the leaf refuses what follows
	}
	if err := t.send(t.route.lanes[lane], h.Append(nil, term.Text)); err != nil {
		s.told[lane] = nil
	}
}

// outdated is a frame that its leaf has refused.
type outdated struct {
	term *backend.Term
	buf  []byte // nobody writes to it any more
	done int    // of its requests: answered before
}

// again hands the requests of l, which are all of the frame's that were not answered, to who placed them. What cannot be read stays.
func (o *outdated) again(l *backend.List) {
	if o.term == nil || o.term.Again == nil || l.Len() == 0 {
		return
	}
	list := make([]backend.Again, 0, l.Len())
	body := o.buf[frame.Size:]
	for i := 0; l.Len() > 0; i++ {
		var r mc.Request
		n, err := cutRequest(body, &r)
		if err != nil {
			break
		}
		body = body[n:]
		if i >= o.done {
			list = append(list, backend.Again{Request: r, Pending: l.Pop()})
		}
	}
	o.term.Again(list)
}

// cutRequest reads the request at the start of body, which is one of ours, and what is before it.
func cutRequest(body []byte, r *mc.Request) (n int, err error) {
	if len(body) > 0 && body[0] < frame.Modes {
		n = 1
	}
	var p mc.Parser
	took, _, err := p.Next(body[n:], &mc.Rules{Routed: true, MaxValue: len(body)}, r)
	if err == nil && r.Bad != mc.BadNone {
		err = fmt.Errorf("cannot read request %.40q", body)
	}
	return n + took, err
}

// Following: who has to know whether a request that was placed by an older membership is under way yet.

package leafnats

import (
	"bytes"
	"slices"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

var _ backend.Follower = (*Backend)(nil)

// Follow implements backend.Follower. It reads what is queued and in flight: requests are not listed by key, because only those who change
// memberships would need it.
func (b *Backend) Follow(lane uint32, key []byte, epoch uint64, tell func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.findLocked(lane, key, epoch)
	if at != nil && tell != nil {
		*at = append(*at, tell)
	}
	return at != nil
}

// findLocked gives where those are noted who wait for what such a request is a part of; nil: there is none.
func (b *Backend) findLocked(lane uint32, key []byte, epoch uint64) *[]func() {
	for f := b.byTime.head; f != nil; f = f.next {
		if f.term.Number() == epoch && holds(f.buf, f.n-f.list.Len(), f.list.Head(), lane, key) {
			return &f.follow
		}
	}
	for _, f := range b.loose { // whose requests are being handed over: which of them is not to be seen
		if f.term.Number() == epoch && mentions(f.buf, key) {
			return &f.follow
		}
	}
	for i := range b.lanes {
		if ln := &b.lanes[i]; ln.list.Len() > 0 && ln.term.Number() == epoch && holds(ln.buf, 0, ln.list.Head(), lane, key) {
			return &ln.follow
		}
	}
	from := 0
	for i, p := 0, b.early.list.Head(); p != nil; i, p = i+1, p.Next {
		var r mc.Request
		if p.Lane == lane && p.Term.Number() == epoch {
			if _, err := cutRequest(b.early.buf[from:b.early.ends[i]], &r); err != nil || bytes.Equal(r.Key, key) {
				return &b.early.follow
			}
		}
		from = b.early.ends[i]
	}
	return nil
}

// holds looks for the request among those of a frame, of which done are answered; the others are p and those behind it.
func holds(buf []byte, done int, p *backend.Pending, lane uint32, key []byte) bool {
	first := p
	for first != nil && first.Lane != lane {
		first = first.Next
	}
	if first == nil {
		return false
	}
	found := false
	each(buf, func(i int, r *mc.Request) bool {
		if i >= done {
			found = p == nil || p.Lane == lane && bytes.Equal(r.Key, key)
			if p != nil {
				p = p.Next
			}
		}
		return !found
	})
	return found
}

// mentions reports whether any request of a frame is for key.
func mentions(buf, key []byte) (found bool) {
	each(buf, func(_ int, r *mc.Request) bool {
		found = bytes.Equal(r.Key, key)
		return !found
	})
	return found
}

// each calls f with the requests of a frame until it returns false.
func each(buf []byte, f func(i int, r *mc.Request) bool) {
	body := buf[frame.Size:]
	for i := 0; len(body) > 0; i++ {
		var r mc.Request
		n, err := cutRequest(body, &r)
		if err != nil || !f(i, &r) {
			return
		}
		body = body[n:]
	}
}

// Owes implements backend.Follower.
func (b *Backend) Owes(epoch uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	of := func(f *flight) bool { return f.term.Number() == epoch }
	for f := b.byTime.head; f != nil; f = f.next {
		if of(f) {
			return true
		}
	}
	for i := range b.lanes {
		if ln := &b.lanes[i]; ln.list.Len() > 0 && ln.term.Number() == epoch {
			return true
		}
	}
	for p := b.early.list.Head(); p != nil; p = p.Next {
		if p.Term.Number() == epoch {
			return true
		}
	}
	return slices.ContainsFunc(b.loose, of)
}

// fixLocked: f is no longer loose.
func (b *Backend) fixLocked(f *flight) {
	if i := slices.Index(b.loose, f); i >= 0 {
		b.loose = slices.Delete(b.loose, i, i+1)
	}
}

// tellAll tells those who wait, and forgets them.
func tellAll(list *[]func()) {
	for _, tell := range *list {
		go tell()
	}
	*list = nil
}

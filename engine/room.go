// Where a batch is laid out: a slot for every request, and one for every key of a routed multiget.

package engine

import (
	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
)

// maxSlots is how many requests and keys of one client are under way at most; see portion. What a batch has more, which is gets of very many keys, is
// started when those have been answered: a client that names half a million keys in a line of 1 MiB would hold hundreds of megabytes
// here, and take the place of all others' requests.
const maxSlots = 1024

// room is the memory for that. Sessions have one only while they serve a batch: a client that has asked for many keys once, and is one
// of thousands that are connected, would keep it for ever.
type room struct {
	slots []slot
	subs  []mc.Request // the requests for one key each
	lines []byte       // their lines
}

// keepLines is the largest room.lines that is kept, in bytes.
const keepLines = 64 << 10

func (s *session) takeRoom() {
	s.lent, _ = s.p.rooms.Get().(*room)
	if s.lent == nil {
		s.lent = new(room)
	}
	s.room = *s.lent
}

func (s *session) giveRoom() {
	if cap(s.lines) > keepLines {
		s.lines = nil
	}
	*s.lent = s.room
	s.p.rooms.Put(s.lent)
	s.room, s.lent = room{}, nil
}

// cursor is a place in a batch.
type cursor struct {
	req int // a request,
	pos int // and where in its line the key before the next one ends; 0: none has been taken
}

// layOut makes slots for what comes next in the batch, as many as there may be.
func (s *session) layOut(b *server.Batch) {
	s.slots, s.subs = s.slots[:0], s.subs[:0]
	s.lines, s.local = s.lines[:0], s.local[:0]
	s.head, s.first, s.wordy = 0, s.next.req, 0
	all, keys, bytes, most := 0, 0, 0, s.mostSlots(b)
	for i := s.next.req; i < len(b.Reqs) && all < most; i++ {
		n := 1
		if r := &b.Reqs[i]; s.splits(r) {
			n = min(r.NKeys(), most-all)
			keys += n
			bytes += n*len("gats 4294967295 ") + min(len(r.Line), n*(mc.MaxKey+1))
		}
		all += n
	}
	// Both are sized at once, because the slots point into them.
	s.subs = sized(s.subs, keys)
	s.lines = sized(s.lines, bytes)
	for s.next.req < len(b.Reqs) && len(s.slots) < most {
		if r := &b.Reqs[s.next.req]; !s.splits(r) {
			s.slots = append(s.slots, slot{req: r})
		} else if !s.split(r, most) {
			break
		}
		s.next = cursor{req: s.next.req + 1}
	}
	s.open = len(s.slots)
}

// split makes slots for the keys of r that have none yet, until there are most. It reports false if some are left.
func (s *session) split(r *mc.Request, most int) bool {
	key, pos, ok := r.NextKey(s.next.pos)
	for ; ok; key, pos, ok = r.NextKey(pos) {
		if len(s.slots) == most {
			return false
		}
		s.next.pos = pos
		s.subs = s.subs[:len(s.subs)+1]
		sub := &s.subs[len(s.subs)-1]
		s.lines = mc.SubGet(s.lines, r, key, sub)
		s.slots = append(s.slots, slot{req: sub, part: piece})
	}
	s.slots[len(s.slots)-1].part = last
	return true
}

func (s *session) splits(r *mc.Request) bool {
	return r.Bad == mc.BadNone && s.hooks != nil && r.NKeys() > 1 && s.hooks[r.Cmd] != nil
}

func sized[T any](buf []T, n int) []T {
	if cap(buf) < n {
		return make([]T, 0, n+n/2)
	}
	return buf[:0]
}

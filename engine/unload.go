// Answers of the local store are written while a batch is being started, or a client could have any amount of them pile up: it may ask for
// one large value many times in one line.

package engine

import (
	"bytes"

	"github.com/tidepool-proxy/tidepool/engine/server"
)

// window is how many keys of a get the local store is asked for at once, while they are small.
const window = 16

// longGet is how many keys of one get are answered before others get their turn.
const longGet = 64 * window

// gets answers slot i, a get of several keys, from the local store. All before it have been started.
func (s *session) gets(b *server.Batch, i int) {
	sl := &s.slots[i]
	from, n, most := len(s.local), window, freeAnswer
	for pos, keys, done := 0, 0, false; !done; {
		var more bool
		if keys += n; keys > longGet {
			s.unlock()
			s.leaves()
		}
		pos, more = sl.req.Window(pos, n, &s.window)
		at := len(s.local)
		s.local = s.p.opts.Local.Exec(&s.window, s.local)
		ended := bytes.HasSuffix(s.local[at:], []byte(endLine))
		if done = !more || !ended; !done {
			s.local = s.local[:len(s.local)-len(endLine)]
		}
		if !ended && !sl.begun { // an error is the whole answer
			s.local = append(s.local[:from], s.local[at:]...)
			break
		}
		got := len(s.local) - at
		if n = window; got > flushSize {
			n = 1
		}
		switch {
		case len(s.local)-from <= most:
		case s.waits(b, i):
			most = 0
			if !s.keeps(int64(got)) {
				s.local = s.local[:from]
				s.answer(sl, lineNoMemory)
				return
			}
		case !done && len(s.local)-from > flushSize:
			sl.begun = true
			if s.writeSome(b, i, s.local[from:]); s.broken != nil {
				return
			}
			s.local = s.local[:from]
		}
	}
	s.answerLocal(sl, from)
}

// waits reports whether what is to be written before slot i is under way. Those from i on have not been started.
func (s *session) waits(b *server.Batch, i int) bool {
	return b.Each != nil || s.open > len(s.slots)-i
}

// writeSome writes all answers before slot i, and some of its own.
func (s *session) writeSome(b *server.Batch, i int, some []byte) {
	s.unlock()
	s.kick()
	s.leaves()
	if s.broken = s.write(b, i); s.broken == nil {
		b.Append(some, false)
		s.broken = b.Flush()
	}
}

// unload is called when slot i has been started: it writes what the local store has answered so far, if that is much. What must wait
// for others counts as held, or is refused.
func (s *session) unload(b *server.Batch, i int) error {
	sl := &s.slots[i]
	size := sl.to - sl.from
	switch {
	case s.broken != nil || len(s.local) <= flushSize:
	case !s.waits(b, i+1):
		s.writeSome(b, i+1, nil)
		s.local = s.local[:0]
	case size > freeAnswer && sl.req.NKeys() <= 1 && !s.keeps(int64(size)):
		s.local = s.local[:sl.from]
		sl.from, sl.to, sl.text = 0, 0, lineNoMemory
	}
	return s.broken
}

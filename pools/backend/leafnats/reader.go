// The reader: answers out of NATS messages, each to its request. It runs on the goroutine of nats.go that reads the connection, or the subscription's.

package leafnats

import (
	"errors"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// read takes one message, whose bytes are the caller's again when it returns, unless nats.go made them for it.
func (s *session) read(data []byte) {
	if len(data) == 0 {
		s.b.askAgain() // "no responders": a hint, no more
		return
	}
	if data[0] == '{' {
		s.hello(data)
		return
	}
	var h frame.Header
	body, err := h.Parse(data)
	if err != nil || h.Flags&frame.FlagAnswer == 0 {
		s.b.o.Log.Debug("leaf: message that is no answer", "backend", s.b.o.Label, "err", err)
		return
	}
	if h.Flags&frame.FlagRefused != 0 {
		s.refused(&h)
		return
	}
	f := s.claim(&h, len(data))
	if f == nil {
		return // given up before: a late answer is nobody's
	}
	s.deliver(f, &h, body)
}

// claim counts a message and takes the flight that it answers out; nil if there is none.
func (s *session) claim(h *frame.Header, size int) *flight {
	b := s.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sess != s || s.route == nil || s.route.instance != h.Instance {
		return nil // of an earlier connection or instance
	}
	got := s.received.Add(uint64(size))
	if got-s.ackSent.Load() >= s.ackEvery.Load() && !b.ackDue {
		b.ackDue = true
		b.wakeWriter()
	}
	b.fenceLocked(h.Epoch)
	f := b.claimLocked(h.ID)
	if !b.up || !b.health.Allow() {
		b.hintLocked() // late or not, it says that the leaf goes on
	}
	if f != nil {
		b.reading++
		if h.Part+1 == h.Parts {
			b.dischargeLocked(f)
		} else if f.term != nil {
			b.loose = append(b.loose, f)
		}
	}
	return f
}

// deliver cuts the answers that body holds and hands them over. f is put back if more of it is to come.
func (s *session) deliver(f *flight, h *frame.Header, body []byte) {
	b := s.b
	last := h.Part+1 == h.Parts
	err := f.expects(h)
	if err == nil {
		err = s.cut(f, body, backend.Now(), last)
	}
	if err == nil {
		b.health.Success()
		if !last {
			err = s.putBack(f)
		}
	}
	if err != nil {
		s.wakes.FailAll(&f.list, err)
		if errors.Is(err, backend.ErrProtocol) {
			b.failed(backend.EventParsing, err, 0)
		}
	}
	b.runs.Wake(&s.wakes)
	b.mu.Lock()
	if last || err != nil {
		b.endLocked(f)
	}
	b.handedLocked()
	b.mu.Unlock()
}

// handedLocked takes back a b.reading++: what was taken out has been handed over.
func (b *Backend) handedLocked() {
	if b.reading--; b.closed {
		b.idle.Broadcast()
	}
}

// handed is handedLocked without the lock.
func (b *Backend) handed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handedLocked()
}

// putBack lets f wait for the next part of its answer, unless everything was given up meanwhile.
func (s *session) putBack(f *flight) error {
	b := s.b
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return backend.ErrClosed
	case b.sess != s:
		return backend.ErrDisconnected
	}
	b.fixLocked(f)
	b.putLocked(f)
	return nil
}

// expects checks that h is the part which f waits for.
func (f *flight) expects(h *frame.Header) error {
	if h.Part != f.part {
		return errBadAnswer
	}
	f.part++
	return nil
}

// cut hands over the answers at the start of body, and keeps what is left of it with f.
func (s *session) cut(f *flight, body []byte, now int64, last bool) error {
	if len(f.carry) > 0 {
		f.carry = append(f.carry, body...)
		if len(f.carry) < f.need && !last {
			return nil
		}
		body = f.carry
	}
	ours := len(f.carry) > 0 || s.wire != nil // and used again
	for f.list.Len() > 0 && len(body) > 0 {
		p := f.list.Head()
		n, need, err := mc.ParseResponse(body, &p.Resp)
		if errors.Is(err, mc.ErrMore) && !last {
			f.keep(body, need)
			return nil
		}
		if err != nil {
			return errBadAnswer
		}
		f.list.Pop()
		switch {
		case n < backend.Large:
			p.Buf = append(p.Buf[:0], body[:n]...)
			p.Resp.Rebase(p.Buf)
		case ours:
			block := backend.NewBlock(n)
			copy(block.B, body[:n])
			p.Own(block, block.B[:n:n])
			p.Resp.Rebase(p.Buf)
		default:
			p.Own(nil, body[:n:n])
		}
		p.End = now
		s.wakes.Answer(p)
		body = body[n:]
	}
	f.carry = f.carry[:0]
	switch {
	case len(body) > 0:
		return errBadAnswer
	case last && f.list.Len() > 0:
		return errShort
	}
	return nil
}

// keep holds the beginning of an answer until the rest comes; need is its whole length, 0 if that is not known.
func (f *flight) keep(rest []byte, need int) {
	if cap(f.carry) < need {
		f.carry = append(make([]byte, 0, need), rest...)
	} else {
		f.carry = append(f.carry[:0], rest...)
	}
	f.need = need
}

// refused fails a frame of which the leaf has executed nothing, or nothing more. What was placed by a membership that is too old is
// handed to who placed it.
func (s *session) refused(h *frame.Header) {
	b := s.b
	err := errReasons[h.Reason]
	if err == nil {
		err = errUnknownWhy
	}
	var out backend.List
	var old outdated
	var f *flight
	b.mu.Lock()
	b.reading++
	if b.sess == s {
		if s.route != nil && s.route.instance == h.Instance {
			b.fenceLocked(h.Epoch)
		}
		if f = b.flights[h.ID]; f != nil {
			old = outdated{f.term, f.buf, f.n - f.list.Len()}
			b.giveUpLocked(f, &out)
			b.loose = append(b.loose, f)
		}
	}
	// The rest are told of by what comes of them: a hello, a timeout, a failure.
	told := h.Reason == frame.ReasonOverloaded || h.Reason == frame.ReasonTooLarge
	if now := backend.Now(); told && (b.refusal == 0 || now-b.refusal >= int64(refusalEvery)) {
		b.refusal = now
	} else {
		told = false
	}
	b.mu.Unlock()
	depth := out.Len()
	if h.Reason == frame.ReasonEpoch {
		old.again(&out)
	}
	if f != nil {
		b.mu.Lock()
		b.fixLocked(f)
		tellAll(&f.follow)
		b.mu.Unlock()
	}
	s.wakes.FailAll(&out, err)
	b.runs.Wake(&s.wakes)
	b.handed()
	switch h.Reason {
	case frame.ReasonInstance, frame.ReasonVersion, frame.ReasonEpoch:
		b.askAgain()
	case frame.ReasonFormat:
		b.failed(backend.EventParsing, err, 0)
	}
	if told {
		b.tell(backend.Event{Kind: backend.EventRefused, Depth: depth, Err: err})
	}
}

// refusalEvery is the least time between two events that say that the leaf refuses frames: there is one for each frame.
const refusalEvery = time.Second

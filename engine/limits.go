// The limits that scripts set: requests under way, and bytes held for them.

package engine

import (
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// limits are what a configuration asks for; 0 is none.
type limits struct {
	requests int64 // routed requests under way, of one worker
	buffers  int64 // bytes of values and answers held, in all
}

// share is a worker's part of a limit for the whole proxy. As in memcached's proxy a small one is not divided.
func share(limit int64, workers int) int64 {
	if n := int64(workers); limit > 2*n {
		return limit / n
	}
	return limit
}

func newLimits(s *luaapi.Settings, workers int) limits {
	return limits{
		requests: share(int64(s.ActiveReqLimit), workers),
		buffers:  share(s.BufferLimit, workers) * int64(workers),
	}
}

// admit reports whether a request may be routed; if not, it is answered. Only for generations with limits.
func (s *session) admit(sl *slot) bool {
	if limit := s.g.limits.requests; limit > 0 {
		if s.w.active.Add(1) > limit {
			s.w.active.Add(-1)
			s.p.stats.refused.Add(1)
			s.answer(sl, lineActiveLimit)
			return false
		}
		sl.active = true
	}
	if s.g.limits.buffers > 0 && len(sl.req.Value) > 0 {
		if !s.p.room() {
			s.p.stats.noMemory.Add(1)
			s.answer(sl, lineNoMemory)
			return false
		}
		n := int64(len(sl.req.Value))
		s.p.held.Add(n)
		s.heldMore(n)
	}
	return true
}

// room reports whether what is held leaves room for more, by the scripts' limit. As in memcached's proxy the limit is noticed when it
// has been passed, so that one value may go over it. Backends' readers call it.
func (p *Proxy) room() bool {
	limit := p.scriptBuffers.Load()
	return limit == 0 || p.held.Load() <= limit
}

// hold counts an answer's bytes until its batch has ended. Over a limit the answer is dropped: it would wait here for a client that may be
// in no hurry to read. Backends' readers call it.
func (s *session) hold(p *backend.Pending) {
	limited, n := s.p.scriptBuffers.Load() > 0, int64(len(p.Buf))
	if !limited {
		n = int64(p.Holds())
	}
	switch {
	case n == 0:
		return
	case limited && !s.p.room():
		s.p.stats.noMemory.Add(1)
		p.Err = backend.ErrOverloaded
		return
	case !limited && n <= freeAnswer:
		return
	}
	if !s.keeps(n) {
		refuse(p)
	}
}

// keeps counts n bytes of an answer until the batch has ended, if there is room for them in all.
func (s *session) keeps(n int64) bool {
	if s.p.held.Add(n)+s.p.server.Buffered() > s.p.opts.MaxBuffered {
		s.p.held.Add(-n)
		s.p.stats.dropped.Add(1)
		s.dropped.Store(true)
		s.p.server.Relieve()
		return false
	}
	s.heldMore(n)
	return true
}

// refuse puts an error line in the place of an answer.
func refuse(p *backend.Pending) {
	p.Buf = append(p.Buf[:0:0], lineNoMemory...)
	if _, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil {
		p.Err = backend.ErrOverloaded // the line is ours and parses
	}
}

// freeAnswer is the size in bytes up to which an answer is not counted: a batch of them is bounded by its length. A script's limit is in
// the habit of being small, so then all are.
const freeAnswer = 4 << 10

// heldMore notes n bytes that Proxy.held has counted.
func (s *session) heldMore(n int64) {
	s.held.Add(n)
	if s.closed.Load() {
		s.letGo()
	}
}

// linger is how much longer what has been held counts where scripts have set a limit. A request that came while another held memory is to
// find it held, though a busy machine lets it be looked at only when the other is done; in memcached's proxy one thread takes them in
// their order, and memory counts until Lua's collector has found it.
const linger = 250 * time.Millisecond

// letGo uncounts what has been counted for this session.
func (s *session) letGo() {
	n := s.held.Swap(0)
	switch {
	case n == 0:
	case s.p.scriptBuffers.Load() == 0:
		s.p.held.Add(-n)
	default:
		s.p.opts.after(linger, func() { s.p.held.Add(-n) })
	}
}

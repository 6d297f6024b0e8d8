// From answered slots to the bytes that the client gets, and what is counted on the way.

package engine

import (
	"bytes"
	"errors"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// endLine ends the answer of a get, gets, gat or gats.
const endLine = "END\r\n"

// write appends the answers of the slots before `to` that have not been written yet.
func (s *session) write(b *server.Batch, to int) error {
	if b.Each != nil {
		s.tell(b, to)
		return nil
	}
	b.Counted = s.held.Load() > 0
	for ; s.head < to; s.head++ {
		s.count(b, &s.slots[s.head])
		if len(b.Out) > flushSize {
			if err := b.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell gives b.Each the answers that it has not had, in the order of the requests, leaving out those that are still under way.
func (s *session) tell(b *server.Batch, to int) {
	for i := s.head; i < to; i++ {
		sl := &s.slots[i]
		if sl.done && !sl.told {
			sl.told = true
			b.Out = b.Out[:0]
			s.count(b, sl)
			b.Each(s.first+i, b.Out)
		}
		if sl.told && i == s.head {
			s.head++
		}
	}
	b.Out = b.Out[:0]
}

// count appends one answer and counts it.
func (s *session) count(b *server.Batch, sl *slot) {
	cmd, result := sl.req.Cmd, resultError
	if sl.refused != nil {
		cmd = sl.refused.Cmd
		b.Out = mc.AnswerBad(b.Out, sl.refused, &b.Rules)
	} else {
		result = s.append(b, sl)
	}
	if cmd < mc.NumCmds {
		s.p.stats.request(s.stripe, cmd, result)
	}
	if sl.route != nil && sl.route.Latency != nil {
		sl.route.Latency.Observe(s.stripe, sl.end-s.began)
	}
}

// append appends one answer and says how the request went.
func (s *session) append(b *server.Batch, sl *slot) (result result) {
	switch p := sl.pending; {
	case p == nil && sl.text != "":
		result = textResult(sl.text)
		if !sl.mute {
			b.Out = append(b.Out, sl.text...)
			s.cutEnd(b, sl, len(sl.text))
		}
	case p == nil:
		b.Out = append(b.Out, s.local[sl.from:sl.to]...)
		result = localResult(s.local[sl.from:sl.to])
		if sl.begun {
			result = resultHit
		}
	case p.Err != nil:
		b.Out = append(b.Out, lineBackendFailure...)
		result = resultError
		if errors.Is(p.Err, backend.ErrTimeout) {
			result = resultTimeout
		}
	default:
		result = responseResult(&p.Resp)
		s.response(b, sl, &p.Resp)
	}
	if sl.part == last {
		b.Out = append(b.Out, endLine...)
	}
	return result
}

// response appends a backend's answer: not what the client wished not to hear, without END inside a multiget, and with the
// client's key if a route had cut it.
func (s *session) response(b *server.Batch, sl *slot, resp *mc.Response) {
	if mc.SuppressAnswer(sl.req, resp) {
		return
	}
	if !sl.restore {
		raw := resp.Raw
		if sl.part != whole {
			raw = bytes.TrimSuffix(raw, []byte(endLine))
		}
		b.Append(raw, sl.part == whole && s.head == len(s.slots)-1)
		return
	}
	from := len(b.Out)
	b.Out = mc.AppendRekeyed(b.Out, resp, sl.req)
	s.cutEnd(b, sl, len(b.Out)-from)
}

// cutEnd cuts the END off the answer to one key of a multiget, which is the last n bytes of Out.
func (s *session) cutEnd(b *server.Batch, sl *slot, n int) {
	if at := len(b.Out) - len(endLine); sl.part != whole && n >= len(endLine) && string(b.Out[at:]) == endLine {
		b.Out = b.Out[:at]
	}
}

// From answered slots to the bytes that the client gets, and what is counted on the way.

package engine

import (
	"errors"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// endLine ends the answer of a get, gets, gat or gats.
const endLine = "END\r\n"

// write appends the answers of the slots before `to` that have not been written yet.
func (s *session) write(b *server.Batch, to int) error {
	for ; s.head < to; s.head++ {
		sl := &s.slots[s.head]
		result := s.append(b, sl)
		if sl.req.Cmd < mc.NumCmds {
			s.p.stats.request(s.stripe, sl.req.Cmd, result)
		}
		if sl.route != nil && sl.route.Latency != nil {
			sl.route.Latency.Observe(s.stripe, sl.end-s.now)
		}
		if len(b.Out) > flushSize {
			if err := b.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// append appends one answer and says how the request went.
func (s *session) append(b *server.Batch, sl *slot) (result result) {
	switch p := sl.pending; {
	case p == nil && sl.text != "":
		b.Out = append(b.Out, sl.text...)
		result = textResult(sl.text)
	case p == nil:
		b.Out = append(b.Out, s.local[sl.from:sl.to]...)
		result = localResult(s.local[sl.from:sl.to])
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
	from := len(b.Out)
	switch {
	case sl.restore:
		b.Out = mc.AppendRekeyed(b.Out, resp, sl.req.Key)
	default:
		b.Out = append(b.Out, resp.Raw...)
	}
	if sl.part != whole && len(b.Out)-from >= len(endLine) && string(b.Out[len(b.Out)-len(endLine):]) == endLine {
		b.Out = b.Out[:len(b.Out)-len(endLine)]
	}
}

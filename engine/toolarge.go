// Values that are refused for their size: what they were to replace is deleted, as memcached does.

package engine

import "github.com/tidepool-proxy/tidepool/engine/mc"

// drops has the request of sl, whose value is too large, give way to a delete of its key on the route for deletes. The client is answered what it
// would be without. memcached drops the item for set, and for ms in every mode; behind memcached's proxy, which passes every value on, it does so too.
func (s *session) drops(sl *slot) bool {
	r := sl.req
	cmd := mc.CmdDelete
	if r.Cmd == mc.CmdMS {
		cmd = mc.CmdMD
	} else if r.Cmd != mc.CmdSet {
		return false
	}
	q := *r
	q.Bad, q.Value = mc.BadNone, []byte("\r\n")
	if s.hooks == nil || s.hooks[r.Cmd] == nil || s.hooks[cmd] == nil || mc.CheckWire(&q) != mc.BadNone {
		return false
	}
	var line []byte
	if cmd == mc.CmdMD {
		line = append(append(line, "md "...), r.Key...)
		if r.Base64 {
			line = append(line, " b"...)
		}
	} else {
		line = append(append(line, "delete "...), r.Key...)
	}
	del := new(mc.Request)
	var p mc.Parser
	if _, _, err := p.Next(append(line, "\r\n"...), &mc.Rules{Routed: true}, del); err != nil || del.Bad != mc.BadNone {
		return false
	}
	sl.refused, sl.req = r, del
	return true
}

// Standing in for a memcached: what its options allow clients, and who may be a client at all.

package engine

import "github.com/tidepool-proxy/tidepool/engine/server"

// Memcached is what a proxy does otherwise where it stands in for a memcached: a listener with routes closes the connection of who says
// what memcached's proxy does not know, where a proxy of ours is kinder, and what follows.
type Memcached struct {
	NoWatch  bool                // nobody may watch
	Shutdown func(graceful bool) // obeys the command shutdown; it must not wait. nil: that is refused
}

// guarded is the proxy as its listeners see it.
func (p *Proxy) guarded() server.Handler {
	if p.opts.Auth == nil {
		return p
	}
	return p.opts.Auth.Guard(p)
}

// shutdown answers the command of that name. One that is obeyed is answered with the end of the connection.
func (s *session) shutdown(sl *slot) {
	r, m := sl.req, s.p.opts.Memcached
	switch {
	case m == nil || s.info.Network == "":
		s.refuse(sl)
	case m.Shutdown == nil:
		from := len(s.local)
		s.local = s.p.opts.Local.Exec(r, s.local)
		s.answerLocal(sl, from)
	case r.NToken() == 1 || r.NToken() == 2 && string(r.Token(1)) == "graceful":
		s.ends = true
		s.answer(sl, "")
		m.Shutdown(r.NToken() == 2)
	default:
		s.answer(sl, "CLIENT_ERROR invalid shutdown mode\r\n")
	}
}

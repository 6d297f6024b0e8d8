// Clients that watch, and what they are told of connections.

package engine

import (
	"net"
	"strconv"

	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/engine/watch"
)

// The lines that answer watch, in memcached's words.
const (
	lineWatching    = "OK\r\n"
	lineNoWatch     = "CLIENT_ERROR watch commands not allowed\r\n"
	lineWatchAlone  = "ERROR cannot pipeline other commands before watch\r\n"
	lineNoStream    = "ERROR\r\n"
	lineManyWatches = "WATCHER_TOO_MANY log watcher limit reached\r\n"
)

// watch answers the command of that name: from OK on the connection carries lines of what happens, and nothing that its client says is
// heard.
func (s *session) watch(sl *slot) {
	m := s.p.opts.Memcached
	if m != nil && m.NoWatch || s.info.Network == "" { // what comes over NATS has no connection of its own
		s.answer(sl, lineNoWatch)
		return
	}
	if sl != &s.slots[0] {
		s.answer(sl, lineWatchAlone)
		return
	}
	var streams watch.Stream
	for i := 1; i < sl.req.NToken(); i++ {
		one := watch.Named(sl.req.Token(i))
		if one == 0 {
			s.answer(sl, lineNoStream)
			return
		}
		streams |= one
	}
	if streams == 0 {
		streams = watch.Fetchers
	}
	var err error
	if s.watcher, err = s.p.opts.Watch.Subscribe(streams); err != nil {
		s.answer(sl, lineManyWatches)
		return
	}
	s.ends = true
	s.answer(sl, lineWatching)
}

// streams gives the connection to the watcher, if the batch went well.
func (s *session) streams(err error) error {
	w := s.watcher
	s.watcher = nil
	if err != nil {
		w.Close()
		return err
	}
	return &server.Stream{Run: w.Run}
}

// connOpened tells of a client that came.
func (p *Proxy) connOpened(info server.ConnInfo) {
	if p.opts.Watch.Wants(watch.ConnEvents) && info.Network != "" {
		p.connEvent("conn_new", info, "")
	}
}

// connClosed tells of one that has gone.
func (p *Proxy) connClosed(info server.ConnInfo, why server.Reason) {
	if p.opts.Watch.Wants(watch.ConnEvents) {
		p.connEvent("conn_close", info, string(why))
	}
}

func (p *Proxy) connEvent(kind string, info server.ConnInfo, reason string) {
	host, port, transport := "unix", "0", "local"
	if info.Network != "unix" {
		transport = "tcp"
		host, port, _ = net.SplitHostPort(info.Remote)
	}
	b := append([]byte("type="), kind...)
	b = append(append(b, " rip="...), host...)
	b = append(append(b, " rport="...), port...)
	b = append(append(b, " transport="...), transport...)
	if reason != "" {
		b = append(append(b, " reason="...), reason...)
	}
	p.opts.Watch.Write(watch.ConnEvents, strconv.AppendInt(append(b, " cfd="...), int64(info.FD), 10))
}

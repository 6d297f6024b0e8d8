// What stats tells of clients: how many, who they are, and who of them watches.

package engine

import (
	"fmt"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/server"
)

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// clientStats are the lines of a bare stats.
func (p *Proxy) clientStats(stat func(string, any)) {
	c := p.server.Stats()
	stat("max_connections", p.opts.MaxConns)
	stat("curr_connections", c.Conns)
	stat("total_connections", c.Total)
	stat("rejected_connections", c.Rejected)
	stat("bytes_read", c.BytesRead)
	stat("bytes_written", c.BytesWritten)
	if p.opts.IdleTimeout > 0 {
		stat("idle_kicks", c.ClosedIdle)
	}
	w := p.opts.Watch.Stats()
	stat("log_worker_dropped", 0)
	stat("log_worker_written", w.Written)
	stat("log_watcher_skipped", w.Skipped)
	stat("log_watcher_sent", w.Sent)
	stat("log_watchers", w.Watchers)
}

// connStats are the lines of stats conns, in the order of descriptors.
func (p *Proxy) connStats(stat func(string, any)) {
	for _, c := range p.server.Conns() {
		line := func(name string, value any) { stat(fmt.Sprintf("%d:%s", c.FD, name), value) }
		if c.Listening {
			line("addr", connAddr(c.Network, c.Local))
			line("state", "conn_listening")
			line("secs_since_last_cmd", 0)
			continue
		}
		if c.Network == "unix" {
			line("addr", connAddr(c.Network, c.Local)) // clients of a unix socket have no address of their own
		} else {
			line("addr", connAddr(c.Network, c.Remote))
		}
		line("listen_addr", connAddr(c.Network, c.Local))
		line("state", connState(&c))
		line("secs_since_last_cmd", int64(c.Idle/time.Second))
	}
}

func connState(c *server.ConnState) string {
	if c.Streaming {
		return "conn_watch"
	}
	return "conn_read"
}

// connAddr writes an address as memcached does.
func connAddr(network, addr string) string {
	if network == "tcp" && len(addr) > 0 && addr[0] == '[' {
		network = "tcp6"
	}
	return network + ":" + addr
}

// The `stats` command as the proxy answers it, in the words of memcached's proxy.

package engine

import (
	"bytes"
	"fmt"
	"runtime/metrics"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// appendStats answers `stats` where the proxy has something to say: nothing behind it, settings, proxy, proxybe, proxyfuncs. False:
// the local store answers alone.
func (p *Proxy) appendStats(dst []byte, r *mc.Request) ([]byte, bool) {
	sub := ""
	if r.NToken() > 1 {
		sub = string(r.Token(1))
	}
	var lines func(func(name string, value any))
	switch sub {
	case "":
		dst, lines = p.localStats(dst, r), p.generalStats
	case "settings":
		dst, lines = p.localStats(dst, r), func(stat func(string, any)) {
			stat("proxy_enabled", yesNo(len(p.opts.Files) > 0))
			stat("proxy_uring_enabled", "no")
			stat("proxy_workers", p.opts.Workers)
		}
	case "proxy":
		lines = p.proxyStats
	case "proxybe":
		lines = p.badBackends
	case "proxyfuncs":
		lines = func(func(string, any)) {} // function generators, which there are none of yet
	default:
		if len(sub) < 2 || !strings.HasPrefix("conns", sub) {
			return dst, false
		}
		lines = p.connStats
	}
	lines(func(name string, value any) { dst = fmt.Appendf(dst, "STAT %s %v\r\n", name, value) })
	return append(dst, endLine...), true
}

// localStats is the local store's answer without its END.
func (p *Proxy) localStats(dst []byte, r *mc.Request) []byte {
	return bytes.TrimSuffix(p.opts.Local.Exec(r, dst), []byte(endLine))
}

func (p *Proxy) generalStats(stat func(string, any)) {
	p.clientStats(stat)
	stat("proxy_req_active", p.inFlight.Load())
	stat("proxy_config_reloads", p.stats.reloads.Load())
	stat("proxy_config_reload_fails", p.stats.reloadFails.Load())
	total := 0
	for _, h := range p.registry.All() {
		total += max(1, h.Spec.Workers) // upstream counts one for each worker too
	}
	t := p.registry.Totals()
	stat("proxy_backend_total", total)
	stat("proxy_backend_marked_bad", t.MarkedBad)
	stat("proxy_backend_failed", t.Failed)
	stat("proxy_request_failed_depth", t.Refused)
}

func (p *Proxy) proxyStats(stat func(string, any)) {
	p.user.each(func(name string, v uint64) { stat("user_"+name, v) })
	limits := p.current.Load().limits
	stat("active_req_limit", limits.ActiveReqLimit)
	stat("buffer_memory_limit", limits.BufferLimit)
	stat("buffer_memory_used", p.server.Stats().Buffered+p.held.Load())
	gc := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(gc)
	stat("vm_gc_runs", gc[0].Value.Uint64())
	stat("vm_memory_kb", gc[1].Value.Uint64()/1024)
	for c := mc.CmdNone + 1; c < mc.CmdEndStorage; c++ {
		stat("cmd_"+c.String(), p.stats.hooks.Value(int(c)))
	}
}

// badBackends gives for each label how many connections are marked bad; one that is down on purpose is not.
func (p *Proxy) badBackends(stat func(string, any)) {
	all := p.registry.All() // by name
	for i := 0; i < len(all); {
		name, bad := all[i].Spec.Name(), 0
		for ; i < len(all) && all[i].Spec.Name() == name; i++ {
			bad += all[i].Backend.Status().Bad
		}
		if bad > 0 {
			stat("bad_"+name, bad)
		}
	}
}

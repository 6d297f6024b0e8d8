// The `stats` command as the proxy answers it, in the words of memcached's proxy.

package engine

import (
	"bytes"
	"fmt"
	"runtime/metrics"
	"slices"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// statsOf is the statistics of a word after `stats`: what the local store says first, and then lines of ours. A word is known by its
// beginning, as in memcached.
type statsOf struct {
	word  string
	least int // letters of it that must be there
	local bool
	lines func(p *Proxy, stat func(name string, value any))
}

var allStats = []statsOf{
	{"settings", 1, true, (*Proxy).settingStats},
	{"conns", 2, false, (*Proxy).connStats}, // c is cachedump
	{"proxy", 1, false, (*Proxy).proxyStats},
	{"proxyfuncs", 1, false, (*Proxy).funcStats},
	{"proxybe", 1, false, (*Proxy).badBackends},
	{"proxytopology", 6, false, (*Proxy).topologyStats},
}

var generalStats = statsOf{local: true, lines: (*Proxy).generalStats}

// appendStats answers `stats` where the proxy has something to say. False: the local store answers alone. hooked: who asks has routes.
func (p *Proxy) appendStats(dst []byte, r *mc.Request, hooked bool) ([]byte, bool) {
	kind := &generalStats
	if r.NToken() > 1 {
		sub := string(r.Token(1))
		i := slices.IndexFunc(allStats, func(k statsOf) bool { return len(sub) >= k.least && strings.HasPrefix(k.word, sub) })
		if i < 0 {
			return dst, false
		}
		kind = &allStats[i]
	}
	if kind.local {
		dst = p.localStats(dst, r, hooked)
	}
	kind.lines(p, func(name string, value any) { dst = fmt.Appendf(dst, "STAT %s %v\r\n", name, value) })
	return append(dst, endLine...), true
}

// localStats is the local store's answer without its END. The store does not know that a listener with routes refuses flush_all.
func (p *Proxy) localStats(dst []byte, r *mc.Request, hooked bool) []byte {
	from := len(dst)
	dst = bytes.TrimSuffix(p.opts.Local.Exec(r, dst), []byte(endLine))
	if hooked && !p.opts.AllowFlush {
		const name = "\r\nSTAT flush_enabled "
		if at := bytes.Index(dst[from:], []byte(name+"yes")); at >= 0 {
			at += from + len(name)
			dst = append(append(dst[:at], "no"...), dst[at+len("yes"):]...)
		}
	}
	return dst
}

func (p *Proxy) settingStats(stat func(string, any)) {
	stat("proxy_enabled", yesNo(len(p.opts.Files) > 0))
	stat("proxy_uring_enabled", "no")
	stat("proxy_workers", p.opts.Workers)
}

func (p *Proxy) generalStats(stat func(string, any)) {
	p.clientStats(stat)
	entered, active := p.stats.routed()
	stat("proxy_conn_requests", entered)
	stat("proxy_conn_errors", 0) // answers that memcached's proxy could not queue; there is no such thing here
	stat("proxy_conn_oom", p.stats.noMemory.Load())
	stat("proxy_req_active", active)
	stat("proxy_config_reloads", p.stats.reloads.Load())
	stat("proxy_config_reload_fails", p.stats.reloadFails.Load())
	stat("proxy_config_cron_runs", p.stats.cronRuns.Load())
	stat("proxy_config_cron_fails", p.stats.cronFails.Load())
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
	var limits limits
	if g := p.current.Load(); g != nil {
		limits = g.limits
	}
	n := int64(p.opts.Workers)
	stat("active_req_limit", limits.requests*n)
	stat("buffer_memory_limit", limits.buffers*n)
	stat("buffer_memory_used", p.server.Stats().Buffered+p.held.Load())
	gc := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(gc)
	stat("vm_gc_runs", gc[0].Value.Uint64())
	stat("vm_memory_kb", gc[1].Value.Uint64()/1024)
	for _, c := range statOrder {
		stat("cmd_"+c.String(), p.stats.hooks.Value(int(c)))
	}
}

// statOrder is memcached's proxy's order of the commands of stats proxy.
var statOrder = [...]mc.Cmd{
	mc.CmdMG, mc.CmdMS, mc.CmdMD, mc.CmdMN, mc.CmdMA, mc.CmdME, mc.CmdGet, mc.CmdGat, mc.CmdSet, mc.CmdAdd, mc.CmdCas, mc.CmdGets, mc.CmdGats,
	mc.CmdIncr, mc.CmdDecr, mc.CmdTouch, mc.CmdAppend, mc.CmdPrepend, mc.CmdDelete, mc.CmdReplace,
}

// funcStats gives for each name how many function generators have it and how many slots they have, in all workers.
func (p *Proxy) funcStats(stat func(string, any)) {
	if g := p.current.Load(); g != nil {
		g.funcs.each(func(name string, funcs, slots int64) {
			if funcs > 0 {
				stat("funcs_"+name, funcs)
				stat("slots_"+name, max(0, slots))
			}
		})
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

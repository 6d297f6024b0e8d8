// What the proxy tells of itself: log lines, `stats`, metrics, the loaded configuration.

package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/stat"
	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/engine/vm"
	"github.com/tidepool-proxy/tidepool/engine/watch"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// maxLogged is how many bytes of a script's message are logged.
const maxLogged = 8 << 10

// Log implements luaapi.Logger.
func (p *Proxy) Log(msg string) {
	p.tellUser(msg)
	p.print(msg)
}

// print takes what scripts print.
func (p *Proxy) print(msg string) {
	if !p.logging(slog.LevelInfo) {
		return
	}
	if ok, dropped := p.allow(&p.logs); ok {
		p.log.Info("script", "text", msg[:min(len(msg), maxLogged)], "dropped", dropped)
	}
}

// logging reports whether the log takes lines of this level.
func (p *Proxy) logging(level slog.Level) bool { return p.log.Enabled(context.Background(), level) }

// LogsRequests implements luaapi.Logger.
func (p *Proxy) LogsRequests() bool {
	return p.opts.Watch.Wants(watch.ProxyReqs) || p.logging(slog.LevelInfo)
}

// LogRequest implements luaapi.Logger.
func (p *Proxy) LogRequest(r *mc.Request, res *backend.Pending, detail string, fd int) {
	if p.opts.Watch.Wants(watch.ProxyReqs) {
		p.tellRequest(toldRequest{r.Line, res, answerAddr(res), detail, fd})
	}
	if !p.logging(slog.LevelInfo) {
		return
	}
	ok, dropped := p.allow(&p.logs)
	if !ok {
		return
	}
	args := []any{"cmd", r.Cmd.String(), "key", string(r.Key), "detail", detail, "dropped", dropped}
	if res != nil {
		args = append(args, "elapsed", time.Duration(res.End-res.Start), "code", int(res.Resp.Code), "err", res.Err)
		if res.Backend != nil {
			args = append(args, "backend", res.Backend.Name())
		}
	}
	p.log.Info("request", args...)
}

// backendRequest logs a request that its backend's option log asks for.
func (p *Proxy) backendRequest(e backend.LogEntry) {
	a := e.Pending
	if p.opts.Watch.Wants(watch.ProxyReqs) {
		p.tellRequest(toldRequest{e.Line, a, e.Addr, e.Tag, int(e.Client)})
	}
	if !p.logging(slog.LevelInfo) {
		return
	}
	ok, dropped := p.allow(&p.sampled)
	if !ok {
		return
	}
	p.log.Info("request", "request", string(e.Line), "detail", e.Tag, "backend", e.Addr, "conn", a.Lane,
		"elapsed", time.Duration(a.End-a.Start), "code", int(a.Resp.Code), "err", a.Err, "dropped", dropped)
}

// scriptError counts a route that failed and logs it, some a second. tag is the listener's.
func (p *Proxy) scriptError(tag, route string, r *mc.Request, err error) {
	p.stats.scriptErrors.Add(1)
	if p.trace != nil && !p.trace.failed(err) {
		return
	}
	p.tellError(err)
	ok, dropped := p.allow(&p.errs)
	if !ok {
		return
	}
	args := []any{"err", err, "route", route, "tag", tag, "cmd", r.Cmd.String(), "key", string(r.Key), "dropped", dropped}
	p.log.Error("route failed", traced(args, err)...)
}

// traced adds the script's stack to a log line's arguments.
func traced(args []any, err error) []any {
	var script *vm.ScriptError
	if errors.As(err, &script) && script.Traceback != "" {
		args = append(args, "traceback", script.Traceback)
	}
	return args
}

// warnListeners says which listeners serve the local store although others of their commands are routed.
func (p *Proxy) warnListeners(g *generation) {
	var all []mc.Cmd
	for c := mc.CmdNone + 1; c < mc.CmdEndStorage; c++ {
		if c != mc.CmdMN && c != mc.CmdME {
			all = append(all, c)
		}
	}
	for _, a := range p.server.Addrs() {
		p.warnUnrouted(a.String(), g.workers[0].hooksFor(a.Tag), all)
	}
	for _, o := range p.opts.Others {
		p.warnUnrouted(o.Name, g.workers[0].hooksFor(o.Tag), o.Commands)
	}
}

func (p *Proxy) warnUnrouted(listener string, h *hooks, commands []mc.Cmd) {
	if h == nil {
		p.log.Warn("no route is attached for a listener: it serves the proxy's own store", "listener", listener)
		return
	}
	var without []string
	for _, c := range commands {
		if h[c] == nil {
			without = append(without, c.String())
		}
	}
	if len(without) > 0 {
		p.log.Warn("commands without a route go to the proxy's own store", "listener", listener, "commands", without)
	}
}

// histograms are latencies by name. They outlive generations. The zero value is ready.
type histograms struct {
	mu  sync.Mutex
	all map[[2]string]*stat.Histogram
}

// get gives the histogram of a name, new or known.
func (h *histograms) get(a, b string) *stat.Histogram {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[[2]string]*stat.Histogram{}
	}
	k := [2]string{a, b}
	if h.all[k] == nil {
		h.all[k] = stat.NewHistogram()
	}
	return h.all[k]
}

// forget drops one: nobody counts there any more.
func (h *histograms) forget(a, b string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, [2]string{a, b})
}

func (h *histograms) each(f func(a, b string, s *stat.Snapshot)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k, v := range h.all {
		var s stat.Snapshot
		v.Snapshot(&s)
		f(k[0], k[1], &s)
	}
}

// measure gives a route, or every route of a router, its histogram.
func (p *Proxy) measure(r *luaapi.Route) {
	if r.Router != nil {
		r.Router.Routes(func(inner *luaapi.Route) { p.measure(inner) })
		return
	}
	if r.Latency == nil {
		r.Latency = p.routes.get(r.Name, "")
	}
}

func (p *Proxy) backendLatency(pool, backend string) *stat.Histogram {
	return p.backends.get(pool, backend)
}

// Collectors are the proxy's metrics.
func (p *Proxy) Collectors() []prometheus.Collector {
	return []prometheus.Collector{stat.Collector(p.collect), stat.Collector(p.collectServer)}
}

func (p *Proxy) collect(emit func(prometheus.Metric)) {
	for c := mc.CmdNone + 1; c < mc.NumCmds; c++ {
		for r := range numResults {
			if n := p.stats.requestsOf(c, r); n > 0 {
				emit(stat.CounterMetric(stat.RequestsTotal, n, c.String(), resultNames[r]))
			}
		}
	}
	p.routes.each(func(route, _ string, s *stat.Snapshot) { emit(s.Metric(stat.RouteSeconds, route)) })
	for r := range backend.NumReasons {
		if n := p.stats.failures.Value(int(r)); n > 0 {
			emit(stat.CounterMetric(stat.BackendFailures, n, r.String()))
		}
	}
	p.backends.each(func(pool, be string, s *stat.Snapshot) { emit(s.Metric(stat.BackendSeconds, pool, be)) })
	emit(stat.CounterMetric(stat.ReloadsTotal, p.stats.reloads.Load(), "ok"))
	emit(stat.CounterMetric(stat.ReloadsTotal, p.stats.reloadFails.Load(), "error"))
	emit(stat.CounterMetric(stat.ScriptErrorsTotal, p.stats.scriptErrors.Load()))
	emit(stat.CounterMetric(stat.RefusedTotal, p.stats.refused.Load()))
	emit(stat.GaugeMetric(stat.InFlight, float64(p.inFlight.Load())))
	g := p.current.Load()
	emit(stat.GaugeMetric(stat.Generation, float64(g.number)))
	if o := p.origin(); o != nil {
		emit(stat.GaugeMetric(stat.ConfigGeneration, float64(o.Generation)))
		emit(stat.GaugeMetric(stat.ConfigNewest, float64(o.Newest)))
	}
	for _, pool := range g.pools {
		seen := map[string]int{}
		for _, m := range pool.Members() {
			s := m.Backend.Status()
			name := s.Name
			if seen[name]++; seen[name] > 1 {
				name += "#" + strconv.Itoa(seen[name])
			}
			up := 0.0
			if s.Up {
				up = 1
			}
			emit(stat.GaugeMetric(stat.BackendUp, up, pool.Name(), name))
			emit(stat.CounterMetric(stat.BackendOpened, s.Opened, pool.Name(), name))
		}
	}
	p.user.each(func(name string, v uint64) { emit(stat.CounterMetric(stat.UserTotal, v, name)) })
	p.collectTopology(g, emit)
}

func (p *Proxy) collectServer(emit func(prometheus.Metric)) {
	s := p.server.Stats()
	for _, l := range s.Listeners {
		name := l.Addr.String()
		emit(stat.CounterMetric(stat.ConnectionsTotal, l.Total, name))
		emit(stat.GaugeMetric(stat.ConnectionsOpen, float64(l.Conns), name))
		emit(stat.CounterMetric(stat.ConnectionsRejected, l.Rejected, name))
		emit(stat.CounterMetric(stat.AcceptErrors, l.AcceptErrors, name))
		emit(stat.CounterMetric(stat.ReadBytesTotal, l.BytesRead, name))
		emit(stat.CounterMetric(stat.WrittenBytesTotal, l.BytesWritten, name))
	}
	emit(stat.CounterMetric(stat.ConnectionsClosed, s.ClosedIdle, "idle"))
	emit(stat.CounterMetric(stat.ConnectionsClosed, s.ClosedSlow, "slow"))
	emit(stat.CounterMetric(stat.ConnectionsClosed, s.ClosedUnread, "unread"))
	emit(stat.CounterMetric(stat.ConnectionsClosed, s.Panics, "panic"))
	emit(stat.CounterMetric(stat.BufferRefused, s.Refused+p.stats.dropped.Load()))
	emit(stat.GaugeMetric(stat.BufferedBytes, float64(s.Buffered+p.held.Load())))
}

// ConfigView is what is loaded, for people: no credentials.
type ConfigView struct {
	Generation uint64              `json:"generation"`
	Files      []fileInfo          `json:"files"`
	Source     *Origin             `json:"source,omitempty"` // nil: the files are files
	Listeners  []string            `json:"listeners"`
	Workers    int                 `json:"workers"`
	Pools      []PoolView          `json:"pools"`
	Routes     map[string][]string `json:"routes"` // by listener tag: "get: simple.lua:10"
	Topology   []topo.Status       `json:"topology,omitempty"`
}

// PoolView is a pool and its backends.
type PoolView struct {
	Name     string        `json:"name"`
	Epoch    uint64        `json:"epoch"`
	Backends []BackendView `json:"backends"`

	Discovered *DiscoveredView `json:"discovered,omitempty"` // nil: its members are those of the configuration
}

// BackendView is one backend's state.
type BackendView struct {
	Name      string `json:"name"`
	Addr      string `json:"addr"`
	Up        bool   `json:"up"`
	Failures  int    `json:"failures"`
	Queued    int    `json:"queued"`
	Opened    uint64 `json:"opened"`
	LastError string `json:"last_error,omitempty"`
}

// Config tells what is loaded.
func (p *Proxy) Config() ConfigView {
	g := p.current.Load()
	v := ConfigView{Generation: g.number, Files: g.files, Listeners: p.Addrs(), Workers: len(g.workers), Routes: map[string][]string{}}
	for _, pool := range g.pools {
		pv := PoolView{Name: pool.Name(), Epoch: pool.Epoch()}
		for _, m := range pool.Members() {
			s := m.Backend.Status()
			pv.Backends = append(pv.Backends, BackendView{s.Name, s.Addr, s.Up, s.Failures, s.Queued, s.Opened, s.LastError})
		}
		pv.Discovered = g.viewDiscovered(pool)
		v.Pools = append(v.Pools, pv)
	}
	v.Topology = p.topologyStatus()
	v.Source = p.origin()
	for tag, h := range *g.workers[0].merged.Load() {
		for c, r := range h {
			if r != nil {
				v.Routes[tag] = append(v.Routes[tag], fmt.Sprintf("%s: %s", mc.Cmd(c), r.Name))
			}
		}
	}
	return v
}

// Cron: functions that a configuration wants run every so many seconds, in the configuration state.

package engine

import (
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/luaapi"
)

// cron is one entry.
type cron struct {
	luaapi.Cron
	next int64 // when it is due, in seconds since the proxy began
	at   int64 // if one proxy of many runs it, the instant that it is due for: a multiple of Every in Unix time, the same in all of them
}

// Leader says who of the proxies that share a configuration does what a script wants done by one of them.
type Leader interface {
	// Stand says that there is such a thing: this proxy may be asked to lead. It may be called again, and does not wait.
	Stand()
	// Leads reports whether this proxy leads, and has since at.
	Leads(at time.Time) bool
}

// crontab is what runs when. A load stages its entries; they take the place of all others when it succeeds. Entries and functions belong
// to who holds Proxy.reloading, so that nothing runs while a configuration loads.
type crontab struct {
	all    []*cron       // in the order of their registration
	reload bool          // one of them wants the configuration loaded again
	first  atomic.Int64  // when the first is due; never: none is
	kick   chan struct{} // tells the goroutine that first has changed
}

const never = math.MaxInt64

func newCrontab() *crontab {
	t := &crontab{kick: make(chan struct{}, 1)}
	t.first.Store(never)
	return t
}

// put adds an entry to list, in the place of one with its name.
func put(list []*cron, c *cron) []*cron {
	if i := slices.IndexFunc(list, func(o *cron) bool { return o.Name == c.Name }); i >= 0 {
		list[i] = c
		return list
	}
	return append(list, c)
}

// inherit keeps the phase of an entry that runs as often as the one of its name before, so that reloads do not put it off for ever.
func (t *crontab) inherit(c *cron) {
	for _, old := range t.all {
		if old.Name == c.Name && old.Every == c.Every && old.Once == c.Once {
			c.next, c.at = old.next, old.at
		}
	}
}

// replace makes a load's entries the ones that run.
func (t *crontab) replace(staged []*cron) {
	for _, c := range staged {
		t.inherit(c)
	}
	t.all, t.reload = staged, false
	t.schedule()
}

// schedule finds out when the first entry is due.
func (t *crontab) schedule() {
	first := int64(never)
	for _, c := range t.all {
		first = min(first, c.next)
	}
	t.first.Store(first)
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// seconds is the clock of crons: whole seconds since the proxy began.
func (p *Proxy) seconds() int64 { return (p.now() - p.started) / int64(time.Second) }

// untilSecond is how long it is until that one comes.
func (p *Proxy) untilSecond(n int64) time.Duration {
	return time.Duration(p.started - p.now() + n*int64(time.Second))
}

// align makes an entry that one proxy of many runs due at its next instant.
func (p *Proxy) align(c *cron) {
	if !c.Once || p.opts.Leader == nil {
		return
	}
	p.opts.Leader.Stand()
	wall := p.wall()
	c.at = nextInstant(c.Every, c.at, wall)
	due := p.now() - p.started + int64(time.Unix(c.at, 0).Sub(wall))
	c.next = (due + int64(time.Second) - 1) / int64(time.Second) // no sooner, and up to a second later
}

// nextInstant is the first multiple of every, in Unix time, after wall that is not last. All proxies have the same instants, so that nothing is done
// twice, or too soon, when another comes to lead.
func nextInstant(every, last int64, wall time.Time) int64 {
	at := wall.Unix()/every*every + every
	if at == last { // it came a little early by this clock
		at += every
	}
	return at
}

// RegisterCron implements luaapi.Config.
func (l *loader) RegisterCron(c luaapi.Cron) {
	e := &cron{Cron: c, next: l.p.seconds() + c.Every}
	l.p.align(e)
	if l.staging != nil {
		l.staging.crons = put(l.staging.crons, e)
		return
	}
	l.crons.inherit(e) // a cron registers another
	l.crons.all = put(l.crons.all, e)
}

// ScheduleReload implements luaapi.Config. While a configuration loads it means nothing.
func (l *loader) ScheduleReload() { l.crons.reload = true }

// Stats implements luaapi.Config. The answer is empty for figures that are not kept here.
func (l *loader) Stats(sub string) (text []byte, ok bool) {
	switch sub {
	case "", "settings", "conns", "extstore", "proxy", "proxyfuncs", "proxybe", "items", "slabs", "sizes":
	default:
		return nil, false
	}
	line := []byte("stats\r\n")
	if sub != "" {
		line = fmt.Appendf(nil, "stats %s\r\n", sub)
	}
	var r mc.Request
	var parser mc.Parser
	if _, _, err := parser.Next(line, &mc.Rules{}, &r); err != nil || r.Bad != mc.BadNone {
		return nil, false // the lines are ours and parse
	}
	if text, ok = l.p.appendStats(nil, &r, len(l.p.opts.Files) > 0); !ok {
		text = l.p.opts.Local.Exec(&r, nil)
	}
	return text, true
}

// runCrons runs the entries that are due at now, one after another in the order of their registration, and the reload that they ask for.
func (p *Proxy) runCrons(now int64) {
	p.reloading.Lock()
	again := p.loader.runCrons(now)
	p.reloading.Unlock()
	if again {
		p.Reload() // says itself what is wrong with it
	}
}

func (l *loader) runCrons(now int64) (reload bool) {
	t := l.crons
	l.state.Lock()
	defer l.state.Unlock()
	l.staged = l.settings
	for _, c := range slices.Clone(t.all) {
		if c.next > now || !slices.Contains(t.all, c) || l.p.stopped.Load() {
			continue
		}
		at := c.at
		if c.Rerun {
			c.next = now + c.Every
			l.p.align(c)
		} else {
			t.all = slices.DeleteFunc(t.all, func(o *cron) bool { return o == c })
		}
		if at != 0 && !l.p.opts.Leader.Leads(time.Unix(at, 0)) {
			continue // another proxy does it, or has
		}
		l.p.stats.cronRuns.Add(1)
		if _, err := l.state.Call(c.Func); err != nil {
			l.p.cronFailed(c.Name, located(err))
		}
	}
	l.settings = l.staged
	t.schedule()
	reload, t.reload = t.reload, false
	return reload
}

// cronFailed counts and logs an entry that ended in an error. It runs again.
func (p *Proxy) cronFailed(name string, err error) {
	p.stats.cronFails.Add(1)
	p.tellError(err)
	if ok, dropped := p.allow(&p.errs); ok {
		p.log.Error("cron failed", traced([]any{"err", err, "cron", name, "dropped", dropped}, err)...)
	}
}

// serveCrons runs entries when they are due, until stop.
func (p *Proxy) serveCrons(stop <-chan struct{}) {
	t := p.loader.crons
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := time.Hour
		if first := t.first.Load(); first != never {
			wait = min(wait, p.untilSecond(first))
		}
		timer.Reset(wait)
		select {
		case <-stop:
			return
		case <-t.kick:
		case <-timer.C:
			if now := p.seconds(); t.first.Load() <= now {
				p.runCrons(now)
			}
		}
	}
}

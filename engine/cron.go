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
		if old.Name == c.Name && old.Every == c.Every {
			c.next = old.next
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

// RegisterCron implements luaapi.Config.
func (l *loader) RegisterCron(c luaapi.Cron) {
	e := &cron{c, l.p.seconds() + c.Every}
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
		if c.Rerun {
			c.next = now + c.Every
		} else {
			t.all = slices.DeleteFunc(t.all, func(o *cron) bool { return o == c })
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

// A proxy that nobody connects to: for tests of routes, which open its sessions themselves and have a clock of their own.

package engine

import (
	"errors"
	"math/rand/v2"
)

// Offline makes a proxy of o.Files that listens nowhere and has no goroutines: who asks for it gives requests to sessions (Proxy.Open,
// Session.Serve), inside of Options.Clock.Go. The clock, which must be set, runs one thing at a time, and all methods are called so. Nothing that
// scripts log is left out. It is ended by Cut, when that has been heard of by Close.
func Offline(o Options) (*Proxy, error) {
	if o.Clock == nil {
		return nil, errors.New("cannot make a proxy offline without a clock")
	}
	p, err := newProxy(o, false)
	if err != nil {
		return nil, err
	}
	p.offline = true
	if err := p.Load(o.Plain, o.Files...); err != nil {
		p.loader.close()
		p.registry.Close()
		return nil, err
	}
	return p, nil
}

// Load is Reload with other files; plain is Options.Plain. It is for a proxy that is Offline.
func (p *Proxy) Load(plain bool, files ...string) error {
	old, was := p.opts.Files, p.opts.Plain
	p.opts.Files, p.opts.Plain = files, plain
	if _, err := p.Reload(); err != nil {
		p.opts.Files, p.opts.Plain = old, was
		return err
	}
	p.armCrons()
	return nil
}

// armCrons has the first cron run when it is due, and then the next.
func (p *Proxy) armCrons() {
	if p.cronTimer != nil {
		p.cronTimer.Stop()
	}
	if first := p.loader.crons.first.Load(); first != never {
		p.cronTimer = p.afterFunc(max(0, p.untilSecond(first)), func() {
			p.runCrons(p.seconds())
			p.armCrons()
		})
	}
}

// Cut gives up every request that is under way in a proxy that is Offline, and stops its crons. Sessions take notice when they next run.
func (p *Proxy) Cut() {
	if p.cronTimer != nil {
		p.cronTimer.Stop()
	}
	p.current.Load().cut.Store(true)
	for s := range p.sessions.all {
		if s.g != nil {
			s.g.cut.Store(true)
		}
		for _, l := range s.calls {
			l.g.cut.Store(true)
		}
	}
	p.sessions.wake()
}

// Close ends a proxy that is Offline and serves nothing any more.
func (p *Proxy) Close() {
	if p.stopped.CompareAndSwap(false, true) {
		close(p.stop)
	}
	p.retire(p.current.Load())
	p.loader.close()
	p.registry.Close()
}

// Stats is what `stats sub` tells of a proxy that is Offline; nothing if there is no such thing.
func (p *Proxy) Stats(sub string) (text []byte, ok bool) { return p.loader.Stats(sub) }

// intN is where pools get random numbers from: Options.Seed, if it is set.
func (p *Proxy) intN() func(n int) int {
	if p.opts.Seed == 0 {
		return nil
	}
	return rand.New(rand.NewPCG(p.opts.Seed, 1)).IntN
}

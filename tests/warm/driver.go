// Drivers: what happens to leaves, links and memberships while clients work.

package warm

import (
	"fmt"
	"math/rand/v2"
	"time"
)

var leafNames = []string{"leaf-1", "leaf-2", "leaf-3", "leaf-4"}

// driver is what happens to the pool. It belongs to one goroutine.
type driver struct {
	w       *World
	h       *History
	proxies []*Proxy
	r       *rand.Rand
	down    map[string]bool
	stop    chan struct{}
	err     error
}

// run has one thing happen after the other until stop is closed.
func (d *driver) run(stop chan struct{}) error {
	d.stop = stop
	all := []func(){d.resize, d.resize, d.split, d.split, d.skip, d.march, d.flap, d.flap, d.away, d.kill, d.kill, d.weather}
	for d.wait(2, 20) {
		d.w.Keep(d.r.IntN(3) > 0)
		all[d.r.IntN(len(all))]()
	}
	return d.err
}

// wait waits for some milliseconds; false: it is over.
func (d *driver) wait(least, most int) bool {
	select {
	case <-d.stop:
		return false
	case <-time.After(time.Duration(least+d.r.IntN(most-least)) * time.Millisecond):
		return d.err == nil
	}
}

func (d *driver) note(format string, a ...any) {
	d.h.mu.Lock()
	defer d.h.mu.Unlock()
	d.h.Events = append(d.h.Events, fmt.Sprintf("%4d ", d.h.clock.Load())+fmt.Sprintf(format, a...))
}

func (d *driver) leaf() string { return leafNames[d.r.IntN(len(leafNames))] }

// decide makes those the members, and has some hear of it: all, or one.
func (d *driver) decide(lost []string, members []string, who ...*Proxy) {
	if len(members) == 0 || d.err != nil {
		return
	}
	d.w.Decide(lost, members...)
	d.note("members %v, lost %v, told to %d", members, lost, len(who))
	for _, p := range who {
		if err := p.Learn(); err != nil {
			d.err = err
		}
	}
}

// without gives the leaves that are up, but one.
func (d *driver) without(leaf string) (names []string) {
	for _, name := range leafNames {
		if name != leaf && !d.down[name] {
			names = append(names, name)
		}
	}
	return names
}

// resize takes any leaves for members. Maybe only one proxy hears of it, and the other some time later, or when it is refused.
func (d *driver) resize() {
	var members, lost []string
	for _, name := range leafNames {
		switch {
		case d.r.IntN(4) > 0 && !d.down[name]:
			members = append(members, name)
		case d.down[name]:
			lost = append(lost, name)
		}
	}
	if d.r.IntN(2) == 0 {
		d.decide(lost, members, d.proxies...)
		return
	}
	d.decide(lost, members, d.proxies[d.r.IntN(2)])
	d.wait(2, 40)
	if err := d.w.Tell(); err != nil {
		d.err = err
	}
}

// split has one proxy go on with a leaf that the other has left behind, and cannot reach.
func (d *driver) split() {
	leaf, one := d.leaf(), d.r.IntN(2)
	a, b := d.proxies[one], d.proxies[1-one]
	d.note("split: %s", leaf)
	a.Deafen(true)
	b.Cut(leaf, true)
	d.decide(nil, d.without(leaf), b)
	d.wait(20, 80)
	if d.r.IntN(2) == 0 { // the leaf is reached first
		b.Cut(leaf, false)
		d.wait(2, 20)
	}
	a.Deafen(false)
	if err := d.w.Tell(); err != nil {
		d.err = err
	}
	d.wait(2, 20)
	b.Cut(leaf, false)
}

// skip has one proxy go by a membership that the other has never heard of.
func (d *driver) skip() {
	one, leaf := d.r.IntN(2), d.leaf()
	a, b := d.proxies[one], d.proxies[1-one]
	d.note("skip: %s", leaf)
	d.decide(nil, d.without(leaf), d.proxies...)
	d.wait(2, 10)
	b.Deafen(true)
	d.decide(nil, d.without(""), a) // the leaf is back
	d.wait(10, 30)
	a.Deafen(true)
	b.Deafen(false)
	d.decide(nil, d.without(leaf), b)
	d.wait(20, 60)
	a.Deafen(false)
	if err := d.w.Tell(); err != nil {
		d.err = err
	}
}

// march has leaves come one after the other, while those from before the first change are still asked.
func (d *driver) march() {
	up := d.without("")
	d.r.Shuffle(len(up), func(i, j int) { up[i], up[j] = up[j], up[i] })
	d.w.Keep(false)
	for i := range up {
		d.decide(nil, up[:i+1], d.proxies...)
		d.w.Keep(i > 0)
		d.wait(5, 40)
	}
}

// flap takes a leaf out and in again.
func (d *driver) flap() {
	leaf := d.leaf()
	d.note("flap: %s", leaf)
	d.decide(nil, d.without(leaf), d.proxies...)
	d.wait(5, 60)
	d.decide(nil, d.without(""), d.proxies...)
}

// away has no proxy reach a leaf, takes it out, and in again when it is reached.
func (d *driver) away() {
	leaf := d.leaf()
	d.note("away: %s", leaf)
	for _, p := range d.proxies {
		p.Cut(leaf, true)
	}
	d.decide(nil, d.without(leaf), d.proxies...)
	d.wait(5, 60)
	for _, p := range d.proxies {
		p.Cut(leaf, false)
	}
	d.decide(nil, d.without(""), d.proxies...)
}

// kill ends a leaf, or brings one back; what owns its keys then may be decided later.
func (d *driver) kill() {
	leaf := d.leaf()
	if d.down[leaf] {
		d.start(leaf)
		return
	}
	d.note("killed: %s", leaf)
	d.w.Kill(leaf)
	d.down[leaf] = true
	switch d.r.IntN(3) {
	case 0:
		d.wait(2, 40)
		d.decide([]string{leaf}, d.without(leaf), d.proxies...)
	case 1:
		d.start(leaf) // nobody has noticed
	}
}

// start brings a leaf back.
func (d *driver) start(leaf string) {
	d.note("started: %s", leaf)
	d.down[leaf] = false
	if err := d.w.Start(leaf); err != nil {
		d.err = err
	}
}

// weather cuts or heals one link, or all.
func (d *driver) weather() {
	if d.r.IntN(2) == 0 {
		d.proxies[d.r.IntN(2)].Cut(d.leaf(), true)
		d.wait(5, 40)
	}
	for _, p := range d.proxies {
		for _, name := range leafNames {
			p.Cut(name, false)
		}
	}
}

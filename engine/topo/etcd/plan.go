// What the next membership of a pool is: a pure function of the last one, the registrations, and who still answers.

package etcd

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/topo"
)

// document is what lies in etcd at pools/<pool>: the membership, and what it takes to decide the next.
type document struct {
	topo.Snapshot

	// Term is until when Previous is worth keeping: WarmFor after its members stopped being the owners. A change before it keeps
	// Previous, a change after it takes the owners just replaced; WarmUntil may be later.
	Term time.Time `json:"previous_term,omitzero"`

	// Gone is who has been taken out without draining, and when, within GuardWindow: those who go one by one add up.
	Gone map[string]time.Time `json:"gone,omitempty"`

	// Held is who is a member without a registration: they answered when they were about to be taken out.
	Held []string `json:"held,omitempty"`
}

// missing gives the members of d that have no registration and have not drained.
func missing(d *document, regs map[string]topo.Member, drained map[string]bool) (names []string) {
	for _, m := range d.Members {
		if _, ok := regs[m.Name]; !ok && !drained[m.Name] {
			names = append(names, m.Name)
		}
	}
	return names
}

// suspicious reports whether taking those names out of d is to be looked into first: nothing would be left, or too much has gone at once.
func suspicious(d *document, names []string, regs map[string]topo.Member, now time.Time, o *Options) bool {
	if len(names) == 0 {
		return false
	}
	if slices.ContainsFunc(names, func(n string) bool { return slices.Contains(d.Held, n) }) {
		return true // they were, and what has come or gone since makes them no less so
	}
	left := 0
	for _, m := range regs {
		if m.State != topo.Draining {
			left++
		}
	}
	gone := 0
	for _, at := range d.Gone {
		if now.Sub(at) < o.GuardWindow {
			gone++
		}
	}
	return left == 0 || float64(len(names)+gone) > o.GuardShare*float64(len(d.Members)+gone)
}

// plan gives the document that fits the registrations, and whether it differs from d in what proxies go by. Of the members without a registration
// those in held are to stay, those in drained have gone in order, the others are lost. The epoch is the caller's.
func plan(d *document, regs map[string]topo.Member, drained map[string]bool, held []string, now time.Time, o *Options) (next document, changed bool) {
	next = document{Snapshot: topo.Snapshot{Pool: d.Pool, Since: d.Since, WarmUntil: d.WarmUntil, Lost: d.Lost}, Term: d.Term, Held: held}
	for _, m := range regs {
		if m.State != topo.Draining {
			next.Members = append(next.Members, m)
		}
	}
	for _, m := range d.Members {
		if slices.Contains(held, m.Name) {
			next.Members = append(next.Members, m)
		}
	}
	sortMembers(next.Members)
	lost := slices.DeleteFunc(missing(d, regs, drained), func(n string) bool { return slices.Contains(held, n) })
	next.Gone = gone(d, regs, lost, now, o)
	if sameOwners(d.Members, next.Members) {
		next.Previous = d.Previous
	} else {
		moved(&next, d, regs, lost, now, o)
	}
	next.Previous = refreshed(next.Previous, regs, next.Members)
	if len(next.Previous) == 0 || !next.Warms(now) || sameOwners(next.Previous, next.Members) {
		next.Previous, next.WarmUntil, next.Term = nil, time.Time{}, time.Time{}
	}
	was := d.Previous
	if !d.Warms(now) {
		was = nil // over, or never there: forgetting them is no news
	}
	changed = !slices.EqualFunc(d.Members, next.Members, alike) || !slices.EqualFunc(was, next.Previous, alike)
	return next, changed
}

// moved fills in who owned the keys before, when owners have changed from d to next.
//
// Previous must be a set of owners at which every write since has deleted: those just replaced are, and d's Previous is as long as d
// warms. No other set ever comes back. Of the two the older is kept while its term lasts: when leaves join one after the other, most keys that have
// not moved yet lie there. But if somebody drains who owned nothing then, his keys lie with the owners just replaced, and they are taken.
func moved(next, d *document, regs map[string]topo.Member, lost []string, now time.Time, o *Options) {
	next.Since = now
	keep := d.Warms(now) && now.Before(d.Term)
	for _, m := range d.Members {
		if r, ok := regs[m.Name]; ok && r.State == topo.Draining && find(d.Previous, m.Name) == nil {
			keep = false
		}
	}
	if keep {
		next.Previous = d.Previous
	} else {
		next.Previous, next.Lost, next.Term = d.Members, nil, now.Add(o.WarmFor)
	}
	next.WarmUntil = now.Add(o.WarmFor)
	next.Lost = append(slices.Clone(next.Lost), lost...)
	slices.Sort(next.Lost)
	next.Lost = slices.Compact(next.Lost)
}

// gone is who has been lost lately.
func gone(d *document, regs map[string]topo.Member, lost []string, now time.Time, o *Options) map[string]time.Time {
	g := maps.Clone(d.Gone)
	maps.DeleteFunc(g, func(name string, at time.Time) bool {
		_, back := regs[name]
		return back || now.Sub(at) >= o.GuardWindow
	})
	for _, name := range lost {
		if g == nil {
			g = map[string]time.Time{}
		}
		g[name] = now
	}
	return g
}

// refreshed gives the previous owners that are still there, each where it is now and with the weight it had: where keys lay goes by that.
func refreshed(previous []topo.Member, regs map[string]topo.Member, members []topo.Member) (out []topo.Member) {
	for _, m := range previous {
		now, ok := regs[m.Name]
		if !ok {
			held := find(members, m.Name)
			if held == nil {
				continue
			}
			now = *held
		}
		now.Weight = m.Weight
		out = append(out, now)
	}
	return out
}

func find(ms []topo.Member, name string) *topo.Member {
	for i := range ms {
		if ms[i].Name == name {
			return &ms[i]
		}
	}
	return nil
}

func sortMembers(ms []topo.Member) {
	slices.SortFunc(ms, func(a, b topo.Member) int { return strings.Compare(a.Name, b.Name) })
}

// sameOwners: every key has the same owner in a and in b.
func sameOwners(a, b []topo.Member) bool {
	return slices.EqualFunc(a, b, func(x, y topo.Member) bool { return x.Name == y.Name && weight(&x) == weight(&y) })
}

// alike: a proxy goes by both in the same way. State, memory and version are told with the next document that has another reason.
func alike(x, y topo.Member) bool {
	return x.Name == y.Name && weight(&x) == weight(&y) && x.Addr == y.Addr && x.Zone == y.Zone
}

func weight(m *topo.Member) float64 {
	if m.Weight == 0 {
		return 1
	}
	return m.Weight
}

// nextEpoch is higher than any epoch seen, and than those of an etcd that was wiped: it is a time.
func nextEpoch(now time.Time, seen ...uint64) uint64 {
	e := uint64(max(now.UnixMilli(), 1))
	for _, s := range seen {
		e = max(e, s+1)
	}
	return e
}

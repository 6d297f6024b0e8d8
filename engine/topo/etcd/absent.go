// Who is registered and not there: a leaf that no proxy reaches is taken out before its lease ends, and comes back when it answers.

package etcd

import (
	"maps"
	"slices"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/topo"
)

var _ topo.Informed = (*Source)(nil)

// Unreachable implements topo.Informed: others read it in this proxy's own key.
func (s *Source) Unreachable(pool string, members map[string]string) {
	if s.me == nil {
		return
	}
	s.me.update(func(p *ProxyInfo) bool {
		if maps.Equal(p.Unreachable[pool], members) {
			return false
		}
		next := maps.Clone(p.Unreachable)
		if next == nil {
			next = map[string]map[string]string{}
		}
		if next[pool] = members; len(members) == 0 {
			delete(next, pool)
		}
		p.Unreachable = next
		return true
	})
}

// unanimous is how long after a listing proxies are taken to have registered themselves again.
const unanimous = 2 * time.Second

// missedLocked reports whether every proxy that uses the pool says that it does not reach m where m is registered.
func (m *mirror) missedLocked(pool string, leaf topo.Member) bool {
	n := 0
	for _, p := range m.proxies {
		if _, uses := p.Applied[pool]; !uses {
			continue
		}
		if p.Unreachable[pool][leaf.Name] != leaf.Addr {
			return false
		}
		n++
	}
	return n > 0
}

// present takes those out of the registrations that are not there, and says when to look again; 0: nobody is missed. They are
//
//   - members that no proxy reaches, nor this one when it asks anew: as if their lease had ended. Not if that would be more than may be lost at
//     once, and not straight after a listing, when proxies may not be known that know better;
//   - those who have been lost, are registered again, or still, and do not answer: a leaf that reaches etcd and is reached by nobody.
func (s *Source) present(p *pool, d *document, regs map[string]topo.Member, drained map[string]bool, now time.Time) (absent []string, again time.Duration) {
	if s.o.Probe == nil {
		return nil, 0
	}
	var missed, lost []topo.Member
	s.mu.Lock()
	for _, m := range regs {
		_, was := d.Gone[m.Name]
		switch {
		case m.State == topo.Draining:
		case find(d.Members, m.Name) == nil:
			if was {
				lost = append(lost, m)
			}
		case !s.mirror.missedLocked(p.name, m):
		case !now.After(s.listedAt.Add(unanimous)): // nobody may say anything new when it is time
			again = s.listedAt.Add(unanimous).Sub(now) + time.Millisecond
		default:
			missed = append(missed, m)
		}
	}
	s.mu.Unlock()
	silent := func(ms []topo.Member) []topo.Member {
		there := s.answering(ms)
		return slices.DeleteFunc(ms, func(m topo.Member) bool { return slices.Contains(there, m.Name) })
	}
	asked := len(missed)+len(lost) > 0
	lost = silent(lost)
	missed = silent(missed)
	left := maps.Clone(regs)
	for _, m := range slices.Concat(lost, missed) {
		delete(left, m.Name)
	}
	if suspicious(d, missing(d, left, drained), left, now, &s.o) {
		missed = nil
	}
	for _, m := range slices.Concat(lost, missed) {
		delete(regs, m.Name)
		absent = append(absent, m.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !asked {
		p.absentFor = 0
		return nil, again
	}
	p.absentFor = min(max(p.absentFor*2, minHold), maxHold)
	if again == 0 || p.absentFor < again {
		again = p.absentFor
	}
	return absent, again
}

// remembered keeps those in mind who are absent, for as long as they are registered.
func (next *document) remembered(d *document, absent []string) {
	for _, name := range absent {
		at, ok := d.Gone[name]
		if _, is := next.Gone[name]; is || !ok {
			continue
		}
		if next.Gone == nil {
			next.Gone = map[string]time.Time{}
		}
		next.Gone[name] = at
	}
}

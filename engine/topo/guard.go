// The guard: a source that has lost its memory must not empty a pool whose members are all there.

package topo

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
)

// Probe reports whether a member answers now: a leaf its hello, a memcached server anything.
type Probe func(ctx context.Context, m Member) bool

// Suspicious reports whether a change from old to now loses so much at once that it is not simply believed: all members, or over a third of
// them. Draining members are not lost: they have said that they go.
func Suspicious(old, now []Member) bool {
	n := len(missing(old, now))
	return n > 0 && (len(now) == 0 || 3*n > len(old))
}

// missing are those of old whose names now does not have, less those that were draining.
func missing(old, now []Member) (lost []Member) {
	for _, m := range old {
		if m.State != Draining && !slices.ContainsFunc(now, func(n Member) bool { return n.Name == m.Name }) {
			lost = append(lost, m)
		}
	}
	return lost
}

// Guard gives now, and with it those members that it loses and that answer all the same, if it is Suspicious; kept are how many these are.
// Without a probe nothing is kept. Members are in the order of their names.
func Guard(ctx context.Context, probe Probe, old, now []Member) (guarded []Member, kept int) {
	if probe == nil || !Suspicious(old, now) {
		return now, 0
	}
	lost := missing(old, now)
	answers := make([]bool, len(lost))
	var all sync.WaitGroup
	for i := range lost {
		all.Go(func() { answers[i] = probe(ctx, lost[i]) })
	}
	all.Wait()
	guarded = slices.Clone(now)
	for i, m := range lost {
		if answers[i] {
			guarded = append(guarded, m)
			kept++
		}
	}
	byName(guarded)
	return guarded, kept
}

func byName(ms []Member) {
	slices.SortFunc(ms, func(a, b Member) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Addr, b.Addr)) })
}

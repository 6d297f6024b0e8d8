// A row is measured: its contenders start, take turns, and end.

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// outcome is what came of a row.
type outcome struct {
	row     row
	names   []string   // of those who took part, the subject first
	results [][]result // of each of them, round by round
	peer    int        // who the subject is compared with; 0: nobody
	named   bool       // the peer is one that the row's aims are about, not one in its place
	direct  int        // who has no proxy, in the open loop; 0: nobody
	skipped string     // why nothing was measured
	err     error
}

// measure runs a row.
func (b *bench) measure(ctx context.Context, r row) (o outcome) {
	o.row = r
	b.conns = r.shape.conns + r.idle + 100
	if err := allowFiles(b.conns + 900); err != nil {
		o.skipped = err.Error()
		return o
	}
	var ps procs
	defer ps.stop()
	cs, err := b.field(ctx, &o, &ps)
	if err != nil || len(cs) == 0 {
		o.err = err
		return o
	}
	if r.prepare != nil {
		if cs, err = r.prepare(ctx, b, &o, cs); err != nil {
			o.err = err
			return o
		}
	}
	o.results = make([][]result, len(cs))
	for round := range b.s.rounds {
		for _, i := range order(len(cs), round) {
			fmt.Fprintf(os.Stderr, "%s: round %d of %d: %s\n", r.name, round+1, b.s.rounds, cs[i].kind.name)
			res, err := r.turn(ctx, b, &o.row, cs[i], round)
			if err != nil {
				o.err = fmt.Errorf("cannot measure %s: %w", cs[i].kind.name, err)
				return o
			}
			o.results[i] = append(o.results[i], res)
		}
	}
	if o.direct > 0 {
		addedTo(o.results, o.direct)
	}
	o.choosePeer()
	return o
}

// order is the turns of a round: each round begins with another, so that nobody is always the one after somebody.
func order(n, round int) (out []int) {
	for i := range n {
		out = append(out, (i+round)%n)
	}
	return out
}

// field starts the row's contenders, the subject first. Without the subject there are none; without peers those in their place take part.
func (b *bench) field(ctx context.Context, o *outcome, ps *procs) (cs []contender, err error) {
	start := func(k kind) (there bool, err error) {
		c, err := k.start(b, ctx, ps)
		switch {
		case errors.Is(err, errMissing):
			if len(cs) == 0 {
				o.skipped = err.Error()
			}
			return false, nil
		case err != nil:
			return false, fmt.Errorf("cannot start %s: %w", k.name, err)
		}
		c.kind = k
		cs, o.names = append(cs, c), append(o.names, k.name)
		return true, nil
	}
	there, err := start(o.row.subject)
	if err != nil || !there {
		return nil, err
	}
	for _, k := range o.row.peers {
		there, err := start(k)
		if err != nil {
			return nil, err
		}
		o.named = o.named || there
	}
	beside := o.row.beside
	if !o.named && len(beside) == 0 {
		beside = o.row.instead
	}
	for _, k := range beside {
		if _, err := start(k); err != nil {
			return nil, err
		}
	}
	return cs, nil
}

// choosePeer takes the best of the peers, by the median of the row's first measure; without any, who was in their place.
func (o *outcome) choosePeer() {
	m := o.row.measures[0]
	for i := 1; i < len(o.names); i++ {
		if i == o.direct || o.named && i > len(o.row.peers) {
			continue
		}
		if o.peer == 0 || m.better(median(values(o.results[i], m.of)), median(values(o.results[o.peer], m.of))) {
			o.peer = i
		}
	}
}

// better: a is better than b.
func (m measure) better(a, b float64) bool {
	if m.less {
		return a < b
	}
	return a > b
}

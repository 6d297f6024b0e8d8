// The open loop: what a proxy adds to the latency, and takes of a processor, at a rate that all can hold.

package main

import (
	"context"
	"fmt"
	"math"
	"os"
)

// direct stands for one of the memcached servers, spoken to without a proxy.
var direct = kind{name: "no proxy, one memcached"}

// halfOfTop finds the rate, which is half of what the best of the peers answers in a closed loop (half of the subject's own, if there
// is no peer).
func halfOfTop(ctx context.Context, b *bench, o *outcome, cs []contender) ([]contender, error) {
	from := cs[1:]
	if len(from) == 0 {
		from = cs
	}
	top := 0.0
	for _, c := range from {
		fmt.Fprintf(os.Stderr, "%s: top rate of %s\n", o.row.name, c.kind.name)
		res, err := closedTurn(ctx, b, &o.row, c, 0)
		if err != nil {
			return nil, fmt.Errorf("cannot measure %s: %w", c.kind.name, err)
		}
		top = max(top, res.PerSecond)
	}
	o.row.shape.rate = math.Round(top / 2)
	return cs, nil
}

// besideDirect is halfOfTop, and has a connection without a proxy take part.
func besideDirect(ctx context.Context, b *bench, o *outcome, cs []contender) ([]contender, error) {
	cs, err := halfOfTop(ctx, b, o, cs)
	o.direct = len(cs)
	o.names = append(o.names, direct.name)
	return append(cs, contender{kind: direct, addr: b.servers[0]}), err
}

// openTurn is the row's load at its rate; of that the one server without a proxy gets its own share.
func openTurn(ctx context.Context, b *bench, r *row, c contender, round int) (result, error) {
	s := r.shape
	if c.proc == nil {
		s.rate = math.Round(s.rate / backends)
	}
	return b.load(ctx, s, c, round, b.s.duration)
}

// addedTo fills in what everybody's p99 is above that of direct in the same round.
func addedTo(results [][]result, direct int) {
	for i := range results {
		for round := range results[i] {
			if i != direct {
				results[i][round].Added = results[i][round].P99 - results[direct][round].P99
			}
		}
	}
}

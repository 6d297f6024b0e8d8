// A gutter: a pool of which one backend dies and comes back with nothing, or hangs and comes back with what it had.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// guarded is a way to bear the loss of one backend of four.
type guarded struct {
	name  string
	route string
	true  bool // whether no delete that was confirmed may come to nothing
	least bool // whether it is to save 99 % of the errors of the first
}

var guards = []guarded{
	{name: "`route_direct`, sharded", route: `route_direct{ child = "main" }`, true: true},
	{name: "`route_failover` to the neighbour", route: `route_failover{ children = { "main", "next" } }`},
	{name: "the same, `deletes = \"all\"`", route: `route_failover{ children = { "main", "next" }, deletes = "all" }`, true: true},
	{name: "`route_gutter`", route: `route_gutter{ child = "main", gutter = "spare", ttl = 10 }`, true: true, least: true},
}

const (
	mains     = 4    // backends of the pool
	rowsOfAll = 4000 // rows of the database
	lives     = 300  // seconds
	batch     = 100
	updates   = 20   // a second
	failures  = 0.01 // what is left of them with a gutter, as of Facebook's
)

// phases of a turn, of the same length: before the fault, the first second of it, the rest, and afterwards.
var phases = []string{"well", "first second", "while it is away", "when it is back"}

// fault is how a backend goes and comes back.
type fault struct {
	what  string
	leave func(*server) error
	back  func(context.Context, *server, string) error
}

var faults = []fault{
	{"is killed, and comes back empty", func(s *server) error { s.kill(); return nil },
		func(ctx context.Context, s *server, binary string) error { return s.again(ctx, binary) }},
	{"hangs, and comes back with what it had", (*server).hang, func(_ context.Context, s *server, _ string) error { return s.wake() }},
}

func gutters(ctx context.Context, s *settings, w io.Writer) error {
	fmt.Fprintf(w, "\n| | | hits | errors | queries/s | p50 | p99 | deletes refused | stale values |\n|---|---|---|---|---|---|---|---|---|\n")
	var all error
	for _, f := range faults {
		turns := make([][]*app, len(guards))
		for round := range s.rounds {
			for i := range guards {
				i = (i + round) % len(guards)
				a, err := f.turn(ctx, s, guards[i])
				if err != nil {
					return fmt.Errorf("a backend %s, %s: %w", f.what, guards[i].name, err)
				}
				turns[i] = append(turns[i], a)
			}
		}
		fmt.Fprintf(w, "| **one of four %s** | | | | | | | | |\n", f.what)
		for i, g := range guards {
			gutterLines(w, g.name, s, turns[i])
			for _, a := range turns[i] {
				if n := total(a, func(t *tally) int64 { return t.stale.Load() }); g.true && n > 0 {
					all = errors.Join(all, fmt.Errorf("%s %w: %d stale values", g.name, errMissed, n))
				}
			}
			if lost := func(a *app) float64 { return float64(total(a, func(t *tally) int64 { return t.errors.Load() })) }; g.least &&
				median(turns[i], lost) > failures*median(turns[0], lost) {
				all = errors.Join(all, fmt.Errorf("%s %w: %.0f errors, want at most 1 %% of %.0f", g.name, errMissed,
					median(turns[i], lost), median(turns[0], lost)))
			}
		}
	}
	return all
}

func total(a *app, of func(*tally) int64) (sum int64) {
	for i := range a.tally {
		sum += of(&a.tally[i])
	}
	return sum
}

// turn loads one route through all phases, over processes of its own.
func (f *fault) turn(ctx context.Context, s *settings, g guarded) (*app, error) {
	main, err := startTier(ctx, s.tidepool, mains)
	if err != nil {
		return nil, err
	}
	defer main.stop()
	spare, err := startTier(ctx, s.tidepool, 1)
	if err != nil {
		return nil, err
	}
	defer spare.stop()
	p, err := startProxy(ctx, s.tidepool, fmt.Sprintf(`settings{ backend_options = { connecttimeout = 1, readtimeout = 0.25 } }
pools{ main = { backends = %s }, next = { backends = %s }, spare = { backends = %s } }
routes{ default = %s }
`, main.list(0), main.list(1), spare.list(0), g.route))
	if err != nil {
		return nil, err
	}
	defer p.kill()
	a := newApp(p.addr, rowsOfAll, s.query, lives, len(phases))
	a.keyOf = zipf(rowsOfAll, 1.01)
	if err := a.warm(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 2)
	go func() { done <- a.clients(ctx, s.conns, s.rate) }()
	go func() { done <- a.updates(ctx) }()
	err = a.through(ctx, s.duration, func() error { return f.leave(main[0]) }, func() error { return f.back(ctx, main[0], s.tidepool) })
	stop()
	return a, errors.Join(err, <-done, <-done)
}

// warm stores every row, some at a time.
func (a *app) warm() error {
	c, err := dial(a.addr)
	if err != nil {
		return err
	}
	defer c.c.Close()
	for n := 0; n < len(a.db.rows); n += batch {
		text := ""
		for i := n; i < min(n+batch, len(a.db.rows)); i++ {
			text += setting(key(i), value(key(i), 0), a.ttl)
		}
		if _, err := io.WriteString(c.c, text); err != nil {
			return fmt.Errorf("cannot fill the cache: %w", err)
		}
		for range min(batch, len(a.db.rows)-n) {
			if line, err := c.line(); err != nil || line != "STORED" {
				return fmt.Errorf("cannot fill the cache: %q, %w", line, err)
			}
		}
	}
	return nil
}

// through goes from phase to phase.
func (a *app) through(ctx context.Context, each time.Duration, leave, back func() error) error {
	for i, length := range []time.Duration{each, min(each, time.Second), each, each} {
		switch i {
		case 1:
			if err := leave(); err != nil {
				return err
			}
		case 3:
			if err := back(); err != nil {
				return err
			}
		}
		a.phase.Store(int32(i))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(length):
		}
	}
	return nil
}

// updates changes rows, one after the other at their rate, each in its own time.
func (a *app) updates(ctx context.Context) error {
	tick := time.NewTicker(time.Second / updates)
	defer tick.Stop()
	free := make(chan *conn, 1000)
	under := make(chan error, 1000)
	n := 0
	for ; ; n++ {
		select {
		case <-ctx.Done():
			return drain(under, free, n)
		case <-tick.C:
		}
		var c *conn
		select {
		case c = <-free:
		default:
			var err error
			if c, err = dial(a.addr); err != nil {
				return errors.Join(err, drain(under, free, n))
			}
		}
		go func(row int) {
			err := a.update(ctx, c, row)
			free <- c
			under <- err
		}(rand.IntN(rowsOfAll / 4)) // of those that are read more often
	}
}

// drain waits for n updates.
func drain(under chan error, free chan *conn, n int) (err error) {
	for range n {
		err = errors.Join(err, <-under)
	}
	close(free)
	for c := range free {
		c.c.Close()
	}
	return err
}

// gutterLines writes a line for each phase.
func gutterLines(w io.Writer, name string, s *settings, turns []*app) {
	for i, phase := range phases {
		length := s.duration
		if i == 1 {
			length = min(length, time.Second)
		}
		of := func(get func(*tally) float64) float64 {
			return median(turns, func(a *app) float64 { return get(&a.tally[i]) })
		}
		most := func(get func(*tally) int64) float64 {
			_, most := spread(turns, func(a *app) float64 { return float64(get(&a.tally[i])) })
			return most
		}
		fmt.Fprintf(w, "| %s | %s | %.1f %% | %.2f %% | %.0f | %.1f ms | %.1f ms | %.0f of %.0f | %.0f |\n", name, phase,
			100*of((*tally).hits), 100*of(func(t *tally) float64 { return t.share(&t.errors) }),
			of(func(t *tally) float64 { return float64(t.queries.Load()) / length.Seconds() }),
			of(func(t *tally) float64 { return at(t.answered, 0.5) }), of(func(t *tally) float64 { return at(t.answered, 0.99) }),
			of(func(t *tally) float64 { return float64(t.refused.Load()) }), of(func(t *tally) float64 { return float64(t.deletes.Load()) }),
			most(func(t *tally) int64 { return t.stale.Load() }))
		name = ""
	}
}

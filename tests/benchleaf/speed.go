// What a get and a set cost the cache's process.

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/traces"
)

// speedKeys all fit.
const speedKeys = 200_000

// turn is one measurement.
type turn struct {
	perSecond float64
	cpu       float64 // µs of the cache's process per request
}

func measureSpeed(ctx context.Context, s *settings) error {
	fmt.Printf("speed: uniform gets that all hit, and sets, of %d keys; medians of %d turns of %v; CPU of the cache's process\n", speedKeys, s.rounds, s.speed)
	fmt.Printf("  %-12s %12s %12s %12s %12s\n", "", "gets/s", "CPU µs/get", "sets/s", "CPU µs/set")
	caches := map[string]*cache{}
	turns := map[string][2][]turn{}
	for _, kind := range s.kinds() {
		c, err := s.start(ctx, kind)
		if err != nil {
			return err
		}
		defer c.stop()
		caches[kind] = c
		if err := c.with(ctx, func(ctx context.Context, worker int, cl *client) error {
			k := uint64(worker)
			_, err := cl.setAll(ctx, speedKeys/workers, func() uint64 { k += workers; return k - workers })
			return err
		}); err != nil {
			return err
		}
	}
	for range s.rounds {
		for _, kind := range s.kinds() {
			both := turns[kind]
			for i, set := range []bool{false, true} {
				t, err := speedTurn(ctx, s, caches[kind], set)
				if err != nil {
					return fmt.Errorf("cannot measure %s: %w", kind, err)
				}
				both[i] = append(both[i], t)
			}
			turns[kind] = both
		}
	}
	for _, kind := range s.kinds() {
		get, set := medianTurn(turns[kind][0]), medianTurn(turns[kind][1])
		fmt.Printf("  %-12s %12.0f %12.2f %12.0f %12.2f\n", kind, get.perSecond, get.cpu, set.perSecond, set.cpu)
	}
	fmt.Println()
	return nil
}

func speedTurn(ctx context.Context, s *settings, c *cache, set bool) (t turn, err error) {
	before, err := c.CPU()
	if err != nil {
		return t, err
	}
	counts := make([]int, workers)
	start := time.Now()
	uniform, err := traces.Find("uniform")
	if err != nil {
		return t, err
	}
	err = c.with(ctx, func(ctx context.Context, worker int, cl *client) error {
		next, keys := uniform.Start(uint64(worker), speedKeys, 0), make([]uint64, inFlight)
		for time.Since(start) < s.speed && ctx.Err() == nil {
			for i := range keys {
				keys[i] = next()
			}
			ok, err := cl.ask(set, keys)
			if err != nil {
				return err
			}
			if slices.Contains(ok, false) {
				return fmt.Errorf("of keys %d some were missed or not stored", keys)
			}
			counts[worker] += len(keys)
		}
		return ctx.Err()
	})
	took := time.Since(start)
	after, err2 := c.CPU()
	if err == nil {
		err = err2
	}
	n := 0
	for _, k := range counts {
		n += k
	}
	return turn{float64(n) / took.Seconds(), float64((after - before).Microseconds()) / float64(max(1, n))}, err
}

func medianTurn(ts []turn) turn {
	of := func(f func(turn) float64) float64 {
		var all []float64
		for _, t := range ts {
			all = append(all, f(t))
		}
		slices.Sort(all)
		return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	}
	return turn{of(func(t turn) float64 { return t.perSecond }), of(func(t turn) float64 { return t.cpu })}
}

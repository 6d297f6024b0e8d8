// Hit ratios and resident memory: the cache is read through, a miss sets the key.

package main

import (
	"context"
	"fmt"
	"sync"
)

// An item with 16 bytes of key and 100 of value takes memcached 168 bytes, in chunks of 184 or 192; the traces have ten times
// as many keys as fit then.
const bytesPerItem = 184

func (s *settings) capacity() int { return s.memory << 20 / bytesPerItem }

func measureHits(ctx context.Context, s *settings) error {
	keys := 10 * s.capacity()
	fmt.Printf("hits per get, and resident MiB at the end: %d keys, about a tenth fits; %d gets, the second half counts\n", keys, 2*keys)
	fmt.Printf("  %-52s", "")
	for _, kind := range s.kinds() {
		fmt.Printf(" %10s %6s", kind, "RSS")
	}
	fmt.Println()
	for _, t := range s.traces {
		fmt.Printf("  %-52s", t.What)
		for _, kind := range s.kinds() {
			ratio, rss, err := s.readThrough(ctx, kind, t.Start(s.seed, keys, 2*keys), 2*keys)
			if err != nil {
				return fmt.Errorf("cannot measure %s on %s: %w", kind, t.Name, err)
			}
			fmt.Printf(" %10.4f %6d", ratio, rss>>20)
		}
		fmt.Println()
	}
	fmt.Println()
	return nil
}

// readThrough gives a cache the whole trace, which its connections share.
func (s *settings) readThrough(ctx context.Context, kind string, next func() uint64, total int) (ratio float64, rss int64, err error) {
	c, err := s.start(ctx, kind)
	if err != nil {
		return 0, 0, err
	}
	defer c.stop()
	var mu sync.Mutex // of the rest
	asked, hits, counted := 0, 0, 0
	err = c.with(ctx, func(ctx context.Context, _ int, cl *client) error {
		keys, missed := make([]uint64, inFlight), make([]uint64, 0, inFlight)
		for ctx.Err() == nil {
			mu.Lock()
			counts := asked >= total/2
			if asked >= total {
				mu.Unlock()
				return nil
			}
			for i := range keys {
				keys[i] = next()
			}
			asked += len(keys)
			mu.Unlock()
			hit, err := cl.ask(false, keys)
			if err != nil {
				return err
			}
			missed = missed[:0]
			for i, h := range hit {
				if !h {
					missed = append(missed, keys[i])
				}
			}
			if counts {
				mu.Lock()
				counted += len(keys)
				hits += len(keys) - len(missed)
				mu.Unlock()
			}
			if len(missed) == 0 {
				continue
			}
			if _, err := cl.ask(true, missed); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return 0, 0, err
	}
	rss, err = c.RSS()
	return float64(hits) / float64(counted), rss, err
}

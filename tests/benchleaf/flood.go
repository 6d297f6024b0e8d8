// What a flood of new keys leaves: of the hot keys, and of the newest.

package main

import (
	"context"
	"fmt"
	"sync/atomic"
)

// left is what a flood has left.
type left struct {
	hot     float64 // share of the hot keys
	newest  int     // newest keys in an unbroken row, exact to a block
	refused int64   // sets that were not stored
	rss     int64
}

// block is how many of the newest keys are asked for together.
const block = 1000

func measureFlood(ctx context.Context, s *settings) error {
	fmt.Printf("flood: a tenth of memory is read five times, then twice the memory of new keys is set; what is still there then\n")
	fmt.Printf("  %-12s %10s %34s %14s %8s\n", "", "hot keys", "newest keys without a gap", "sets refused", "RSS MiB")
	for _, kind := range s.kinds() {
		l, err := s.flooded(ctx, kind)
		if err != nil {
			return fmt.Errorf("cannot flood %s: %w", kind, err)
		}
		share := 100 * float64(l.newest) * bytesPerItem / float64(s.memory<<20)
		fmt.Printf("  %-12s %9.1f%% %17d (%4.1f%% of memory) %14d %8d\n", kind, 100*l.hot, l.newest, share, l.refused, l.rss>>20)
	}
	return nil
}

func (s *settings) flooded(ctx context.Context, kind string) (l left, err error) {
	c, err := s.start(ctx, kind)
	if err != nil {
		return l, err
	}
	defer c.stop()
	hot := s.capacity() / 10
	if _, err := c.set(ctx, 0, hot); err != nil {
		return l, err
	}
	for range 5 {
		if _, err := c.count(ctx, 0, hot); err != nil {
			return l, err
		}
	}
	const first = 1 << 32
	flood := 2 * s.capacity() / (workers * block) * (workers * block)
	if l.refused, err = c.set(ctx, first, flood); err != nil {
		return l, err
	}
	for l.newest < flood { // backwards, so that asking for one does not save those asked for next
		n, err := c.count(ctx, first+flood-l.newest-block, block)
		if err != nil {
			return l, err
		}
		if l.newest += int(n); n < block {
			break
		}
	}
	there, err := c.count(ctx, 0, hot)
	if err != nil {
		return l, err
	}
	l.hot = float64(there) / float64(hot)
	l.rss, err = c.RSS()
	return l, err
}

// set sets n keys from first on, in order, and says how many were refused.
func (c *cache) set(ctx context.Context, first, n int) (int64, error) {
	var at, refused atomic.Int64
	err := c.with(ctx, func(ctx context.Context, _ int, cl *client) error {
		r, err := cl.setAll(ctx, n/workers, func() uint64 { return uint64(first) + uint64(at.Add(1)) - 1 })
		refused.Add(r)
		return err
	})
	return refused.Load(), err
}

// count reads n keys from first on and says how many are there.
func (c *cache) count(ctx context.Context, first, n int) (int64, error) {
	var at, hits atomic.Int64
	err := c.with(ctx, func(ctx context.Context, _ int, cl *client) error {
		keys := make([]uint64, 0, inFlight)
		for ctx.Err() == nil {
			from := int(at.Add(inFlight)) - inFlight
			keys = keys[:0]
			for k := from; k < min(n, from+inFlight); k++ {
				keys = append(keys, uint64(first+k))
			}
			if len(keys) == 0 {
				return nil
			}
			hit, err := cl.ask(false, keys)
			if err != nil {
				return err
			}
			for _, h := range hit {
				if h {
					hits.Add(1)
				}
			}
		}
		return ctx.Err()
	})
	return hits.Load(), err
}

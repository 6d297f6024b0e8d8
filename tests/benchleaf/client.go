// A client: batches of gets or sets by key numbers.

package main

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/tests/traces"
)

// client is a connection and what it needs again and again. It belongs to one goroutine.
type client struct {
	conn
	text []byte
	reqs []mc.Request
	hit  []bool
}

// with runs f with a client of its own in as many goroutines as there are workers.
func (c *cache) with(ctx context.Context, f func(ctx context.Context, worker int, cl *client) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range workers {
		g.Go(func() error {
			nc, err := c.dial()
			if err != nil {
				return err
			}
			defer nc.close()
			return f(ctx, i, &client{conn: nc, hit: make([]bool, inFlight)})
		})
	}
	return g.Wait()
}

var value = strings.Repeat("v", valueSize)

// ask gets, or sets, at most inFlight keys, and says of each whether it was there, or stored. The result is valid until the next call.
func (c *client) ask(set bool, keys []uint64) ([]bool, error) {
	c.text, c.reqs = c.text[:0], c.reqs[:0]
	for _, k := range keys {
		if set {
			c.text = append(traces.AppendKey(append(c.text, "set "...), k), fmt.Sprintf(" 0 0 %d\r\n%s\r\n", valueSize, value)...)
		} else {
			c.text = append(traces.AppendKey(append(c.text, "get "...), k), "\r\n"...)
		}
	}
	var p mc.Parser
	for rest := c.text; len(rest) > 0; {
		c.reqs = append(c.reqs, mc.Request{})
		n, _, err := p.Next(rest, &mc.Rules{MaxValue: valueSize}, &c.reqs[len(c.reqs)-1])
		if err != nil {
			return nil, fmt.Errorf("cannot parse %.40q: %w", rest, err)
		}
		rest = rest[n:]
	}
	return c.hit[:len(keys)], c.do(c.reqs, c.hit)
}

// setAll sets the n keys that next gives, and says how many were refused: memcached does when its memory fills faster than it
// frees any.
func (c *client) setAll(ctx context.Context, n int, next func() uint64) (refused int64, err error) {
	keys := make([]uint64, 0, inFlight)
	for i := range n {
		if keys = append(keys, next()); len(keys) < inFlight && i < n-1 {
			continue
		}
		stored, err := c.ask(true, keys)
		if err != nil {
			return refused, err
		}
		for _, ok := range stored {
			if !ok {
				refused++
			}
		}
		if keys = keys[:0]; ctx.Err() != nil {
			return refused, ctx.Err()
		}
	}
	return refused, nil
}

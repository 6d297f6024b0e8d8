// Get, and the flights that callers of one key share.

package client

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/face/wire"
)

// flight is a request for one key, and those who wait for it.
type flight struct {
	done   chan struct{} // closed when item and err are there
	cancel context.CancelFunc
	item   Item
	err    error

	// Guarded by Client.mu.
	waiting int  // callers; the last one to leave ends the flight
	taken   bool // somebody has the item's own bytes
}

// Get gives an item, or ErrMiss. Callers who ask for the same key at the same time share one request; each has bytes of its own, and one
// whose context ends leaves the others be.
func (c *Client) Get(ctx context.Context, key string) (Item, error) {
	if err := ctx.Err(); err != nil {
		return Item{}, tell(wire.OpGet, key, err)
	}
	f, err := c.join(key)
	if err != nil {
		return Item{}, tell(wire.OpGet, key, err)
	}
	select {
	case <-f.done:
		item, err := c.leave(key, f, true)
		return item, tell(wire.OpGet, key, err)
	case <-ctx.Done():
		_, _ = c.leave(key, f, false)
		return Item{}, tell(wire.OpGet, key, ctx.Err())
	}
}

// GetAndTouch is Get and gives the item another TTL. It shares with nobody.
func (c *Client) GetAndTouch(ctx context.Context, key string, ttl time.Duration) (Item, error) {
	h := header(wire.OpGet)
	h[wire.TTL] = number(0)
	m, err := c.write(ctx, key, nil, h, ttl, wire.StatusHit)
	if err != nil {
		return Item{}, err
	}
	item, err := readItem(m)
	return item, tell(wire.OpGet, key, err)
}

// join gives the flight for a key, the one that is under way or a new one.
func (c *Client) join(key string) (*flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, errClosed)
	}
	f := c.flights[key]
	if f == nil {
		// A life of its own: that of its first caller may end before the others'. send bounds it, so that callers who come
		// again and again do not keep one alive whose answer was lost.
		ctx, cancel := context.WithCancel(context.Background())
		f = &flight{done: make(chan struct{}), cancel: cancel}
		c.flights[key] = f
		c.running.Go(func() { c.fly(ctx, key, f) })
	}
	f.waiting++
	return f, nil
}

// fly is a flight's goroutine.
func (c *Client) fly(ctx context.Context, key string, f *flight) {
	defer f.cancel()
	m, err := c.send(ctx, key, nil, header(wire.OpGet), 0)
	if err == nil {
		err = outcome(m, wire.StatusHit)
	}
	if err == nil {
		f.item, err = readItem(m)
	}
	f.err = err
	c.mu.Lock()
	c.removeLocked(key, f)
	c.mu.Unlock()
	close(f.done)
}

// leave ends a caller's part in a flight; landed says that its item is wanted.
func (c *Client) leave(key string, f *flight, landed bool) (Item, error) {
	c.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last {
		c.removeLocked(key, f) // nobody joins what is about to end
	}
	first := landed && !f.taken
	f.taken = f.taken || landed
	c.mu.Unlock()
	if last {
		f.cancel()
	}
	if !landed {
		return Item{}, nil
	}
	item := f.item
	if !first {
		item.Value = bytes.Clone(item.Value)
		item.Won = false // one is to renew it, not all who asked at once
	}
	return item, f.err
}

// removeLocked takes a flight out of the list, if it is still there.
func (c *Client) removeLocked(key string, f *flight) {
	if c.flights[key] == f {
		delete(c.flights, key)
	}
}

// forget sees to it that nobody joins a flight that has begun.
func (c *Client) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, key)
}

// readItem reads a hit.
func readItem(m *nats.Msg) (Item, error) {
	i := Item{Value: m.Data}
	var numbers [3]uint64
	for at, name := range [...]string{wire.Flags, wire.CAS, wire.TTL} {
		s := m.Header.Get(name)
		if s == "" {
			continue
		}
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return i, fmt.Errorf("%w: header %q of the answer: %w", ErrServer, name, err)
		}
		numbers[at] = n
	}
	i.Flags, i.CAS, i.TTL = uint32(numbers[0]), numbers[1], time.Duration(numbers[2])*time.Second
	stale := m.Header.Get(wire.Stale)
	i.Stale, i.Won = stale != "", stale == wire.Won
	return i, nil
}

// The operations that change something, and how any operation is sent.

package client

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/face/wire"
)

// Item is a value and what is kept with it.
type Item struct {
	Value []byte
	Flags uint32        // the application's own
	TTL   time.Duration // from now; 0: never expires. A part of a second counts as a whole one.
	CAS   uint64        // set by Get; CAS stores only if the item still has it

	// Set by Get: the item was invalidated, and is still here for those who would rather have an old value than none. Won: the
	// caller is the one who is to store a new one.
	Stale, Won bool
}

// Set stores an item.
func (c *Client) Set(ctx context.Context, key string, i Item) error {
	return c.store(ctx, wire.OpSet, key, &i, 0)
}

// Add stores an item if there is none: else ErrNotStored.
func (c *Client) Add(ctx context.Context, key string, i Item) error {
	return c.store(ctx, wire.OpAdd, key, &i, 0)
}

// Replace stores an item if there is one: else ErrNotStored.
func (c *Client) Replace(ctx context.Context, key string, i Item) error {
	return c.store(ctx, wire.OpReplace, key, &i, 0)
}

// CAS stores an item if it is the one that Get returned with i.CAS: ErrExists if it has changed, ErrMiss if it is gone.
func (c *Client) CAS(ctx context.Context, key string, i Item) error {
	return c.store(ctx, wire.OpCAS, key, &i, i.CAS)
}

func (c *Client) store(ctx context.Context, op, key string, i *Item, cas uint64) error {
	h := header(op)
	if i.Flags != 0 {
		h[wire.Flags] = number(uint64(i.Flags))
	}
	if op == wire.OpCAS {
		h[wire.CAS] = number(cas)
	}
	_, err := c.write(ctx, key, i.Value, h, i.TTL, wire.StatusStored)
	return err
}

// Del removes an item: ErrMiss if there is none.
func (c *Client) Del(ctx context.Context, key string) error {
	_, err := c.write(ctx, key, nil, header(wire.OpDel), 0, wire.StatusDeleted)
	return err
}

// DelCAS removes an item if it is the one that Get returned with cas: ErrExists if it has changed.
func (c *Client) DelCAS(ctx context.Context, key string, cas uint64) error {
	h := header(wire.OpDel)
	h[wire.CAS] = number(cas)
	_, err := c.write(ctx, key, nil, h, 0, wire.StatusDeleted)
	return err
}

// Touch gives an item another TTL; 0: it never expires.
func (c *Client) Touch(ctx context.Context, key string, ttl time.Duration) error {
	h := header(wire.OpTouch)
	h[wire.TTL] = number(0)
	_, err := c.write(ctx, key, nil, h, ttl, wire.StatusTouched)
	return err
}

// Incr adds to the number that an item holds and gives what it is then; beyond 64 bits it begins at 0 again.
func (c *Client) Incr(ctx context.Context, key string, by uint64) (uint64, error) {
	return c.count(ctx, header(wire.OpIncr), key, by, 0)
}

// Decr subtracts; it ends at 0.
func (c *Client) Decr(ctx context.Context, key string, by uint64) (uint64, error) {
	return c.count(ctx, header(wire.OpDecr), key, by, 0)
}

// IncrFrom is Incr, but where there is no item makes one that holds initial. The item has ttl from now on; 0: as it has.
func (c *Client) IncrFrom(ctx context.Context, key string, by, initial uint64, ttl time.Duration) (uint64, error) {
	h := header(wire.OpIncr)
	h[wire.Initial] = number(initial)
	return c.count(ctx, h, key, by, ttl)
}

// DecrFrom is Decr as IncrFrom is Incr.
func (c *Client) DecrFrom(ctx context.Context, key string, by, initial uint64, ttl time.Duration) (uint64, error) {
	h := header(wire.OpDecr)
	h[wire.Initial] = number(initial)
	return c.count(ctx, h, key, by, ttl)
}

func (c *Client) count(ctx context.Context, h nats.Header, key string, by uint64, ttl time.Duration) (uint64, error) {
	m, err := c.write(ctx, key, strconv.AppendUint(nil, by, 10), h, ttl, wire.StatusStored)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(m.Data), 10, 64)
	if err != nil {
		return 0, tell(h.Get(wire.Op), key, fmt.Errorf("%w: the answer is no number: %w", ErrServer, err))
	}
	return n, nil
}

// write sends an operation that may change the item. Gets that are under way may have read the old one: none joins them any more.
func (c *Client) write(ctx context.Context, key string, value []byte, h nats.Header, ttl time.Duration, want string) (*nats.Msg, error) {
	defer c.forget(key)
	m, err := c.send(ctx, key, value, h, ttl)
	if err == nil {
		err = outcome(m, want)
	}
	return m, tell(h.Get(wire.Op), key, err)
}

// send sends an operation and waits for its answer.
func (c *Client) send(ctx context.Context, key string, value []byte, h nats.Header, ttl time.Duration) (*nats.Msg, error) {
	if err := wire.CheckKey(key); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	if ttl != 0 {
		seconds, err := wholeSeconds(ttl)
		if err != nil {
			return nil, err
		}
		h[wire.TTL] = number(seconds)
	}
	m := &nats.Msg{Data: value, Header: h}
	var encoded string
	if m.Subject, encoded = wire.Subject(c.o.Prefix, key); encoded != "" {
		h[wire.Key] = []string{encoded}
	}
	limited, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	r, err := c.nc.RequestMsgWithContext(limited, m)
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	return r, nil
}

func header(op string) nats.Header { return nats.Header{wire.Op: []string{op}} }

func number(n uint64) []string { return []string{strconv.FormatUint(n, 10)} }

// wholeSeconds rounds up, so that what is to live for a moment does not live for ever.
func wholeSeconds(ttl time.Duration) (uint64, error) {
	if ttl < 0 {
		return 0, fmt.Errorf("%w: TTL %s: want none below 0", ErrBadRequest, ttl)
	}
	n := uint64(math.Ceil(ttl.Seconds()))
	if n > math.MaxInt32 {
		return 0, fmt.Errorf("%w: TTL %s is too long", ErrBadRequest, ttl)
	}
	return n, nil
}

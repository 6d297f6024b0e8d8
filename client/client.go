// Package client is for applications that speak NATS to a Tidepool proxy: `tidepool proxy --nats-face URL` is the other end, and
// docs/nats.md says what travels between the two.
//
//	c, err := client.Connect("nats://127.0.0.1:4222", client.Options{})
//	err = c.Set(ctx, "greeting", client.Item{Value: []byte("hello"), TTL: time.Minute})
//	item, err := c.Get(ctx, "greeting")
//	if errors.Is(err, client.ErrMiss) { ... }
//
// All methods of a Client may be called concurrently; a process wants one. Keys are any 1 to 250 bytes. Gets of one key that
// are under way at the same time are one request (get.go); a Get that begins after a write of the same Client has returned sees
// that write or a later one. Errors are told apart with errors.Is (errors.go).
//
// Who owns which bytes: a value that is given may be changed again when the call returns; one that is returned is the caller's own.
//
// Package load, below, is a load generator for the memcached side.
package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/face/wire"
)

// Options of a Client. The zero value is usable.
type Options struct {
	// Prefix is what the proxies' subjects begin with. "": cache.
	Prefix string
	// Timeout is the longest that an operation takes, also if its context would let it. 0: 3 s.
	Timeout time.Duration
}

// DefaultTimeout is that of Options without one.
const DefaultTimeout = 3 * time.Second

// Client sends operations to the proxies of a NATS system. Make one with New or Connect.
type Client struct {
	o     Options
	nc    *nats.Conn
	owned chan struct{} // closed when the connection is; nil: it is somebody else's

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu      sync.Mutex
	flights map[string]*flight // gets that others may join, by key
	closed  bool
	running sync.WaitGroup // flights
}

// Connect connects to a NATS system (one or more URLs with commas between). It goes on connecting again until Close; meanwhile
// operations fail with ErrUnavailable at once. opts are nats.go's, for credentials and TLS.
func Connect(url string, o Options, opts ...nats.Option) (*Client, error) {
	c, err := New(nil, o)
	if err != nil {
		return nil, err
	}
	c.owned = make(chan struct{})
	opts = append([]nats.Option{
		nats.Name("tidepool client"),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // a write must not go out when its caller has been told that it failed
	}, opts...)
	c.nc, err = nats.Connect(url, append(opts, c.tellClosed())...)
	if err != nil {
		c.cancel()
		return nil, fmt.Errorf("cannot connect to NATS: %w", err)
	}
	return c, nil
}

// tellClosed keeps a ClosedHandler that the caller has set.
func (c *Client) tellClosed() nats.Option {
	return func(o *nats.Options) error {
		theirs := o.ClosedCB
		o.ClosedCB = func(nc *nats.Conn) {
			if theirs != nil {
				theirs(nc)
			}
			close(c.owned)
		}
		return nil
	}
}

// New makes a client on a connection that stays the caller's. nats.go keeps what is published while it is disconnected and sends it
// later, unless the connection was made with nats.ReconnectBufSize(-1): without that a write that has failed may happen later.
func New(nc *nats.Conn, o Options) (*Client, error) {
	if o.Prefix == "" {
		o.Prefix = wire.DefaultPrefix
	}
	if err := wire.CheckPrefix(o.Prefix); err != nil {
		return nil, fmt.Errorf("cannot make a client: %w", err)
	}
	if o.Timeout < 0 {
		return nil, fmt.Errorf("cannot make a client: timeout %s: want none below 0", o.Timeout)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	c := &Client{o: o, nc: nc, flights: map[string]*flight{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Close ends what is under way with ErrUnavailable and, if Connect made it, the connection. No operation works afterwards.
func (c *Client) Close() {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
	if c.owned != nil && !again {
		c.nc.Close()
		<-c.owned
	}
}

var errClosed = errors.New("the client is closed")

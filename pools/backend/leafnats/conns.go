// Conns: NATS connections, shared by the backends whose leaves are reached through the same server.

package leafnats

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/sock"
)

// Conns shares NATS connections by identity: address, credentials, options. A process, or an engine, has one. All methods
// may be called concurrently.
type Conns struct {
	access Access
	proxy  string                    // how the process, or the engine, calls itself to leaves: two are never the same
	delay  func(n int) time.Duration // before the n-th attempt after a disconnect

	mu sync.Mutex
	m  map[connKey]*conn
}

// NewConns gives an empty Conns, whose connections all have the same access.
func NewConns(a Access) *Conns {
	return &Conns{access: a, proxy: fmt.Sprintf("tidepool-%016x", rand.Uint64()), delay: reconnectDelay, m: map[connKey]*conn{}}
}

// connKey is what makes two connections one.
type connKey struct {
	url     string
	pinned  bool // the server itself is meant, not the system that it is part of
	connect time.Duration
	write   time.Duration
	tls     *tls.Config
}

// conn is one connection and the backends on it. It connects and reconnects in the background until the last backend leaves.
type conn struct {
	all     *Conns
	key     connKey
	target  target
	holders int // backends that have it; guarded by all.mu

	mu     sync.Mutex // held while users are told, so that they hear of ups and downs in order
	users  map[*Backend]struct{}
	nc     *nats.Conn
	up     bool
	failed error         // why it is not; nil: nothing is known yet. nats.go does not tell each time
	socket net.Conn      // the newest; closed to free a goroutine that hangs in a write
	wire   *wire         // the same; nil where TLS is asked for
	abort  func()        // ends the newest dialling
	now    chan struct{} // a token: the next attempt is not to be waited for

	ctx    context.Context // ends with the last user
	cancel context.CancelFunc
	done   chan struct{} // closed when nats.go is through with it
}

// get gives b the connection for its options and holds it for b.
func (cs *Conns) get(b *Backend) *conn {
	key := connKey{
		url: b.o.target.key(), pinned: b.o.LeafName == "", connect: b.o.ConnectTimeout, write: b.o.Timeout, tls: b.o.TLS,
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.m[key]
	if c == nil {
		c = &conn{all: cs, key: key, target: b.o.target, users: map[*Backend]struct{}{}, abort: func() {}, now: make(chan struct{}, 1), done: make(chan struct{})}
		c.ctx, c.cancel = context.WithCancel(context.Background())
		cs.m[key] = c
		go c.connect()
	}
	c.holders++
	return c
}

// join makes c tell b how it is, and of ups and downs from now on.
func (c *conn) join(b *Backend) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users[b] = struct{}{}
	switch {
	case c.up:
		b.connected(c.nc)
	case c.failed != nil:
		b.connectFailed(c.failed)
	}
}

// leave ends b's use. The last one closes the connection and waits until its goroutines are gone.
func (c *conn) leave(b *Backend) {
	c.all.mu.Lock()
	c.mu.Lock()
	delete(c.users, b)
	c.holders--
	last := c.holders == 0
	if last {
		delete(c.all.m, c.key)
		c.cancel()
		if c.socket != nil {
			_ = c.socket.Close() // whoever hangs in a write is free now
		}
	}
	c.mu.Unlock()
	c.all.mu.Unlock()
	if last {
		<-c.done
	}
}

// share is how many backends use the connection.
func (c *conn) share() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.users)
}

// connect makes the connection until nobody wants it any more. nats.go goes on trying by itself, but closes it at once where a server says that something is wrong
// which it does not know, as that a message is too long.
func (c *conn) connect() {
	defer close(c.done)
	for n := 0; ; n++ {
		closed := make(chan struct{})
		nc, err := nats.Connect(c.target.urls(), append(c.options(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...) // that is its last callback
		if err != nil {
			c.onFailed(nil, err) // options that cannot work; network errors are tried again
			return
		}
		select {
		case <-c.ctx.Done():
			nc.Close()
			<-closed
			return
		case <-closed:
			c.onClosed(nc)
		}
		c.pause(n)
		if c.ctx.Err() != nil {
			return
		}
	}
}

// pause waits before the n-th attempt after a disconnect, unless somebody is in a hurry. nats.go, which asks for the time that it is to wait, has nothing
// left to do then.
func (c *conn) pause(n int) time.Duration {
	t := time.NewTimer(c.all.delay(n))
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.now:
	case <-c.ctx.Done():
	}
	return 0
}

// hurry has a connection made at once if there is none, or one from which none of its users hears anything. What is under way to that end may hang,
// too, so it begins anew.
func (c *conn) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.up {
		for b := range c.users {
			if b.hears() {
				return
			}
		}
	}
	select {
	case c.now <- struct{}{}:
	default:
	}
	c.abort()
	if c.socket != nil {
		_ = c.socket.Close()
	}
}

// options are what nats.go is to know.
func (c *conn) options() []nats.Option {
	opts := []nats.Option{
		nats.Name("tidepool proxy"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // an old write must not go out after a reconnect
		nats.PingInterval(5 * time.Second),
		nats.Timeout(c.key.connect),
		nats.FlusherTimeout(c.key.write),
		nats.ReconnectOnFlusherError(),
		nats.IgnoreAuthErrorAbort(),
		nats.DontRandomize(),
		nats.SetCustomDialer(c),
		nats.CustomReconnectDelay(c.pause),
		nats.ConnectHandler(c.onUp),
		nats.ReconnectHandler(c.onUp),
		nats.DisconnectErrHandler(c.onDown),
		nats.ReconnectErrHandler(c.onFailed),
		nats.ErrorHandler(c.onError),
	}
	if c.key.pinned {
		opts = append(opts, nats.IgnoreDiscoveredServers())
	}
	if auth := c.target.auth(c.all.access.Auth); auth != nil {
		opts = append(opts, auth)
	}
	switch {
	case c.key.tls != nil:
		opts = append(opts, nats.Secure(c.key.tls))
	case c.all.access.TLS != nil:
		opts = append(opts, c.all.access.TLS)
	}
	return opts
}

// reconnectDelay is Conns.delay, unless a test wants another.
func reconnectDelay(n int) time.Duration {
	const least, most = 20 * time.Millisecond, time.Second
	d := min(least<<min(n, 10), most)
	return d + time.Duration(rand.Int64N(int64(d/4)))
}

// Dial implements nats.CustomDialer: a connection that leave can cut off.
func (c *conn) Dial(network, addr string) (net.Conn, error) {
	ctx, abort := context.WithCancel(c.ctx)
	defer abort()
	c.mu.Lock()
	c.abort = abort
	c.mu.Unlock()
	d := net.Dialer{Timeout: c.key.connect}
	s, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	s = sock.Wrap(s)
	var w *wire
	if c.key.tls == nil && c.all.access.TLS == nil {
		w = newWire(s, c.key.write)
		s = w
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		_ = s.Close()
		return nil, ctx.Err()
	}
	c.socket, c.wire = s, w
	return s, nil
}

// newest is the connection's wire; nil if frames are nats.go's.
func (c *conn) newest() *wire {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wire == nil || !c.wire.plain.Load() {
		return nil
	}
	return c.wire
}

func (c *conn) onUp(nc *nats.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nc, c.up, c.failed = nc, true, nil
	for b := range c.users {
		b.connected(nc)
	}
}

func (c *conn) onDown(_ *nats.Conn, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.up, c.failed = false, cmp.Or(err, nats.ErrDisconnected)
	for b := range c.users {
		b.disconnected(err)
	}
}

// onClosed is onDown for a connection that nats.go has given up, unless it has said so.
func (c *conn) onClosed(nc *nats.Conn) {
	c.mu.Lock()
	up := c.up
	c.mu.Unlock()
	if up {
		c.onDown(nc, nc.LastError())
	}
}

func (c *conn) onFailed(_ *nats.Conn, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = err
	for b := range c.users {
		b.connectFailed(err)
	}
}

// onError hears of what nats.go cannot return, such as messages dropped. Lost answers are found by hello.
func (c *conn) onError(_ *nats.Conn, s *nats.Subscription, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := range c.users {
		subject := ""
		if s != nil {
			subject = s.Subject
		}
		b.o.Log.Warn("leaf: NATS error", "backend", b.o.Label, "subject", subject, "err", err)
		return // one line is enough
	}
}

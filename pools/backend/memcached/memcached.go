// Package memcached is the backend that speaks to a memcached server over TCP or a unix socket, with TLS if asked.
//
// Who calls it: the pools registry makes a Backend per server; pools call Send for every request. A Backend has one to eight
// connections, or as many for each worker, opened in the background as soon as it is made. Each has one goroutine that connects, greets, reads and, when
// something breaks, answers everything that was queued or in flight; and, while connected, one that writes: it yields
// once and then sends everything queued since its last write as one write. Requests queue while a connection is being made; they fail
// at once while it is marked bad.
//
// Who owns which bytes: Send copies the request into the connection's queue, so the request's buffer is free when it
// returns. A Pending belongs to the connection from Send until Waiter.Done; the answer is copied into the Pending's own Buf.
//
// No answer reaches another request: answers are matched in order, an answer that comes before its request was
// written, of the wrong class or for another key ends the connection, and so does a timeout, before anything else is read
// from it. Only the connection's one goroutine takes Pendings out of its lists, so that each is answered exactly once.
package memcached

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/sock"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Options describe a backend. The zero value of everything but the address is memcached's proxy's default.
type Options struct {
	Host, Port string // looked up at each connect, IPv4 before IPv6
	Path       string // of a unix socket, instead of Host and Port
	Label      string // as the configuration calls it; may be empty
	Name       string // what people see. "": the label, host:port or the path

	Connections    int              // 1 to 8. 0: 1
	Workers        int              // each has Connections of its own: requests of lane l take those of l modulo Workers. 0: 1
	ConnectTimeout time.Duration    // 0: 5 s
	ReadTimeout    time.Duration    // longest silence while answers are due; received bytes start it anew. 0: 3 s
	RetryWait      time.Duration    // between going bad and the probe, made up to a tenth longer at random. 0: 3 s
	RetryMax       time.Duration    // RetryWait doubles with each failed probe up to this. 0: it does not grow
	FailureLimit   int              // failures in a row that are tolerated. 0: 3. backend.NoTolerance: none
	DepthLimit     int              // a request that finds more than this queued on its connection is refused. 0: off
	FlapTime       time.Duration    // a connection that lived shorter has flapped. 0: off
	FlapRamp       float64          // growth of the wait per flap. 0: 1.5
	FlapMax        time.Duration    // 0: 1 h
	KeepAlive      bool             // TCP keepalive
	Multiget       backend.Multiget // whether gets travel together; see join.go
	AnyKey         bool             // a line without a value (HD, NF ...) may carry another key than the request: r:match_res tells scripts
	TLS            backend.TLS
	Down           bool // never connects; every request fails with ErrDown

	MaxQueued int // bytes of requests waiting to be written, all of a worker's connections together. 0: 64 MiB
	MaxAnswer int // bytes of one answer. 0: 64 MiB

	Room func() bool // whether one more answer may be held; it is asked for each. nil: always

	// Loop, if it is not nil and while it is on, reads connections and writes to them, and runs waiters that are Runners. nil: each connection has a goroutine
	// that does.
	Loop *sock.Loop
	// OnEvent is told what happens to connections. It is called from their goroutines and must not block or call the
	// Backend. nil: nobody is told.
	OnEvent func(backend.Event)
	// Dial opens a connection. nil: a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Rand is in [0, 1). nil: math/rand.
	Rand func() float64
}

func (o Options) withDefaults() Options {
	setTo(&o.Connections, 1)
	setTo(&o.Workers, 1)
	setTo(&o.ConnectTimeout, 5*time.Second)
	setTo(&o.ReadTimeout, 3*time.Second)
	setTo(&o.RetryWait, 3*time.Second)
	setTo(&o.MaxQueued, 64<<20)
	setTo(&o.MaxAnswer, 64<<20)
	if o.Room == nil {
		o.Room = func() bool { return true }
	}
	if o.Name = cmp.Or(o.Name, o.Label); o.Name == "" {
		o.Name = o.addr()
	}
	if o.OnEvent == nil {
		o.OnEvent = func(backend.Event) {}
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Dial == nil {
		d := &net.Dialer{KeepAlive: -1}
		if o.KeepAlive {
			d.KeepAlive = 0 // the default period
		}
		o.Dial = d.DialContext // TCP_NODELAY is Go's default
	}
	return o
}

// setTo gives v its default if it has no positive value.
func setTo[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// addr is host:port or the path.
func (o *Options) addr() string {
	if o.Path != "" {
		return o.Path
	}
	return net.JoinHostPort(o.Host, o.Port)
}

// maxConnections is upstream's limit.
const maxConnections = 8

// Backend is a memcached server.
type Backend struct {
	o      Options
	conns  []*conn
	places []place         // where the requests of a lane go; see enqueue. nil: each worker has one connection
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // the connections' goroutines

	opened, markedBad, failed, refused atomic.Uint64
}

var _ backend.Backend = (*Backend)(nil)

// New makes a backend, which begins to connect at once.
func New(o Options) (*Backend, error) {
	if o.Path == "" && (o.Host == "" || o.Port == "") {
		return nil, errors.New("memcached backend has no address")
	}
	if o.Connections > maxConnections {
		return nil, errors.New("backend connections argument must be <= 8")
	}
	b := &Backend{o: o.withDefaults()}
	if o.TLS.On { // say now what would fail at every connect
		if _, err := o.TLS.Config(o.Host); err != nil {
			return nil, err
		}
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if b.o.Connections > 1 {
		b.places = make([]place, b.o.Workers*numPlaces)
	}
	for i := range b.o.Workers * b.o.Connections {
		c := newConn(b)
		if i%b.o.Connections > 0 {
			c.turn = make(chan struct{})
			b.conns[i-1].tried = c.turn
		}
		b.conns = append(b.conns, c)
	}
	if !b.o.Down {
		for _, c := range b.conns {
			b.wg.Go(c.run)
		}
	}
	return b, nil
}

// Send implements backend.Backend.
func (b *Backend) Send(r *mc.Request, p *backend.Pending) {
	p.Backend = b
	note, ok := noteFor(r)
	if !ok {
		backend.Refuse(p, backend.ErrRefused)
		return
	}
	p.Note = note
	if err := b.enqueue(r, p); err != nil {
		if errors.Is(err, backend.ErrOverloaded) {
			b.refused.Add(1)
		}
		backend.Refuse(p, err)
	}
}

// Name is what people see.
func (b *Backend) Name() string { return b.o.Name }

// Status implements backend.Backend.
func (b *Backend) Status() backend.Status {
	s := backend.Status{
		Name:      b.o.Name,
		Addr:      b.o.addr(),
		Down:      b.o.Down,
		Opened:    b.opened.Load(),
		Conns:     len(b.conns),
		MarkedBad: b.markedBad.Load(),
		Failed:    b.failed.Load(),
		Refused:   b.refused.Load(),
	}
	for _, c := range b.conns {
		h := c.health.State()
		s.Up = s.Up || c.isUp()
		s.Failures = max(s.Failures, h.Failures)
		s.Queued += int(c.depth.Load())
		if h.Bad {
			s.Bad++
		}
		if h.Err != nil {
			s.LastError = h.Err.Error()
		}
	}
	return s
}

// Close answers everything with ErrClosed and returns when all goroutines have ended. It must not be called by a Waiter.
func (b *Backend) Close() error {
	b.cancel()
	for _, c := range b.conns {
		c.close()
	}
	b.wg.Wait()
	return nil
}

// dial connects within ctx: a host name's IPv4 addresses first, then its IPv6 ones, as upstream.
func (b *Backend) dial(ctx context.Context) (net.Conn, error) {
	if b.o.Path != "" {
		return b.o.Dial(ctx, "unix", b.o.Path)
	}
	if _, err := netip.ParseAddr(b.o.Host); err == nil {
		return b.o.Dial(ctx, "tcp", b.o.addr())
	}
	nc, err := b.o.Dial(ctx, "tcp4", b.o.addr())
	if err != nil && ctx.Err() == nil {
		if nc6, err6 := b.o.Dial(ctx, "tcp6", b.o.addr()); err6 == nil {
			return nc6, nil
		}
	}
	return nc, err
}

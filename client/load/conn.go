// One connection: what it sends.

package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/sock"
)

// conn is one connection. In the closed loop one goroutine uses it; in the open one, one sends and one receives, each with its
// own fields.
type conn struct {
	r  *run
	i  int
	nc net.Conn

	// Of whom sends.
	source  *rand.PCG
	random  *rand.Rand // of source
	out     []byte
	key     []byte
	sent    []uint64 // version last sent, of the keys that this connection owns, by their number among those
	ops     []op     // in flight, oldest first (closed loop)
	version uint64
	since   atomic.Int64 // when it last began to wait for an answer: silence counts from then (nanoseconds of the run's clock)

	// Of whom receives.
	in        *reader
	inKey     []byte
	stored    []uint64 // version last said to be stored, of own keys: a set that failed since may have taken effect or not
	latency   histogram
	count     [counters]int64
	told      time.Duration // when published was written
	published [counters]atomic.Int64

	// Between both, in the open loop.
	flying   ring
	late     histogram // how long after they were due requests were sent; of whom sends
	finished atomic.Bool
}

// op is a request in flight.
type op struct {
	set     bool
	key     int
	keys    []int         // of a multiget; empty: none
	version uint64        // that a set sends, and the newest that a get of an own key may see; 0: any
	due     time.Duration // on the run's clock
}

func (r *run) dial(i int) (*conn, error) {
	network, addr := "tcp", r.o.Addr
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	nc, err := net.DialTimeout(network, addr, r.o.Timeout)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %q: %w", r.o.Addr, err)
	}
	c := &conn{r: r, i: i, nc: sock.Wrap(nc), source: rand.NewPCG(r.o.Seed, uint64(i))}
	c.random = rand.New(c.source)
	c.in = newReader(c.nc, r.clock, c.overdue)
	own := (r.o.Keys - i + r.o.Conns - 1) / r.o.Conns
	c.sent, c.stored = make([]uint64, own), make([]uint64, own)
	c.wait()
	return c, c.nc.SetDeadline(time.Now().Add(r.o.Timeout))
}

// wait notes that an answer is waited for from now on. Deadlines are not moved at each request: one that passes is moved on if
// the silence has not lasted for all of it (overdue).
func (c *conn) wait() { c.since.Store(int64(c.r.clock())) }

// overdue is asked at a read's deadline: how long has nothing come.
func (c *conn) overdue(silence time.Duration) error {
	switch {
	case c.r.stopped.Load():
		return errStopped
	case c.finished.Load() && c.flying.empty() && c.in.empty():
		return errFinished
	}
	left := c.r.o.Timeout - min(silence, c.r.clock()-time.Duration(c.since.Load()))
	if c.r.o.Rate > 0 && c.flying.empty() {
		left = c.r.o.Timeout // nothing is waited for
	}
	if left <= 0 {
		return errSilent
	}
	if err := c.nc.SetReadDeadline(time.Now().Add(left)); err != nil {
		return err
	}
	if c.r.stopped.Load() || c.finished.Load() && c.flying.empty() { // which would have woken this up, a moment ago
		return c.nc.SetReadDeadline(time.Now())
	}
	return nil
}

var (
	errSilent   = errors.New("no answer")
	errStopped  = errors.New("stopped")
	errFinished = errors.New("nothing more is sent, and all is answered")
)

// pick draws a key; for a set the nearest that the connection owns.
func (c *conn) pick(set bool) int {
	n := 0
	if c.r.zipf != nil {
		n = c.r.zipf.Draw(c.random)
	} else {
		n = int(c.source.Uint64() >> 32 * uint64(c.r.o.Keys) >> 32)
	}
	if set {
		n += c.i - int(uint32(n)%uint32(c.r.o.Conns))
		if n >= c.r.o.Keys {
			n -= c.r.o.Conns
		}
	}
	return n
}

// own is the place of a key among those that the connection owns: a key is written by one connection only. -1: it is another's.
func (c *conn) own(key int) int {
	n := uint32(c.r.o.Conns)
	if uint32(key)%n != uint32(c.i) {
		return -1
	}
	return int(uint32(key) / n)
}

// fill sets every key that the connection owns.
func (c *conn) fill() error {
	c.ops = make([]op, 64)
	for key := c.i; key < c.r.o.Keys; {
		n := 0
		for ; key < c.r.o.Keys && n < len(c.ops) && len(c.out) < 1<<20; key += c.r.o.Conns {
			c.set(key, &c.ops[n])
			n++
		}
		c.wait()
		if err := c.flush(); err != nil {
			return err
		}
		for _, o := range c.ops[:n] {
			line, err := c.in.line()
			if err != nil {
				return c.lost(err)
			}
			if !isStored(line) {
				return fmt.Errorf("setting key %d is answered %q", o.key, line)
			}
			c.stored[c.own(o.key)] = o.version
		}
	}
	return nil
}

// set appends a set of key at its next version.
func (c *conn) set(key int, o *op) {
	c.version++
	c.sent[c.own(key)] = c.version
	c.key = appendKey(c.key[:0], c.r.o.Prefix, key)
	seed := seed(c.key, c.version)
	size := c.r.o.Sizes.of(seed)
	if c.r.o.Meta {
		c.out = append(append(c.out, "ms "...), c.key...)
		c.out = append(c.out, ' ')
	} else {
		c.out = append(append(c.out, "set "...), c.key...)
		c.out = append(c.out, " 0 0 "...)
	}
	c.out = strconv.AppendInt(c.out, int64(size), 10)
	c.out = append(c.out, "\r\n"...)
	c.out = appendValue(c.out, c.key, c.version, seed, size)
	c.out = append(c.out, "\r\n"...)
	o.set, o.key, o.keys, o.version = true, key, o.keys[:0], c.version
}

// next appends the next request, which o becomes.
func (c *conn) next(o *op) {
	if c.source.Uint64()>>32 < c.r.sets {
		c.set(c.pick(true), o)
		return
	}
	o.set, o.keys, o.version = false, o.keys[:0], 0
	if c.r.o.Multiget > 1 {
		c.out = append(c.out, "get"...)
		for range c.r.o.Multiget {
			key := c.pick(false)
			o.keys = append(o.keys, key)
			c.out = appendKey(append(c.out, ' '), c.r.o.Prefix, key)
		}
		c.out = append(c.out, "\r\n"...)
		return
	}
	o.key = c.pick(false)
	if i := c.own(o.key); i >= 0 {
		o.version = c.sent[i]
	}
	if c.r.o.Meta {
		c.out = append(appendKey(append(c.out, "mg "...), c.r.o.Prefix, o.key), " v\r\n"...)
	} else {
		c.out = append(appendKey(append(c.out, "get "...), c.r.o.Prefix, o.key), "\r\n"...)
	}
}

// flush sends what was appended.
func (c *conn) flush() error {
	began := c.r.clock()
	for rest := c.out; ; {
		n, err := c.nc.Write(rest)
		rest = rest[n:]
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			c.out = c.out[:0]
			return c.lost(err)
		}
		switch left := c.r.o.Timeout - (c.r.clock() - began); {
		case c.r.stopped.Load():
			return c.lost(errStopped)
		case left <= 0:
			return c.lost(errSilent)
		default:
			if err := c.nc.SetWriteDeadline(time.Now().Add(left)); err != nil {
				return c.lost(err)
			}
			if c.r.stopped.Load() {
				return c.lost(errStopped)
			}
		}
	}
}

// closedLoop keeps Depth requests in flight until the time is up.
func (c *conn) closedLoop() error {
	defer c.publish()
	c.ops = make([]op, c.r.o.Depth)
	for {
		begin := c.r.clock()
		if begin >= c.r.end {
			return nil
		}
		for i := range c.ops {
			c.next(&c.ops[i])
			c.ops[i].due = begin
		}
		c.since.Store(int64(begin))
		if err := c.flush(); err != nil {
			return err
		}
		for i := range c.ops {
			if err := c.answer(&c.ops[i]); err != nil {
				return err
			}
		}
	}
}

// lost words the end of a connection.
func (c *conn) lost(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errSilent):
		return fmt.Errorf("connection %d to %q: no answer in %v", c.i, c.r.o.Addr, c.r.o.Timeout)
	case errors.Is(err, errWrong):
		return err
	case errors.Is(err, errStopped):
		return fmt.Errorf("connection %d to %q: %w", c.i, c.r.o.Addr, err)
	}
	return fmt.Errorf("connection %d to %q is lost: %w", c.i, c.r.o.Addr, err)
}

// The caches: a leaf and a memcached, started, asked alike.

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"os/user"
	"strconv"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/sock"
	"github.com/tidepool-proxy/tidepool/pools/backend"
	"github.com/tidepool-proxy/tidepool/pools/backend/leafnats"
	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// cache is a running cache.
type cache struct {
	*proc.Process
	addr string
	dial func() (conn, error)
}

// conn is one connection to a cache, for one goroutine.
type conn interface {
	// do sends a batch and takes the answers: hit[i] says whether request i was a hit or stored.
	do(batch []mc.Request, hit []bool) error
	close()
}

// kinds are the caches that can be measured here; memcached first, which is what the other is compared with.
func (s *settings) kinds() (names []string) {
	if s.memcached != "" {
		names = append(names, "memcached")
	}
	return append(names, "leaf")
}

const (
	startPatience = 15 * time.Second
	stopPatience  = 10 * time.Second
)

// start runs a cache of a kind.
func (s *settings) start(ctx context.Context, kind string) (*cache, error) {
	addrs, err := proc.FreePorts(1)
	if err != nil {
		return nil, err
	}
	addr := addrs[0]
	cmd := exec.Command(s.tidepool, "leaf", "--name", "bench", "--listen", addr, "--memory", fmt.Sprintf("%dMiB", s.memory), "--log-level", "warn")
	c := &cache{addr: addr, dial: func() (conn, error) { return dialLeaf(addr) }}
	if kind == "memcached" {
		_, port, _ := net.SplitHostPort(addr)
		args := []string{"-l", "127.0.0.1", "-p", port, "-U", "0", "-m", strconv.Itoa(s.memory), "-t", "2"}
		if u, err := user.Current(); err == nil && u.Uid == "0" {
			args = append(args, "-u", "nobody") // it refuses to run as root
		}
		cmd = exec.Command(s.memcached, args...)
		c.dial = func() (conn, error) { return dialMemcached(addr) }
	}
	if c.Process, err = proc.Start(cmd); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", kind, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if err := c.AwaitListening(ctx, addr); err != nil {
		c.stop()
		return nil, fmt.Errorf("cannot start %s: %w", kind, err)
	}
	return c, nil
}

func (c *cache) stop() { c.Stop(stopPatience) }

// overLeaf speaks frames, by the backend that proxies use.
type overLeaf struct {
	b       *leafnats.Backend
	answers chan *backend.Pending
}

func dialLeaf(addr string) (conn, error) {
	b, err := leafnats.New(leafnats.Options{URL: "nats://" + addr})
	if err != nil {
		return nil, err
	}
	c := &overLeaf{b: b, answers: make(chan *backend.Pending, inFlight)}
	for deadline := time.Now().Add(startPatience); !b.Status().Up; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			c.close()
			return nil, fmt.Errorf("cannot reach the leaf at %s: %s", addr, b.Status().LastError)
		}
	}
	return c, nil
}

// Done implements backend.Waiter.
func (c *overLeaf) Done(p *backend.Pending) bool {
	c.answers <- p
	return false
}

// Wake implements backend.Waiter: the channel has woken us.
func (c *overLeaf) Wake() {}

func (c *overLeaf) do(batch []mc.Request, hit []bool) (err error) {
	now := backend.Now()
	for i := range batch {
		p := backend.NewPending()
		p.Waiter, p.Start, p.Tag = c, now, i
		c.b.Send(&batch[i], p)
	}
	for range batch {
		p := <-c.answers
		if p.Err != nil {
			err = p.Err
		}
		hit[p.Tag] = p.Resp.Hit() || p.Resp.Code == mc.CodeStored
		p.Release()
	}
	return err
}

func (c *overLeaf) close() { _ = c.b.Close() }

// overTCP speaks memcached's text protocol.
type overTCP struct {
	nc  net.Conn
	in  *bufio.Reader
	out []byte
}

func dialMemcached(addr string) (conn, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	nc = sock.Wrap(nc)
	return &overTCP{nc: nc, in: bufio.NewReaderSize(nc, 64<<10)}, nil
}

func (c *overTCP) do(batch []mc.Request, hit []bool) error {
	c.out = c.out[:0]
	for i := range batch {
		c.out = mc.AppendWire(c.out, &batch[i])
	}
	if _, err := c.nc.Write(c.out); err != nil {
		return err
	}
	for i := range batch {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		hit[i] = bytes.HasPrefix(line, []byte("VALUE ")) || bytes.Equal(line, []byte("STORED\r\n"))
		if !bytes.HasPrefix(line, []byte("VALUE ")) {
			continue
		}
		if _, err := c.in.Discard(valueSize + len("\r\nEND\r\n")); err != nil {
			return err
		}
	}
	return nil
}

func (c *overTCP) close() { _ = c.nc.Close() }

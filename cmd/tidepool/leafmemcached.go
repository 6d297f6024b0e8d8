// tidepool leaf --memcached: a leaf that serves memcached clients itself, beside the proxies that reach it over NATS.

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/leaf/command"
)

// maxAnswers is how many bytes of answers are gathered before they are written.
const maxAnswers = 64 << 10

// leafClients are the memcached clients of one leaf: what they ask is executed on its store, without NATS or routes. It
// is made before the leaf, which tells of it in stats, and listens after it.
type leafClients struct {
	srv     *server.Server
	maxItem int
	leaf    atomic.Pointer[leaf.Leaf] // nil until listen
	served  chan error
}

func newLeafClients(maxItem int, log *slog.Logger) *leafClients {
	c := &leafClients{maxItem: maxItem, served: make(chan error, 1)}
	c.srv = server.New(server.Options{Handler: c, Log: log})
	return c
}

// checkClients refuses addr before anything is opened. bad makes an error of the command line.
func checkClients(addr string, insecure bool, bad func(problem string) error) error {
	if addr == "" {
		return nil
	}
	list, err := server.ParseListen(addr)
	if err != nil {
		return bad(fmt.Sprintf("invalid argument %q for \"--memcached\" flag: %v", addr, err))
	}
	for _, a := range list {
		switch {
		case a.Tag != "":
			return bad(fmt.Sprintf("invalid argument %q for \"--memcached\" flag: a leaf has no routes that a tag could choose", addr))
		case !a.Loopback() && !insecure:
			return fmt.Errorf("cannot listen on %q: others reach it, and there is neither TLS nor a password; want --insecure", addr)
		}
	}
	return nil
}

// listen serves l at addr.
func (c *leafClients) listen(l *leaf.Leaf, addr string) error {
	c.leaf.Store(l)
	if err := c.srv.Listen(addr); err != nil {
		return err
	}
	go func() { c.served <- c.srv.Serve() }()
	return nil
}

// addr is where it listens; "none" if it does not.
func (c *leafClients) addr() string {
	if addrs := c.srv.Addrs(); len(addrs) > 0 {
		return addrs[0].String()
	}
	return noAdmin
}

// stop lets clients finish until ctx ends.
func (c *leafClients) stop(ctx context.Context) error {
	serving := len(c.srv.Addrs()) > 0
	err := errors.Join(c.srv.Shutdown(ctx), c.srv.Close())
	if serving {
		err = errors.Join(err, <-c.served)
	}
	return err
}

// conns is what stats tells of connections: clients and proxies, and the bytes of both.
func (c *leafClients) conns() command.Conns {
	s := c.srv.Stats()
	n := command.Conns{
		Current: int64(s.Conns), Total: int64(s.Total), Rejected: int64(s.Rejected),
		BytesRead: int64(s.BytesRead), BytesWritten: int64(s.BytesWritten),
	}
	if l := c.leaf.Load(); l != nil {
		f := l.Stats()
		n.Current += int64(f.Proxies)
		n.Total += int64(f.Proxies)
		n.BytesRead += int64(f.BytesIn)
		n.BytesWritten += int64(f.BytesOut)
	}
	return n
}

// Open implements server.Handler.
func (c *leafClients) Open(server.ConnInfo) server.Session {
	return leafSession{local: c.leaf.Load().Local(), rules: mc.Rules{MaxValue: c.maxItem}}
}

// leafSession is one client's connection.
type leafSession struct {
	local *leaf.Local
	rules mc.Rules
}

func (s leafSession) Rules() mc.Rules { return s.rules }

func (s leafSession) Close() {}

// Serve implements server.Session.
func (s leafSession) Serve(b *server.Batch) error {
	for i := range b.Reqs {
		r := &b.Reqs[i]
		if r.Cmd == mc.CmdQuit && r.Bad == mc.BadNone {
			return server.ErrClose
		}
		if err := s.exec(b, r); err != nil {
			return err
		}
		if r.Bad.Closes() {
			return server.ErrClose
		}
	}
	return nil
}

// exec answers one request, a get of many keys a few at a time: one line may ask for a large value any number of times.
func (s leafSession) exec(b *server.Batch, r *mc.Request) error {
	if r.NKeys() <= 1 || r.Bad != mc.BadNone {
		b.Out = s.local.Exec(r, b.Out)
		return s.write(b)
	}
	const end = "END\r\n"
	var some mc.Request
	for pos, more := 0, true; more; {
		pos, more = r.Window(pos, 16, &some)
		b.Out = s.local.Exec(&some, b.Out)
		if !bytes.HasSuffix(b.Out, []byte(end)) { // an error, of which there is one
			more = false
		} else if more {
			b.Out = b.Out[:len(b.Out)-len(end)]
		}
		if err := s.write(b); err != nil {
			return err
		}
	}
	return nil
}

// write writes what has been answered if it is much.
func (s leafSession) write(b *server.Batch) error {
	if len(b.Out) <= maxAnswers {
		return nil
	}
	return b.Flush()
}

// Clients: connections, what they send, and what they are answered.

package routetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
)

// patience is for how much virtual time an answer is waited for.
const patience = 7 * 24 * time.Hour

// client sends over one connection, and opens another when that is closed.
type client struct {
	w    *world
	tag  string
	conn *conn
}

// conn is a client connection.
type conn struct {
	w       *world
	session server.Session
	queue   []*call // that wait for the one before
	call    *call   // that is under way
	closed  bool
	shared  bool // it is nobody's: see free
}

// call is what was sent at once: most often one request.
type call struct {
	conn  *conn
	line  string
	batch *server.Batch
	out   bytes.Buffer
	began int64
	ended int64
	done  bool
	err   error
}

// open opens a connection.
func (w *world) open(tag string) (*conn, error) {
	if w.proxy == nil {
		return nil, errNoProxy
	}
	n := len(w.conns) + 1
	c := &conn{w: w}
	c.session = w.proxy.Open(server.ConnInfo{ID: uint64(n), FD: n, Tag: tag, Network: "tcp", Local: "127.0.0.1:11211", Remote: fmt.Sprintf("127.0.0.1:%d", 40000+n)})
	w.conns = append(w.conns, c)
	return c, nil
}

// free finds a connection of no client's that nothing is under way on.
func (w *world) free() (*conn, error) {
	for _, c := range w.conns {
		if c.call == nil && !c.closed && c.shared {
			return c, nil
		}
	}
	c, err := w.open("")
	if err == nil {
		c.shared = true
	}
	return c, err
}

// start sends line and value, or what is under way is first answered. It returns when the request has gone as far as it goes at once.
func (c *conn) start(line string, value *string) (*call, error) {
	raw := line
	if !strings.HasSuffix(raw, "\r\n") {
		raw += "\r\n"
	}
	if value != nil {
		raw += *value + "\r\n"
	}
	x := &call{conn: c, line: line, began: c.w.clock.Now()}
	x.batch = server.NewBatch(&x.out)
	x.batch.Rules = c.session.Rules()
	if err := x.parse([]byte(raw)); err != nil {
		return nil, err
	}
	c.queue = append(c.queue, x)
	if c.call == nil {
		c.next()
	}
	return x, nil
}

// parse cuts what was sent into requests, as a connection does.
func (x *call) parse(raw []byte) error {
	var parser mc.Parser
	b := x.batch
	for rest := raw; len(rest) > 0; {
		b.Reqs = append(b.Reqs, mc.Request{})
		r := &b.Reqs[len(b.Reqs)-1]
		n, need, err := parser.Next(rest, &b.Rules, r)
		switch {
		case err != nil && need > len(rest):
			return fmt.Errorf("%q wants a value: give it as second argument", strings.TrimRight(string(r.Line), "\r\n"))
		case err != nil || n <= 0:
			return fmt.Errorf("%q is no whole request", rest)
		}
		switch r.Cmd {
		case mc.CmdWatch, mc.CmdShutdown:
			return fmt.Errorf("%s is not for tests", r.Cmd)
		}
		rest = rest[n:]
	}
	return nil
}

// next runs the first call of the queue, until it waits.
func (c *conn) next() {
	if len(c.queue) == 0 || c.closed {
		return
	}
	x := c.queue[0]
	c.queue = c.queue[1:]
	c.call = x
	w := c.w
	w.clock.run(w.clock.begin(func() {
		err := c.session.Serve(x.batch)
		x.out.Write(x.batch.Out)
		x.batch.Out = nil
		if err != nil {
			c.close()
		}
		if err != nil && !errors.Is(err, server.ErrClose) {
			x.err = err
		}
		x.done, x.ended = true, w.clock.Now()
		c.call = nil
		if !w.ended {
			w.clock.at(w.clock.Now(), c.next)
		}
	}))
}

// close closes the connection when nothing is under way any more.
func (c *conn) close() {
	if !c.closed {
		c.closed = true
		c.session.Close()
	}
}

// wait lets time go on until the call is answered, and all has been done that can be at that moment.
func (x *call) wait() error {
	w := x.conn.w
	limit := w.clock.after(patience)
	if w.clock.work(limit, func() bool { return x.done }) {
		w.clock.settle()
		return x.err
	}
	var waits []string
	for _, s := range w.order {
		if n := len(s.open); n > 0 {
			waits = append(waits, fmt.Sprintf("%s has %d requests that it does not answer", s.names[0], n))
		}
	}
	if len(waits) == 0 {
		return fmt.Errorf("%q is not answered", x.line)
	}
	return fmt.Errorf("%q is not answered: %s", x.line, strings.Join(waits, ", "))
}

// value is the value of the answer to a get or mg of one key; false if there is none.
func (x *call) value() (string, bool) {
	var resp mc.Response
	raw := x.out.Bytes()
	if n, _, err := mc.ParseResponse(raw, &resp); err != nil || n != len(raw) || resp.Value() == nil {
		return "", false
	}
	return string(resp.Value()), true
}

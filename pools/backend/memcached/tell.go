// What is told of a connection, in the words of memcached's proxy.

package memcached

import (
	"bytes"
	"strconv"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// maxRbuf is how much of what was read is told, in bytes.
const maxRbuf = 100

// markedBad tells of a connection that will be left alone for a while.
func (c *conn) markedBad(err error) {
	h := c.health.State()
	kind := backend.EventMarkedBad
	if h.Flapping {
		kind = backend.EventMarkedBadFlap
	}
	c.event(kind, err, 0, h.Wait)
}

// event tells whoever listens.
func (c *conn) event(kind backend.EventKind, err error, depth int, retry time.Duration) {
	o := &c.b.o
	e := backend.Event{Kind: kind, Name: o.Host, Port: o.Port, Label: o.Label, Depth: depth, Retry: retry, Err: err}
	if o.Path != "" {
		e.Name = o.Path
	}
	if retry == 0 {
		e.Rbuf = unread(kind, c.rbuf[c.from:c.to])
	}
	o.OnEvent(e)
}

// unread is the beginning of what upstream would have left unread of rest, the bytes from the first answer on that is not whole: it
// takes a value away as soon as it knows its length, and then waits for what follows.
func unread(kind backend.EventKind, rest []byte) []byte {
	switch kind {
	case backend.EventTimeout, backend.EventDisconnected, backend.EventReading, backend.EventWriting, backend.EventMissingEnd:
		if n := valueEnd(rest); n > 0 {
			rest = rest[min(n, len(rest)):]
		}
	}
	return rest[:min(len(rest), maxRbuf)]
}

// valueEnd is where the value ends that b begins with, which may be beyond b; 0 if b begins with none.
func valueEnd(b []byte) int {
	line := bytes.IndexByte(b, '\n') + 1
	f := bytes.Fields(b[:line])
	at := 0
	switch {
	case len(f) >= 4 && string(f[0]) == "VALUE":
		at = 3
	case len(f) >= 2 && string(f[0]) == "VA":
		at = 1
	default:
		return 0
	}
	n, err := strconv.ParseUint(string(f[at]), 10, 31)
	if err != nil {
		return 0
	}
	return line + int(n) + 2
}

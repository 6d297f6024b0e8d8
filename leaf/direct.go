// Direct: the leaf's connection to its own nats-server, without nats.go where frames are concerned.
//
// Most frames have been taken off at a door before (door.go). Those that have not, because other servers of a cluster bring them, or in a moment when
// nats-server is to deliver (inboxes.go), would be handed on by eight goroutines from nats-server to a lane and back if nats.go had them: the server's reader of the
// proxy, its writer to the leaf, nats.go's reader, the subscription's, the lane's, nats.go's flusher, the server's reader of the leaf, its writer to the proxy. But the
// server's writer to the leaf calls us (net.Conn.Write), so messages for lanes are taken off there, and their answers are written to the
// connection between what nats.go writes, which is whole commands each time. All else goes to and from nats.go, as do connecting, subscribing and
// presenting oneself. A leaf that joins a NATS system, or whose own server wants TLS, has none of this, and frames go through nats.go.

package leaf

import (
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/engine/natswire"
	"github.com/tidepool-proxy/tidepool/engine/sock"
	"github.com/tidepool-proxy/tidepool/leaf/pipe"
)

// direct is what the leaf's connections to its own server have in common; there is a new one after each reconnect. nats.go's lock is never waited for
// with mu held, because nats.go makes connections with its own.
type direct struct {
	log      *slog.Logger
	patience time.Duration // with a connection that takes nothing

	lanes atomic.Pointer[map[string]*lane] // by subject; nil before open and after close

	mu     sync.Mutex // held while what the server writes is looked at
	newest *tap

	tapped atomic.Bool         // there is one
	out    atomic.Pointer[tap] // the newest, once it is connected; nil: there is none now

	inboxes inboxes
}

// errAway is nats.go's for what is published while there is no connection.
var errAway = nats.ErrConnectionReconnecting

// open begins to take off what is for these lanes.
func (d *direct) open(leaf string, lanes []*lane) {
	all := map[string]*lane{}
	for _, ln := range lanes {
		all[frame.LaneSubject(leaf, ln.n)] = ln
	}
	d.lanes.Store(&all)
}

// close ends it: a lane may still be told of a frame that is being taken off.
func (d *direct) close() { d.lanes.Store(nil) }

// lane is whose messages to a subject are; nil: nobody's here.
func (d *direct) lane(subject []byte) *lane {
	if all := d.lanes.Load(); all != nil {
		return (*all)[string(subject)]
	}
	return nil
}

// publish sends a message to a proxy; ours is false if that is nats.go's to do, always or never.
func (d *direct) publish(reply string, msg []byte) (ours bool, err error) {
	if in := d.inboxes.of(reply); in.o != nil {
		return true, in.o.answer(in.sid, reply, msg)
	}
	if !d.tapped.Load() {
		return false, nil
	}
	t := d.out.Load()
	if t == nil {
		return true, errAway
	}
	var buf [128]byte
	head := natswire.AppendPub(buf[:0], reply, "", len(msg))
	if _, err = t.leaf.Writev(head, msg, head[len(head)-len(natswire.End):]); err != nil {
		_ = t.leaf.Close() // some of it may be on its way
	}
	return true, err
}

// tap makes the server's end of a new connection. What it still writes to an older one is too late: it would come behind what the new one brings.
func (d *direct) tap(leaf, server *pipe.Conn) *tap {
	t := &tap{Conn: server, leaf: leaf, d: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.newest = t
	d.out.Store(nil)
	d.tapped.Store(true)
	return t
}

// tap is the server's end of one such connection. At most one goroutine writes at a time.
type tap struct {
	*pipe.Conn
	leaf     *pipe.Conn // the other end
	d        *direct
	rest     []byte        // the beginning of what has not been written whole, and how much
	need     int           // of it is to be there before it is looked at again
	lost     bool          // what is written cannot be told apart: nats.go shall have it all
	patience time.Duration // with nats.go; 0: without end
}

// keepRest is how large a buffer is kept for messages that are written in pieces.
const keepRest = 64 << 10

// Write implements net.Conn.
func (t *tap) Write(p []byte) (int, error) {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	b := p
	if len(t.rest) > 0 {
		t.rest = append(t.rest, p...)
		if b = t.rest; len(b) < t.need {
			return len(p), nil
		}
	}
	from, at := 0, 0 // b[from:at] is for nats.go
	for at < len(b) && !t.lost {
		m, n, need := natswire.Cut(b[at:])
		if t.need = need; need > 0 {
			break
		}
		if n == 0 {
			t.lost = true
			break
		}
		if ln := t.d.lane(m.Subject); ln != nil {
			if t.d.newest != t {
				return 0, io.ErrClosedPipe
			}
			if err := t.pass(b[from:at]); err != nil {
				return 0, err
			}
			from = at + n
			ln.arrive(m.Reply, m.Data, true)
		} else if t.d.newest == t && t.d.out.Load() == nil && string(b[at:at+n]) == "PONG\r\n" {
			t.d.out.Store(t) // nats.go asks for one to know that it is connected, and publishes nothing before
		}
		at += n
	}
	if t.lost {
		at = len(b)
	}
	err := t.pass(b[from:at])
	if t.rest = append(t.rest[:0], b[at:]...); len(t.rest) == 0 && cap(t.rest) > keepRest {
		t.rest = nil
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// pass gives p to nats.go.
func (t *tap) pass(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if t.patience > 0 {
		_ = t.Conn.SetWriteDeadline(time.Now().Add(t.patience))
	}
	_, err := t.Conn.Write(p)
	return err
}

// SetWriteDeadline implements net.Conn. It is for nats.go, which may be slow, and not for the lanes, behind which it waits.
func (t *tap) SetWriteDeadline(until time.Time) error {
	t.patience = sock.Patience(until)
	return nil
}

// Close implements net.Conn.
func (t *tap) Close() error {
	t.d.out.CompareAndSwap(t, nil)
	return t.Conn.Close()
}

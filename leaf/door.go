// Doors: the server's end of connections from outside, without nats-server where frames are concerned.
//
// What a proxy sends comes to a lane by three goroutines of nats-server's if nats-server has it, and back by three: its reader of the proxy, its writer to
// the leaf, and the same the other way. But its reader of the proxy calls us (net.Conn.Read), so messages for lanes are taken off there, and
// their answers are written to the proxy's connection between what nats-server writes to it. All else goes to and from nats-server: who is let in, subscriptions, pings,
// hello, streams, what other servers of a cluster bring. It may then seem to nats-server, and in what it counts, as if proxies said little. Where its listener wants TLS
// there is none of this: what passes here is encrypted then.
//
// A door does not ask who may publish what: nobody who is let in is kept from anything (embed.go). Who listens to others' frames and answers with a wildcard does not hear
// what goes through doors.

package leaf

import (
	"bytes"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/tidepool-proxy/tidepool/engine/natswire"
	"github.com/tidepool-proxy/tidepool/engine/sock"
)

// door is one of them, for one reader, nats-server's; everything else may be called concurrently.
type door struct {
	sock.Patient // with the server's deadline

	d    *direct
	in   *natswire.Sieve
	most int         // the longest message that the server takes, in bytes
	open atomic.Bool // the server has let in who is there
	shut atomic.Bool // but nothing is taken off any more: what goes by two ways may come in another order

	wants atomic.Int32 // the server is about to write

	out  sync.Mutex // held by who writes. Taken before mu
	edge natswire.Edge
	line []byte // what answer writes

	mu       sync.Mutex
	queue    [][]byte // answers that are still to be written: whole ones, put together; of the first may be a part, if it is torn
	size     int      // of it, in bytes
	torn     bool
	midway   bool // in a command of the server's: torn is not, then
	draining bool // drain has not seen to it that queue is empty
	broken   bool // nothing can be written any more
}

const (
	doorPatience = 10 * time.Second // with a proxy that does not take doorPiece: as nats-server has it
	doorPiece    = 1 << 20          // bytes
	doorTogether = 256 << 10        // answers up to so many bytes wait together, to be one write
	doorQueue    = serverMaxPending // bytes that wait for one
)

// errSlow is why a connection ends.
var errSlow = errors.New("its answers are not taken")

// newDoor makes a door of a connection that nothing has been read from. most is the longest message that the server takes.
func newDoor(nc net.Conn, d *direct, most int) *door {
	o := &door{Patient: sock.Patient{Conn: nc}, d: d, most: most}
	o.in = natswire.NewSieve(nc.Read, o.look)
	d.inboxes.add(o)
	return o
}

// Read implements net.Conn: it gives what is the server's.
func (o *door) Read(p []byte) (int, error) { return o.in.Read(p) }

// look hands the next frame to its lane; else it says how much is the server's.
func (o *door) look(b []byte) (n int, ours bool, need int) {
	for at := 0; ; {
		s, line, need := natswire.CutSent(b[at:])
		if line == 0 {
			if at > 0 { // what comes before is given first
				need = 0
			}
			return at, false, need
		}
		switch s.Verb {
		case natswire.Pub, natswire.Hpub:
			end := at + line + s.Size + len(natswire.End)
			if ln := o.lane(&s, line); ln != nil {
				switch {
				case at > 0:
					return at, false, 0
				case end > len(b):
					return 0, false, end
				case string(b[end-len(natswire.End):end]) != natswire.End:
					return 0, false, 0 // the server is to end the connection
				}
				ln.arrive(s.Reply, b[line:line+s.Size], true)
				return end, true, 0
			}
			at = end
		case natswire.Sub:
			if o.open.Load() {
				o.d.inboxes.enter(o, s.SID, s.Subject, s.Plain)
			}
			at += line
		case natswire.Unsub:
			o.d.inboxes.exit(o, s.SID)
			at += line
		default:
			at += line
		}
		if at >= len(b) {
			return at, false, 0
		}
	}
}

// longest is the longest line that the server takes, in bytes.
const longest = server.MAX_CONTROL_LINE_SIZE

// lane is whose frame it is that s, on a line of so many bytes, publishes; nil: it is the server's. So is what it throws out who sends it for: else
// the leaf itself would, with such a reply subject.
func (o *door) lane(s *natswire.Sent, line int) *lane {
	if s.Verb != natswire.Pub || s.Reply == nil || s.Size > o.most || line > longest || o.shut.Load() {
		return nil
	}
	ln := o.d.lane(s.Subject)
	if ln != nil && !o.open.Load() {
		o.shut.Store(true)
		return nil
	}
	return ln
}

// Write implements net.Conn, for the server.
func (o *door) Write(p []byte) (int, error) {
	o.wants.Add(1)
	o.out.Lock()
	defer o.out.Unlock()
	o.wants.Add(-1)
	o.mend()
	o.edge.Wrote(p, o.says) // before it is: what is sent upon it comes by the same way as what follows
	n, err := sock.WriteFor(o.Conn, p, o.Left())
	if err != nil { // before anybody else writes behind a part of a command
		_ = o.Conn.Close()
	}
	lost := o.edge.Lost()
	if lost { // no place is known any more where something could be put: all is the server's
		o.shut.Store(true)
		o.d.inboxes.gone(o)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.midway = !o.edge.Whole(); lost {
		o.queue, o.size = nil, 0
	}
	o.drainLocked()
	return n, err
}

// says is called with what the server says.
func (o *door) says(line []byte) {
	switch {
	case string(line) == "+OK\r\n", // to a client that wants this of each command
		bytes.HasPrefix(line, []byte("-ERR ")): // it may be about to throw out who is there
		o.shut.Store(true)
	case string(line) == "PONG\r\n": // to nobody whom it does not let in
		o.open.Store(true)
	}
}

// answer delivers a message to a subscription. What the socket does not take at once is written later.
func (o *door) answer(sid, subject string, msg []byte) error {
	if !o.out.TryLock() {
		return o.later(sid, subject, msg)
	}
	defer o.out.Unlock()
	o.mu.Lock()
	waits := len(o.queue) > 0 || o.midway
	o.mu.Unlock()
	if waits {
		return o.later(sid, subject, msg)
	}
	o.line = appendMsg(o.line[:0], sid, subject, msg)
	n, err := sock.Try(o.Conn, o.line)
	if err == nil && n < len(o.line) {
		err = o.tear(o.line[n:])
	}
	if cap(o.line) > maxKeep {
		o.line = nil
	}
	if err != nil {
		_ = o.Conn.Close() // some of it may be on its way
	}
	return err
}

func appendMsg(dst []byte, sid, subject string, msg []byte) []byte {
	dst = natswire.AppendMsg(dst, subject, sid, len(msg))
	return append(append(dst, msg...), natswire.End...)
}

// later has an answer written when it can be.
func (o *door) later(sid, subject string, msg []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.roomLocked(len(msg)); err != nil {
		return err
	}
	last := len(o.queue) - 1
	if last < 0 || last == 0 && o.torn || len(o.queue[last])+len(msg) > doorTogether {
		o.queue = append(o.queue, nil)
		last++
	}
	before := len(o.queue[last])
	o.queue[last] = appendMsg(o.queue[last], sid, subject, msg)
	o.size += len(o.queue[last]) - before
	o.drainLocked()
	return nil
}

// tear has the rest of an answer, of which the socket has taken a part, written before everything else. out is held.
func (o *door) tear(rest []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.roomLocked(len(rest)); err != nil {
		return err
	}
	o.queue, o.torn = slices.Insert(o.queue, 0, slices.Clone(rest)), true
	o.size += len(rest)
	o.drainLocked()
	return nil
}

// roomLocked ends the connection if so much more would be too much.
func (o *door) roomLocked(n int) error {
	if o.size+n > doorQueue && !o.broken {
		o.slow()
		o.breakLocked()
	}
	if o.broken {
		return errSlow
	}
	return nil
}

// drainLocked has what is queued written, unless it must wait for the server, whose next Write sees to that.
func (o *door) drainLocked() {
	if len(o.queue) > 0 && !o.midway && !o.draining {
		o.draining = true
		go o.drain()
	}
}

// drain writes what is queued, or closes the connection, until the server wants to write, which sees to the rest.
func (o *door) drain() {
	o.out.Lock()
	defer o.out.Unlock()
	for {
		o.mu.Lock()
		if len(o.queue) == 0 || o.midway || o.wants.Load() > 0 {
			o.draining = false
			o.mu.Unlock()
			return
		}
		all := o.firstLocked()
		o.mu.Unlock()
		o.write(all)
	}
}

// firstLocked takes the first off the queue.
func (o *door) firstLocked() []byte {
	all := o.queue[0]
	o.queue[0] = nil
	o.queue, o.torn = o.queue[1:], false
	o.size -= len(all)
	return all
}

// mend ends, with out held, the answer of which the socket has taken a part, before something else is written.
func (o *door) mend() {
	var rest []byte
	o.mu.Lock()
	if o.torn {
		rest = o.firstLocked()
	}
	o.mu.Unlock()
	o.write(rest)
}

// write writes with out held, or closes the connection.
func (o *door) write(all []byte) {
	for len(all) > 0 {
		n, err := sock.WriteFor(o.Conn, all[:min(len(all), doorPiece)], o.d.patience)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			o.slow()
		}
		if err != nil {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.breakLocked()
			return
		}
		all = all[n:]
	}
}

// breakLocked ends the connection, and what waits for it.
func (o *door) breakLocked() {
	_ = o.Conn.Close()
	o.broken, o.queue, o.size, o.torn = true, nil, 0, false
}

// slow says why the connection ends.
func (o *door) slow() {
	o.d.log.Warn("leaf: connection cut off", "remote", o.RemoteAddr(), "err", errSlow)
}

// waits reports whether something is still to be written.
func (o *door) waits() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue) > 0 || o.draining
}

// Close implements net.Conn.
func (o *door) Close() error {
	o.d.inboxes.gone(o)
	return o.Conn.Close()
}

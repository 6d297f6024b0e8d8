// Wire: a connection to a NATS server, without nats.go where frames are concerned.
//
// A frame that nats.go has is handed on by its flusher, its answer by its reader and its subscription's goroutine, each of which is woken for it. But nats.go
// reads and writes what our dialer gives it. So messages for our reply subjects are taken off in nats.go's reader, where it calls Read, and frames are written
// between what it writes, which is whole commands each time. Connecting, subscribing, pings, hello and all else stay nats.go's. Where there is TLS frames are, too: what passes here
// is encrypted then.

package leafnats

import (
	"bytes"
	"encoding/json"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/natswire"
	"github.com/tidepool-proxy/tidepool/engine/sock"
)

// wire is a net.Conn for one reader, nats.go's; everything else may be called concurrently.
type wire struct {
	sock.Patient // with nats.go's deadline

	patience time.Duration // of a publish with the socket

	// The reader's.
	in    *natswire.Sieve
	begun bool // the server has introduced itself
	raw   bool // all is nats.go's, and not looked at

	plain atomic.Bool  // it has, there will be no TLS, and what is ours is taken off
	most  atomic.Int64 // the longest message that it takes, in bytes

	mu      sync.Mutex
	inboxes map[string]func(data []byte)

	out  sync.Mutex // held by who writes
	line []byte     // with out: what publish writes
}

const (
	wireMost = 128 << 20 // a message that claims to be longer is nats.go's to judge
	wireLine = 1 << 20   // so is a line
	wireCopy = 64 << 10  // a message up to so long is copied, to be one write
)

// newWire makes a wire of a connection that nothing has been read from.
func newWire(nc net.Conn, patience time.Duration) *wire {
	w := &wire{Patient: sock.Patient{Conn: nc}, patience: patience, inboxes: map[string]func([]byte){}}
	w.in = natswire.NewSieve(nc.Read, w.look)
	return w
}

// take has the reader call read for each message to that subject from now on, headers excepted. Its bytes are the reader's again when read returns.
func (w *wire) take(inbox string, read func(data []byte)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inboxes[inbox] = read
}

// forget ends that.
func (w *wire) forget(inbox string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.inboxes, inbox)
}

func (w *wire) whose(subject []byte) func(data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inboxes[string(subject)]
}

// Read implements net.Conn: it gives what is nats.go's.
func (w *wire) Read(p []byte) (int, error) { return w.in.Read(p) }

// look hands over what is ours; else it says how much is nats.go's.
func (w *wire) look(b []byte) (n int, ours bool, need int) {
	if !w.begun && b[0] != 'I' { // it is not INFO: TLS comes first
		w.raw = true
	}
	if w.raw {
		return 0, false, 0
	}
	m, n, need := natswire.Cut(b)
	if need > 0 && need <= wireMost && (len(b) < wireLine || bytes.IndexByte(b, '\n') >= 0) {
		return 0, false, need
	}
	if n == 0 {
		w.raw = true
		w.plain.Store(false)
		return 0, false, 0
	}
	if read := w.whose(m.Subject); read != nil {
		read(m.Data)
		return n, true, 0
	}
	if line, ok := bytes.CutPrefix(b[:n], []byte("INFO ")); ok || !w.begun {
		w.heard(line)
	}
	return n, false, 0
}

// heard takes note of what the server says of itself, at first and again when something has changed.
func (w *wire) heard(info []byte) {
	var says struct {
		Required  bool  `json:"tls_required"`
		Available bool  `json:"tls_available"`
		Most      int64 `json:"max_payload"`
	}
	err := json.Unmarshal(info, &says)
	if err == nil && says.Most > 0 {
		w.most.Store(says.Most)
	}
	if !w.begun {
		w.begun = true
		w.raw = err != nil || says.Required || says.Available
		w.plain.Store(!w.raw)
	}
}

// Write implements net.Conn, for nats.go.
func (w *wire) Write(p []byte) (int, error) {
	w.out.Lock()
	defer w.out.Unlock()
	n, err := sock.WriteFor(w.Conn, p, w.Left())
	if err != nil && n > 0 { // before anybody else writes behind a part of a command
		_ = w.Conn.Close()
	}
	return n, err
}

// publish sends a message, whole. An error but nats.ErrMaxPayload means that the connection is closed.
func (w *wire) publish(subject, reply string, msg []byte) error {
	if int64(len(msg)) > w.most.Load() {
		return nats.ErrMaxPayload // the server would end the connection
	}
	w.out.Lock()
	defer w.out.Unlock()
	w.line = natswire.AppendPub(w.line[:0], subject, reply, len(msg))
	if len(msg) <= wireCopy {
		w.line = append(append(w.line, msg...), natswire.End...)
		return w.all(w.line)
	}
	err := w.all(w.line)
	if err == nil {
		err = w.all(msg)
	}
	if err == nil {
		err = w.all([]byte(natswire.End))
	}
	return err
}

// all writes p, or closes the connection: some of it may be on its way.
func (w *wire) all(p []byte) error {
	_, err := sock.WriteFor(w.Conn, p, w.patience)
	if err != nil {
		_ = w.Conn.Close()
	}
	return err
}

// Reading a stream: asking for it, seeing that none of it is lost, acknowledging it.

package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// Why a stream did not come to its end.
var (
	ErrNoLeaf    = errors.New("no leaf of that name is there")
	ErrBusy      = errors.New("the leaf has as many streams as it wants")
	ErrSilent    = errors.New("the leaf says nothing more")
	ErrRestarted = errors.New("the leaf was restarted meanwhile")
	ErrLost      = errors.New("a part of it was lost on its way")
)

// Refused is what a leaf says in place of items, or in place of the rest of them: memcached's CLIENT_ERROR or SERVER_ERROR, a line.
type Refused struct {
	Text  string
	Begun bool // there was a stream, and this is its end before its time: another may fare better
}

func (e *Refused) Error() string { return "the leaf says " + e.Text }

// Result is what came of a read.
type Result struct {
	Instance uint64 // the leaf's; of two reads with one instance the leaf was not restarted between
	Items    int64
	Bytes    int64 // as they travelled, without frames
}

// Reader reads streams of one leaf. It is a value; the zero value of each field but the first two is usable.
type Reader struct {
	Conn    *nats.Conn
	Leaf    string           // its name
	Silence time.Duration    // how long a leaf may say nothing; 0: 5 s. It says something every second.
	Now     func() time.Time // what Exp and Access of items count by; nil: time.Now
}

// defaultWindow is enough for 100 MB/s at a round trip of 10 ms.
const defaultWindow = 1 << 20

// Read reads a leaf's items with a Reader of no further options.
func Read(ctx context.Context, nc *nats.Conn, leaf string, q frame.StreamRequest, each func(*store.Listed) error) (Result, error) {
	return Reader{Conn: nc, Leaf: leaf}.Read(ctx, q, each)
}

// Read asks for a stream and calls each with every item until it has an error. Exp and Access are by this end's clock; for a
// stream of keys there is no Value. nil means that all came; otherwise Result says how much did.
func (r Reader) Read(ctx context.Context, q frame.StreamRequest, each func(*store.Listed) error) (Result, error) {
	if r.Silence <= 0 {
		r.Silence = 5 * time.Second
	}
	if r.Now == nil {
		r.Now = time.Now
	}
	if q.Window == 0 {
		q.Window = defaultWindow
	}
	in := &incoming{r: &r, ackAt: uint64(max(1, min(q.Window, defaultWindow)/4)), wake: make(chan struct{}, 1)}
	err := in.read(ctx, &q, each)
	if err != nil {
		err = fmt.Errorf("cannot read all items of leaf %q: %w", r.Leaf, err)
	}
	return Result{in.instance.Load(), in.items, int64(in.taken.Load())}, err
}

// incoming is one read.
type incoming struct {
	r     *Reader
	inbox string
	ackAt uint64 // so many bytes are worth an acknowledgement
	wake  chan struct{}

	instance, id atomic.Uint64 // of the first frame; instance 0: none came
	taken        atomic.Uint64 // bytes of bodies that were worked through
	heard        atomic.Uint64 // messages

	mu     sync.Mutex // guards what follows
	bodies [][]byte   // came, and wait
	got    uint64     // bytes of bodies that came
	broken error      // nothing more will come

	// The reading goroutine's.
	dec   decoder
	acked uint64
	items int64
}

func (in *incoming) read(ctx context.Context, q *frame.StreamRequest, each func(*store.Listed) error) error {
	ask, err := json.Marshal(q)
	if err != nil {
		return err
	}
	in.inbox = in.r.Conn.NewInbox()
	sub, err := in.r.Conn.Subscribe(in.inbox, in.arrive)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()             // the connection is gone otherwise
	if err := sub.SetPendingLimits(-1, -1); err != nil { // the window is the limit
		return err
	}
	if err := in.r.Conn.PublishRequest(frame.StreamSubject(in.r.Leaf), in.inbox, ask); err != nil {
		return err
	}
	err = in.follow(ctx, each)
	if err == io.EOF {
		in.ack(in.taken.Load()) // who hands over waits for this
		return nil
	}
	// An heir who is called off has not had enough, and is not to be taken for one who has: the leaf finds him gone.
	if in.instance.Load() != 0 && (q.Past == nil || ctx.Err() == nil) {
		in.ack(frame.StreamCancel)
	}
	return err
}

// follow works through what comes. It ends with an error, io.EOF if all is well.
func (in *incoming) follow(ctx context.Context, each func(*store.Listed) error) error {
	t := time.NewTicker(in.r.Silence / 5)
	defer t.Stop()
	for quiet, last := 0, uint64(0); ; {
		bodies, broken := in.take()
		for _, b := range bodies {
			if err := in.body(ctx, b, each); err != nil {
				return err
			}
		}
		if broken != nil {
			return broken
		}
		select {
		case <-in.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			if h := in.heard.Load(); h != last {
				quiet, last = 0, h
			} else if quiet++; quiet >= 5 {
				return ErrSilent
			}
			if in.r.Conn.IsClosed() {
				return nats.ErrConnectionClosed
			}
			if quiet > 0 && in.instance.Load() != 0 { // if it is not there any more, somebody says so
				in.ack(in.taken.Load())
			}
		}
	}
}

func (in *incoming) take() ([][]byte, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	b := in.bodies
	in.bodies = nil
	return b, in.broken
}

// body works through one.
func (in *incoming) body(ctx context.Context, b []byte, each func(*store.Listed) error) error {
	in.dec.feed(b)
	for {
		l, err := in.dec.next(in.r.Now().UnixMilli())
		if err == io.EOF && !in.dec.ended() {
			return malformed(in.dec.buf[in.dec.at:])
		}
		if err != nil {
			in.taken.Add(uint64(len(b)))
			return err
		}
		if l == nil {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		in.items++
		if err := each(l); err != nil {
			return err
		}
	}
	if n := in.taken.Add(uint64(len(b))); n-in.acked >= in.ackAt {
		in.acked = n
		in.ack(n)
	}
	return nil
}

// refused is the error of a leaf's last word. Streams have numbers from 1 on.
func refused(id uint64, line []byte) error {
	if line = bytes.TrimRight(line, "\r\n"); string(line) == frame.StreamBusy {
		return ErrBusy
	}
	return &Refused{Text: string(line), Begun: id != 0}
}

// arrive is the subscription's callback. It acknowledges signs of life by itself, so that a leaf knows of a reader that
// takes its time.
func (in *incoming) arrive(m *nats.Msg) {
	in.heard.Add(1)
	if err := in.sort(m); err != nil {
		in.mu.Lock()
		if in.broken == nil {
			in.broken = err
		}
		in.mu.Unlock()
	}
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// sort says what a message is. It runs in the callback alone.
func (in *incoming) sort(m *nats.Msg) error {
	if len(m.Data) == 0 && m.Header.Get("Status") == noResponders {
		return ErrNoLeaf
	}
	var h frame.Header
	body, err := h.Parse(m.Data)
	switch {
	case err != nil:
		return err
	case h.Flags == frame.FlagAnswer|frame.FlagRefused && h.Reason == frame.ReasonInstance:
		return ErrRestarted
	case h.Flags != frame.FlagAnswer:
		return fmt.Errorf("cannot read stream: a frame with flags %d", h.Flags)
	case in.instance.Load() == 0 && h.Instance != 0:
		in.id.Store(h.ID)
		in.instance.Store(h.Instance)
	case h.Instance != in.instance.Load():
		return ErrRestarted
	case h.ID != in.id.Load():
		return ErrLost
	}
	in.mu.Lock()
	if in.broken == nil && h.Acked != in.got {
		in.broken = ErrLost
	}
	if in.broken == nil && h.Millis == frame.StreamCut {
		in.broken = refused(h.ID, body)
	}
	if in.broken == nil && len(body) > 0 {
		in.bodies = append(in.bodies, body)
		in.got += uint64(len(body))
	}
	in.mu.Unlock()
	if len(body) == 0 {
		in.ack(in.taken.Load())
	}
	return nil
}

// noResponders is how NATS says that nobody listens to what was published.
const noResponders = "503"

// ack tells the leaf how much was taken. If it does not get there, the next one says more.
func (in *incoming) ack(n uint64) {
	h := frame.Header{Flags: frame.FlagAck, Instance: in.instance.Load(), ID: in.id.Load(), Acked: n}
	_ = in.r.Conn.PublishRequest(frame.StreamSubject(in.r.Leaf), in.inbox, h.Append(nil, nil))
}

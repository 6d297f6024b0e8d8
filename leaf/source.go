// Sources: the neighbours that a leaf recovers from, one after the other attempt.

package leaf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/store"
	"github.com/tidepool-proxy/tidepool/leaf/stream"
)

// source is one neighbour. Its methods but status are called by one goroutine at a time.
type source struct {
	r    *recovery
	n    int // its number
	from string
	url  string // where it is; "": in the leaf's own NATS system
	name string // "": that of the server

	nc       *nats.Conn // nil: not connected
	closed   chan struct{}
	instance uint64 // of the leaf whose items were read; 0: none were
	progress time.Time

	items, known, dropped, of, bytes atomic.Int64
	complete                         atomic.Bool // all that it held was looked at, or memory is full

	mu       sync.Mutex // guards what follows
	state    string
	verified bool
	err      error
}

const (
	sourceDone     = "done"
	sourceFailed   = "failed"
	sourceChecking = "checking"

	leastPause, mostPause = 100 * time.Millisecond, 2 * time.Second // between two attempts
	askTime               = time.Second                             // for an answer to hello
)

var (
	errItself = errors.New("it is this leaf itself")
	errFull   = errors.New("memory is full")
	errWaits  = errors.New("it is recovering itself")
	errEmpty  = errors.New("it was started just now, too, and has nothing to give")
)

func newSource(r *recovery, n int, from string) *source {
	s := &source{r: r, n: n, from: from, state: RecoverConnecting, progress: r.began}
	s.url, s.name, _ = splitSource(from) // was checked
	return s
}

func (s *source) enter(state string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	if err != nil || state == sourceDone {
		s.err = err
	}
}

func (s *source) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == sourceFailed
}

func (s *source) status() RecoverSource {
	s.mu.Lock()
	defer s.mu.Unlock()
	return RecoverSource{From: s.from, State: s.state, Items: s.items.Load(), Of: s.of.Load(), Verified: s.verified, Err: s.err}
}

// try calls f until it has no error, or one that will not change, or nothing has come for Timeout. It reports success.
func (s *source) try(ctx context.Context, state string, f func(context.Context) error) bool {
	for wait := leastPause; ; wait = min(2*wait, mostPause) {
		s.enter(state, nil)
		before := s.progress
		err := f(ctx)
		if err == nil {
			return true
		}
		if s.progress != before {
			wait = leastPause
		}
		last := final(err) || ctx.Err() != nil || time.Since(s.progress)+wait > s.r.o.Timeout
		s.enter(state, err)
		if last {
			s.enter(sourceFailed, err)
			if ctx.Err() == nil {
				s.r.log.Warn("recovery: neighbour given up", "from", s.from, "err", err)
			}
			return false
		}
		s.r.log.Debug("recovery: neighbour tried again", "from", s.from, "in", wait, "err", err)
		if !pause(ctx, wait) {
			return false
		}
	}
}

// final says that trying again will not help.
func final(err error) bool {
	var refused *stream.Refused
	return errors.Is(err, errItself) || errors.Is(err, errEmpty) || errors.Is(err, stream.ErrRestarted) || errors.As(err, &refused)
}

// find connects and hears whether the neighbour is there.
func (s *source) find(ctx context.Context) {
	if s.try(ctx, RecoverConnecting, func(ctx context.Context) error {
		h, err := s.hello(ctx)
		switch {
		case err != nil:
			return err
		case h.Warming && h.Items == 0: // all leaves were started together
			return errEmpty
		case h.Warming: // what it has may still turn out to be old
			return errWaits
		}
		s.of.Store(h.Items)
		s.progress = time.Now()
		return nil
	}) {
		s.enter(RecoverSettling, nil)
	}
}

// hello asks who it is.
func (s *source) hello(ctx context.Context) (r frame.HelloReply, err error) {
	if err := s.connect(); err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	m, err := s.nc.RequestWithContext(ctx, frame.HelloSubject(s.name), []byte(`{"proxies":true}`))
	if err == nil {
		err = json.Unmarshal(m.Data, &r)
	}
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return r, stream.ErrNoLeaf
	case err != nil:
		return r, fmt.Errorf("cannot ask leaf %q who it is: %w", s.name, err)
	case r.Instance == s.r.l.instance:
		return r, errItself
	}
	return r, nil
}

// connect makes the connection, if the neighbour is not in the leaf's own NATS system. nats.go keeps it from then on.
func (s *source) connect() error {
	if s.url == "" {
		s.nc = s.r.l.nc
		return nil
	}
	if s.nc != nil {
		return nil
	}
	closed := make(chan struct{})
	opts := append([]nats.Option{
		nats.Name("tidepool leaf " + s.r.l.o.Name + ", recovering"),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1),
		nats.ReconnectWait(leastPause),
		nats.Timeout(mostPause),
		nats.PingInterval(5 * time.Second),
		nats.IgnoreAuthErrorAbort(),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // whoever reads sees what is missing
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
	}, s.r.o.Connect...)
	nc, err := nats.Connect(s.url, opts...)
	if err != nil {
		return fmt.Errorf("cannot connect to %q: %w", s.url, err)
	}
	if s.nc, s.closed = nc, closed; s.name == "" {
		s.name = nc.ConnectedServerName()
	}
	return nil
}

// close ends the connection, if it is the source's own.
func (s *source) close() {
	if s.url != "" && s.nc != nil {
		s.nc.Close()
		<-s.closed
	}
}

// pull takes the neighbour's items, and looks at them a second time.
func (s *source) pull(ctx context.Context) {
	if s.failed() {
		return
	}
	if !s.try(ctx, RecoverReading, s.read) {
		return
	}
	s.complete.Store(true)
	if s.instance != 0 && !s.try(ctx, sourceChecking, s.check) {
		return // what was read was right then
	}
	s.dropped.Store(int64(s.r.store.DropUnconfirmed(s.n)))
	s.enter(sourceDone, nil)
	s.mu.Lock()
	s.verified = true
	s.mu.Unlock()
}

// beyond is how many times what came until memory was full is read on after that: nothing of it is taken, but what clients wrote
// here early is verified by it.
const beyond = 2

// read takes items until there are no more, or no room.
func (s *source) read(ctx context.Context) error {
	taken := int64(0)
	q := frame.StreamRequest{Mode: frame.StreamItems, Order: frame.StreamHottest}
	err := s.stream(ctx, q, func(it *store.Listed) error {
		s.bytes.Add(int64(len(it.Key) + len(it.Value)))
		switch s.r.store.Put(s.n, &it.Item, it.Heat) {
		case store.TakenStored:
			s.items.Add(1)
		case store.TakenFull:
			s.r.full.Store(true)
			if s.known.Add(1); taken == 0 {
				taken = s.bytes.Load()
			}
			if s.bytes.Load() > (1+beyond)*taken {
				return errFull
			}
		default:
			s.known.Add(1)
		}
		return nil
	})
	if errors.Is(err, errFull) {
		return nil
	}
	return err
}

// check compares what was taken with what is there now.
func (s *source) check(ctx context.Context) error {
	return s.stream(ctx, frame.StreamRequest{Mode: frame.StreamKeys}, func(it *store.Listed) error {
		s.r.store.Confirm(s.n, it.Key, it.CAS, it.Exp)
		return nil
	})
}

// stream reads one stream. It must come from the leaf that the others came from.
func (s *source) stream(ctx context.Context, q frame.StreamRequest, each func(*store.Listed) error) error {
	h, err := s.hello(ctx)
	if err != nil {
		return err
	}
	if s.instance != 0 && h.Instance != s.instance {
		return stream.ErrRestarted
	}
	res, err := stream.Reader{Conn: s.nc, Leaf: s.name, Now: s.r.l.o.Now}.Read(ctx, q, func(it *store.Listed) error {
		s.progress = time.Now()
		return each(it)
	})
	if res.Items > 0 {
		s.instance = res.Instance
	}
	if err == nil && h.Instance != res.Instance {
		return stream.ErrRestarted
	}
	return err
}

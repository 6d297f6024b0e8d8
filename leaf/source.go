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
	instance uint64 // of the leaf that was found; its items are read and no successor's
	progress time.Time
	changed  int64 // in the last check: items that were taken and had been replaced there

	items, known, large, dropped, of, bytes atomic.Int64

	looked   atomic.Bool // at all that it held, once
	complete atomic.Bool // and what changed there alone meanwhile was looked at again; or memory is full

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
	errOver   = errors.New("the recovery is over")
	errPast   = errors.New("writes go past this leaf: whenever all was read, much had changed there and not here")
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
			s.giveUp(ctx, err)
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
	return errors.Is(err, errItself) || errors.Is(err, errEmpty) || errors.Is(err, errOver) || errors.Is(err, stream.ErrRestarted) ||
		errors.As(err, &refused) && !refused.Begun
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
		s.instance = h.Instance
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

// rounds is how often a neighbour is read at most, and 1/changedShare the part of what was taken that may turn out to be old in the last.
const (
	rounds       = 3
	changedShare = 100
)

// pull takes the neighbour's items, and looks at them a second time. What has changed there and not here meanwhile goes, and comes
// when all is read again; if it is little it stays away.
func (s *source) pull(ctx context.Context) {
	if s.failed() {
		return
	}
	s.progress = time.Now() // what was waited for until now was not its fault
	for range rounds {
		if !s.try(ctx, RecoverReading, s.read) {
			return
		}
		s.looked.Store(true)
		s.changed = 0
		if s.items.Load() > 0 && !s.try(ctx, sourceChecking, s.check) {
			s.complete.Store(true) // what was read was right then
			return
		}
		s.dropped.Add(int64(s.r.store.DropUnconfirmed(s.n)))
		if s.changed*changedShare <= s.items.Load() {
			s.complete.Store(true)
			s.mu.Lock()
			s.verified = true
			s.mu.Unlock()
			s.enter(sourceDone, nil)
			return
		}
		s.r.log.Warn("recovery: much has changed at a neighbour alone, it is read again", "from", s.from, "changed", s.changed)
	}
	s.giveUp(ctx, errPast)
}

// giveUp: it does not get better.
func (s *source) giveUp(ctx context.Context, err error) {
	s.enter(sourceFailed, err)
	if ctx.Err() == nil {
		s.r.log.Warn("recovery: neighbour given up", "from", s.from, "err", err)
	}
}

// beyond is how much is read on when memory is full, in sizes of the memory, or of what came if that is more: nothing of it is taken,
// but what clients wrote here early is verified by it.
const beyond = 2

// read takes items until there are no more, or no room.
func (s *source) read(ctx context.Context) error {
	began, end := s.bytes.Load(), int64(0)
	q := frame.StreamRequest{Mode: frame.StreamItems, Order: frame.StreamHottest}
	err := s.stream(ctx, q, func(it *store.Listed) error {
		read := s.bytes.Add(int64(len(it.Key)+len(it.Value))) - began
		switch s.r.store.Put(s.n, &it.Item, it.Heat) {
		case store.TakenStored:
			s.items.Add(1)
		case store.TakenFull:
			s.r.full.Store(true)
			if s.known.Add(1); end == 0 {
				end = read + beyond*max(read, s.r.l.o.Memory)
			}
			if read > end {
				return errFull
			}
		case store.TakenLarge:
			s.large.Add(1)
		case store.TakenOver:
			return errOver
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
		if s.r.store.Confirm(s.n, it.Key, it.CAS, it.Exp) {
			s.changed++
			s.dropped.Add(1)
		}
		return nil
	})
}

// stream reads one stream. It must come from the leaf that was found: one that was started since is empty, or has what it was given.
func (s *source) stream(ctx context.Context, q frame.StreamRequest, each func(*store.Listed) error) error {
	h, err := s.hello(ctx)
	if err != nil {
		return err
	}
	if h.Instance != s.instance {
		return stream.ErrRestarted
	}
	res, err := stream.Reader{Conn: s.nc, Leaf: s.name, Now: s.r.l.o.Now}.Read(ctx, q, func(it *store.Listed) error {
		s.progress = time.Now()
		return each(it)
	})
	if err == nil && res.Instance != s.instance {
		return stream.ErrRestarted
	}
	return err
}

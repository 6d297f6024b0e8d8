// Recovery: a leaf that starts takes its neighbours' items while it serves.
//
// # What is sure
//
// A neighbour is a replica: routes send it every write that they send this leaf. What clients write here wins over what is streamed,
// and what they delete stays deleted. The hard part are writes that a leaf never sees: while it was away, and until every proxy
// has noticed that it is back, proxies write to the neighbours alone. So:
//
//  1. From the first moment the leaf serves, and takes note of each key that a client writes or tries to (store.Recovery).
//  2. It asks the neighbours which proxies speak to them, and waits until each of these says, in its hello to this leaf, that it
//     sends requests here. From then on no write begins that this leaf is not sent.
//  3. It waits for Settle, as long as a request may take, so that those which began before have ended. What clients wrote here
//     until now may have been written over, or deleted, at the neighbours alone: it is served, and checked in what follows.
//  4. It reads the neighbours' items, hottest first, as long as there is room. (Each is read by the neighbour after 3.)
//  5. It reads the neighbours' keys again, without values, and drops what was taken and is not there any more in the same state:
//     a second net, under whatever went to a neighbour alone in spite of 2. If that was more than a hundredth of what was taken, it
//     reads the items again, for what was dropped, and then the keys; three times at most.
//
// Then it is warm. A write that is acknowledged by this leaf after 3 is not lost to, nor undone by, the recovery. One before 3 is
// not undone either, but may be dropped if a neighbour has another value, or none. A write or delete that only neighbours saw is in
// what is read, if it ended before 4. This rests on the proxies' word: one that holds this leaf for dead although it lives (a link
// that broke), that is not heard of for five seconds, or that is waited for in vain (Wait), writes past it. What it wrote before 5
// is found there; what it writes later is not, as with any replica at any time.
//
// A client that chooses CAS numbers itself (the meta flag E) and gives two values of a key the same one hides a change from 5.
//
// # What happens when
//
// A neighbour that cannot be reached, falls silent, or ends a stream before its time is tried again, with growing pauses, until it has
// given nothing for Timeout; then the leaf goes on without it. One that was restarted since it was found has lost what was still to come.
// The leaf ends up warm if all gave all, or memory is full; else cold, or partly so, and says so. It is ready in each case: an orchestrator that waits for a
// neighbour which does not come back would wait for ever.
// One that recovers itself is waited for: what it has may still turn out to be old. Unless it is empty: then all were started at once.

package leaf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// Recover says whose items a leaf takes when it starts. The zero value is nobody's.
type Recover struct {
	From    []string      // names of leaves in the same NATS system, or nats://host:port/name, or tls://...; without a name: the leaf that is that server
	Timeout time.Duration // how long a neighbour may give nothing; 0: 30 s
	Settle  time.Duration // how long a request of a proxy may take; 0: 3 s
	Wait    time.Duration // how long proxies that speak to a neighbour and not to this leaf are waited for; 0: 10 s
	Connect []nats.Option // what is presented to neighbours that From gives an address of
}

const (
	defaultRecoverTimeout = 30 * time.Second
	defaultRecoverSettle  = 3 * time.Second
	defaultRecoverWait    = 10 * time.Second
)

// The states of a recovery, in order.
const (
	RecoverConnecting = "connecting" // to the neighbours
	RecoverSettling   = "settling"   // waiting until all proxies know of this leaf
	RecoverReading    = "reading"    // items
	RecoverWarm       = "warm"       // all was read, or memory is full
	RecoverPartial    = "partial"    // not all could be read
	RecoverCold       = "cold"       // nothing could be read
)

// RecoverStatus is how far a recovery is.
type RecoverStatus struct {
	State   string
	Took    time.Duration // so far, or all in all
	Items   int64         // taken
	Known   int64         // that came and were not taken: written meanwhile, here already, or gone
	Large   int64         // that came and were not taken: above this leaf's item limit
	Dropped int64         // that were taken, or written early, and had changed at the neighbours
	Of      int64         // that the neighbours said they held
	Bytes   int64         // that were read
	Full    bool          // memory: the rest was not taken
	Sources []RecoverSource
}

// RecoverSource is how far it is with one neighbour.
type RecoverSource struct {
	From     string
	State    string // connecting, settling, reading, checking, done, failed
	Items    int64  // taken from it
	Of       int64
	Verified bool  // read a second time
	Err      error // why it failed, or was last tried again
}

// Done says that the recovery is over.
func (s *RecoverStatus) Done() bool {
	return s.State == RecoverWarm || s.State == RecoverPartial || s.State == RecoverCold
}

// ErrRecovering: the leaf serves, and is not warm yet.
var ErrRecovering = errors.New("recovering")

// Recovery tells how far the recovery is; false if there was none to be.
func (l *Leaf) Recovery() (RecoverStatus, bool) {
	if l.recovery == nil {
		return RecoverStatus{}, false
	}
	return l.recovery.status(), true
}

// Warm is nil unless the leaf recovers.
func (l *Leaf) Warm() error {
	s, ok := l.Recovery()
	if !ok || s.Done() {
		return nil
	}
	of := ""
	if s.Of > 0 {
		of = fmt.Sprintf(" of about %d", s.Of)
	}
	return fmt.Errorf("%w (%s): %d items%s taken", ErrRecovering, s.State, s.Items, of)
}

// recovery is the one of a leaf.
type recovery struct {
	l       *Leaf
	o       Recover
	log     *slog.Logger
	store   *store.Recovery
	sources []*source
	began   time.Time
	ctx     context.Context // ends with the leaf
	cancel  context.CancelFunc
	full    atomic.Bool
	dropped atomic.Int64 // early ones

	mu    sync.Mutex // guards what follows
	state string
	took  time.Duration // 0 until it is over
}

// beginRecovery is called before the first request comes.
func (l *Leaf) beginRecovery() (err error) {
	o := l.o.Recover
	if len(o.From) == 0 || l.local == nil {
		return nil
	}
	r := &recovery{l: l, o: o, log: l.o.Log.With("leaf", l.o.Name), began: time.Now(), state: RecoverConnecting}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if r.store, err = l.local.Store.Recover(len(o.From)); err != nil {
		return err
	}
	for i, from := range o.From {
		r.sources = append(r.sources, newSource(r, i, from))
	}
	l.recovery = r
	return nil
}

// run does it all.
func (r *recovery) run() {
	ctx := r.ctx
	defer r.store.End()
	r.log.Info("recovery begins", "from", strings.Join(r.o.From, ","))
	stop := r.report(ctx)
	r.each(func(s *source) { s.find(ctx) })
	if r.settle(ctx) {
		r.enter(RecoverReading)
		r.each(func(s *source) { s.pull(ctx) })
	}
	if ctx.Err() == nil && slices.ContainsFunc(r.sources, func(s *source) bool { return s.looked.Load() }) {
		r.dropped.Store(int64(r.store.DropEarly()))
	}
	r.each(func(s *source) { s.close() })
	stop()
	r.finish(ctx)
}

// each calls f for every source at once and waits.
func (r *recovery) each(f func(*source)) {
	var g sync.WaitGroup
	for _, s := range r.sources {
		g.Go(func() { f(s) })
	}
	g.Wait()
}

func (r *recovery) enter(state string) {
	r.mu.Lock()
	r.state = state
	r.mu.Unlock()
	r.log.Info("recovery: "+state, "after", time.Since(r.began).Round(time.Millisecond).String())
}

// finish says how it ended.
func (r *recovery) finish(ctx context.Context) {
	items, good := int64(0), 0
	for _, s := range r.sources {
		items += s.items.Load()
		if s.complete.Load() {
			good++
		}
	}
	state := RecoverPartial
	switch {
	case good == len(r.sources):
		state = RecoverWarm
	case items == 0 && good == 0:
		state = RecoverCold
	}
	r.mu.Lock()
	r.state, r.took = state, max(1, time.Since(r.began))
	r.mu.Unlock()
	if ctx.Err() != nil {
		return // the leaf stops
	}
	st := r.status()
	level, about := slog.LevelInfo, "recovery is over"
	if state != RecoverWarm {
		level, about = slog.LevelWarn, "recovery is over, not all could be had"
	}
	r.log.Log(ctx, level, about, append(st.attrs(), "large", st.Large, "dropped", st.Dropped, "full", st.Full)...)
}

// report logs the progress now and then until stop is called.
func (r *recovery) report(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		t := time.NewTicker(5 * time.Second)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				st := r.status()
				r.log.Info("recovery goes on", st.attrs()...)
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-over }
}

func (s *RecoverStatus) attrs() []any {
	return []any{"state", s.State, "items", s.Items, "of", s.Of, "known", s.Known, "bytes", s.Bytes, "took", s.Took.Round(time.Millisecond).String()}
}

func (r *recovery) status() RecoverStatus {
	r.mu.Lock()
	st := RecoverStatus{State: r.state, Took: cmp.Or(r.took, time.Since(r.began))}
	r.mu.Unlock()
	st.Full, st.Dropped = r.full.Load(), r.dropped.Load()
	for _, s := range r.sources {
		st.Sources = append(st.Sources, s.status())
		st.Items += s.items.Load()
		st.Known += s.known.Load()
		st.Large += s.large.Load()
		st.Dropped += s.dropped.Load()
		st.Of += s.of.Load()
		st.Bytes += s.bytes.Load()
	}
	return st
}

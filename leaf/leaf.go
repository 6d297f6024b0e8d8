// Package leaf is one cache process's inside: a nats-server, a store with memcached's commands over it, and the leaf's end of
// the frame protocol between them. cmd starts leaves with Start; engine takes a Local, the same store and commands without
// NATS, as the proxy's own.
//
// A frame's way: it is taken off the proxy's connection where nats-server reads it (door.go), or the leaf's own where nats-server writes to it (direct.go), stamped, checked
// and queued (lane.go); the lane's goroutine executes its requests in order and sends the answers as one frame, or in parts as they grow (execute.go), by the way that
// leads to the proxy (inboxes.go); peer.go keeps what each proxy has not taken yet within its window; hello.go tells proxies who is here.
//
// Beside frames a leaf streams its items to who asks (streams.go: who may; outgoing.go: one of them; pace.go: how fast), and is
// flushed (flush.go).
//
// Any number of leaves may live in one process. Methods may be called concurrently. A frame's bytes belong to the leaf from
// arrival (whoever brings them copies them) to the end of its execution; Exec sees them during its call only.
package leaf

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// Leaf is a running leaf.
type Leaf struct {
	o        Options
	exec     func(r *mc.Request, dst []byte) []byte
	local    *Local // nil if Options.Exec was given
	rules    mc.Rules
	instance uint64
	began    time.Time

	srv      *server.Server             // nil if it joined a NATS system
	routeTLS atomic.Pointer[tls.Config] // as Options.Cluster.TLS, or what Reload brought
	nc       *nats.Conn
	direct   direct
	subs     []*nats.Subscription
	lanes    []*lane
	peers    *peers

	state      atomic.Int32
	announced  atomic.Pointer[time.Time] // when proxies were told that it drains; nil: not yet
	notice     time.Duration             // how long a drain waits for a proxy that says nothing to that
	members    membership
	maxPayload atomic.Int64 // of a NATS message, in bytes
	routed     []string     // leaves to which the log says that there are routes; the janitor's
	alone      bool         // the log says that there is none; the janitor's
	relays     atomic.Int64 // names that are asked for, for others
	count      counters
	streams    *streams
	handed     handedOver
	recovery   *recovery // nil: none

	quit  chan struct{}
	done  sync.WaitGroup
	close sync.Once
}

// Start starts a leaf and returns when it serves. ctx bounds the starting only.
func Start(ctx context.Context, o Options) (*Leaf, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Leaf{
		o: o, exec: o.Exec, rules: mc.Rules{MaxValue: o.MaxItem}, began: o.Now(),
		peers: newPeers(o.MaxProxies, o.Lanes, o.Window),
		quit:  make(chan struct{}), notice: usualNotice,
	}
	l.members.start(o.Epoch)
	l.streams = newStreams(l)
	l.routeTLS.Store(o.Cluster.TLS)
	for l.instance == 0 {
		l.instance = o.Random()
	}
	if err := l.start(ctx); err != nil {
		atOnce, cancel := context.WithCancel(ctx)
		cancel()
		l.stop(atOnce)
		return nil, fmt.Errorf("cannot start leaf %q: %w", o.Name, err)
	}
	o.Log.Info("leaf serves", "leaf", o.Name, "addr", l.URL(), "instance", l.instance, "lanes", o.Lanes)
	return l, nil
}

// startLimit bounds a start whose context has no end.
const startLimit = 30 * time.Second

func (l *Leaf) start(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if l.exec == nil {
		l.o.stats = l.appendStats
		if l.local, err = NewLocal(l.o); err != nil {
			return err
		}
		l.exec = l.local.Exec
		if err := l.beginRecovery(); err != nil {
			return err
		}
	}
	l.direct.log, l.direct.patience = l.o.Log.With("leaf", l.o.Name), doorPatience
	var own nats.InProcessConnProvider
	if l.o.NATS == "" {
		if l.srv, own, err = embed(ctx, &l.o, &l.direct); err != nil {
			return err
		}
	}
	if l.nc, err = connect(&l.o, l.srv, own, l.connected); err != nil {
		return err
	}
	l.connected(l.nc)
	if most := l.nc.MaxPayload(); most < minPayload {
		return fmt.Errorf("NATS allows messages of %d bytes: want at least %d", most, minPayload)
	}
	if err := l.subscribe(frame.HelloSubject(l.o.Name), l.hello); err != nil {
		return err
	}
	if l.o.Cluster.Listen != "" {
		if err := l.subscribe(relaySubject, l.relay); err != nil {
			return err
		}
	}
	if err := l.checkName(ctx); err != nil {
		return err
	}
	for i := range l.o.Lanes {
		ln := newLane(l, i)
		l.lanes = append(l.lanes, ln)
		l.done.Go(func() { ln.run(l.quit) })
	}
	l.done.Go(l.janitor)
	l.done.Go(l.watchName)
	l.direct.open(l.o.Name, l.lanes)
	for i, ln := range l.lanes {
		if err := l.subscribe(frame.LaneSubject(l.o.Name, i), ln.message); err != nil {
			return err
		}
	}
	for _, offer := range []func() error{l.offerStreams, l.offerFlush} {
		if err := offer(); err != nil {
			return err
		}
	}
	if err := l.nc.FlushWithContext(ctx); err != nil {
		return err
	}
	// By now it has subscribed to all it wants, and published to a leaf and to an inbox when it asked for its name.
	if err := l.nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		return fmt.Errorf("NATS does not let it do what a leaf does: %w", err)
	}
	l.state.Store(stateServing)
	if l.recovery != nil {
		l.done.Go(l.recovery.run)
	}
	return nil
}

// connected learns what the server at hand allows.
func (l *Leaf) connected(nc *nats.Conn) {
	l.maxPayload.Store(min(nc.MaxPayload(), int64(l.o.MaxPayload)))
}

// subscribe adds a subscription from which nats.go never drops. What waits is bounded by us: lanes queue and refuse at once.
func (l *Leaf) subscribe(subject string, f nats.MsgHandler) error {
	s, err := l.nc.Subscribe(subject, f)
	if err == nil {
		l.subs = append(l.subs, s)
		err = s.SetPendingLimits(-1, -1)
	}
	if err != nil {
		return fmt.Errorf("cannot subscribe to %q: %w", subject, err)
	}
	return nil
}

// Name is the leaf's name.
func (l *Leaf) Name() string { return l.o.Name }

// Instance is this start's number; frames for another are refused.
func (l *Leaf) Instance() uint64 { return l.instance }

// Addr is host:port of the embedded server; "" for a leaf that joined a NATS system.
func (l *Leaf) Addr() string { return l.addr() }

// URL is where a proxy reaches the leaf, in the form that pools take.
func (l *Leaf) URL() string {
	if l.srv == nil {
		return joined(l.o.NATS, l.o.Name)
	}
	if l.o.TLS != nil {
		return "tls://" + l.addr()
	}
	return "nats://" + l.addr()
}

// Local is the leaf's store and commands; nil if Options.Exec replaced them.
func (l *Leaf) Local() *Local { return l.local }

// charge notes bytes of requests that wait, or refuses them.
func (l *Leaf) charge(p *peer, n int) bool { return l.admit(&l.count.pending, &p.pending, n) }

func (l *Leaf) uncharge(p *peer, n int) {
	l.count.pending.Add(int64(-n))
	p.pending.Add(int64(-n))
}

// chargeTold is charge for memberships. They have an account of their own: one that is refused is not told again on its lane, so that what was stored
// before is served to nobody, and it comes when there is much to do.
func (l *Leaf) chargeTold(p *peer, n int) bool { return l.admit(&l.count.told, &p.told, n) }

func (l *Leaf) unchargeTold(p *peer, n int) {
	l.count.told.Add(int64(-n))
	p.told.Add(int64(-n))
}

// admit adds n bytes to what waits, of all proxies and of one, unless that is too much then. A single thing is never too much.
func (l *Leaf) admit(all, own *atomic.Int64, n int) bool {
	size, limit := int64(n), int64(l.o.MaxPending)
	if a, o := all.Add(size), own.Add(size); (a > limit && a > size) || (o > limit/2 && o > size) {
		all.Add(-size)
		own.Add(-size)
		return false
	}
	return true
}

// refuse answers a frame of which nothing was, or will be, executed.
func (l *Leaf) refuse(reply string, id uint64, why frame.Reason) {
	l.count.refused[why].Add(1)
	h := frame.Header{
		Flags: frame.FlagAnswer | frame.FlagRefused, Reason: why,
		Instance: l.instance, ID: id, Epoch: l.members.fenced.Load(),
	}
	var msg [frame.Size]byte
	h.Put(msg[:])
	if err := l.publish(reply, msg[:]); err != nil {
		l.count.lost.Add(1)
	}
}

// publish sends what proxies are told, all of it by one way so that it comes in this order: past nats-server if that leads to the proxy. msg is copied.
func (l *Leaf) publish(reply string, msg []byte) error {
	if ours, err := l.direct.publish(reply, msg); ours {
		return err
	}
	return l.nc.Publish(reply, msg)
}

// acked notes an acknowledgement and lets the proxy's parked frames go on.
func (l *Leaf) acked(p *peer, n uint64) {
	p.ack(n)
	if p.room(0, l.o.MaxItem) {
		l.resume(p)
	}
}

// resume makes every lane that has frames of p parked look at them again.
func (l *Leaf) resume(p *peer) {
	for i := range p.parked {
		if p.parked[i].CompareAndSwap(true, false) {
			l.lanes[i].push(work{peer: p, resume: true})
		}
	}
}

// janitor lets what waits in vain expire.
func (l *Leaf) janitor() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-l.quit:
			return
		}
		now := l.o.Now()
		for _, ln := range l.lanes {
			ln.partsMu.Lock()
			ln.parts.Expire(now.Sub(l.began).Nanoseconds())
			ln.partsMu.Unlock()
		}
		for _, p := range l.peers.all() {
			l.resume(p) // frames of a proxy that does not acknowledge expire where they are parked
		}
		l.peers.forget(now)
		l.cool(now)
		l.tellRoutes()
	}
}

// Close stops the leaf. Proxies are told to stay away, what they have sent is answered, and then everything is closed; when
// ctx ends, at once. The items are gone.
func (l *Leaf) Close(ctx context.Context) error {
	l.close.Do(func() {
		l.Drain(ctx)
		l.stop(ctx)
	})
	return nil
}

// stop closes whatever was started. Who is connected to the server is let go in order, until ctx ends.
func (l *Leaf) stop(ctx context.Context) {
	if l.recovery != nil {
		l.recovery.cancel()
	}
	l.members.endPull()
	l.streams.stop() // and none begins while we wait for those below
	for _, s := range l.subs {
		_ = s.Unsubscribe() // the connection is closed next
	}
	if l.nc != nil {
		l.nc.Close()
	}
	l.direct.close()
	close(l.quit)
	l.done.Wait()
	if l.srv != nil {
		l.letGo(ctx)
		l.srv.Shutdown()
		l.srv.WaitForShutdown()
	}
	if l.local != nil {
		l.local.Close()
	}
}

// letGo has the server let go of its clients one after the other, and then end.
func (l *Leaf) letGo(ctx context.Context) {
	if l.o.LameDuck <= 0 || ctx.Err() != nil {
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		l.srv.LameDuckShutdown()
	}()
	select {
	case <-gone:
	case <-ctx.Done():
		l.srv.Shutdown() // that ends the other, too
		<-gone
	}
}

func randomInstance() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

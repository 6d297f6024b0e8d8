// DNS: the members of a pool are what a name resolves to. Headless services of Kubernetes are found so.

package topo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// DNSOptions are a DNS's. The zero value is usable.
type DNSOptions struct {
	Resolver Resolver      // nil: the system's
	Interval time.Duration // between two questions, give or take a fifth; 0: 5 s
	Timeout  time.Duration // of a question, and of a probe; 0: 2 s
	Probe    Probe         // nil: members that are not named any more are believed to be gone
	Log      *slog.Logger  // nil: nothing is logged
}

// DNS is a Source of pools that are called after a question (see parseDNS), as a Ref has it. It asks again and again; an answer without
// addresses, or none, leaves the last one in force. Members that are lost by a Suspicious answer stay until they do not answer, either.
// Its memberships have no epoch: proxies ask at different times, and no leaf is fenced.
type DNS struct {
	o      DNSOptions
	ctx    context.Context // ends with Close
	cancel func()
	done   sync.WaitGroup

	mu     sync.Mutex
	names  map[string]*dnsName
	asked  bool // a name has ever been watched
	status Status
}

// dnsName is one name that is watched.
type dnsName struct {
	feed
	question question
	pool     string
	asking   sync.Mutex // one question at a time
	stop     func()

	watched int    // how many watch; DNS.mu guards it, and
	problem string // why the last question was not answered; "": it was
}

var _ Source = (*DNS)(nil)

// NewDNS makes a DNS, which asks nothing before somebody watches.
func NewDNS(o DNSOptions) *DNS {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Interval <= 0 {
		o.Interval = 5 * time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	d := &DNS{o: o, names: map[string]*dnsName{}, status: Status{Source: "dns"}}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// used reports whether a name has ever been watched.
func (d *DNS) used() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

// Watch implements Source.
func (d *DNS) Watch(ref string, tell func(Snapshot)) (stop func()) {
	from, pool := cutRef(ref)
	q, err := parseDNS(from)
	if err != nil {
		d.o.Log.Error("a pool has no membership", "pool", ref, "err", err)
		return func() {}
	}
	d.mu.Lock()
	d.asked = true
	n := d.names[ref]
	if n == nil {
		ctx, cancel := context.WithCancel(d.ctx)
		n = &dnsName{question: q, pool: pool, stop: cancel}
		d.names[ref] = n
		d.done.Go(func() { d.follow(ctx, n) })
	}
	n.watched++
	d.mu.Unlock()
	end := n.watch(tell)
	return func() {
		end()
		d.mu.Lock()
		defer d.mu.Unlock()
		if n.watched--; n.watched == 0 {
			n.stop()
			delete(d.names, ref)
		}
	}
}

// follow asks for n until ctx ends. A first answer is sought more eagerly.
func (d *DNS) follow(ctx context.Context, n *dnsName) {
	t := time.NewTimer(0)
	defer t.Stop()
	for eager := 100 * time.Millisecond; ; eager = min(2*eager, d.o.Interval) {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		_, err := d.ask(ctx, n)
		wait := time.Duration(float64(d.o.Interval) * (0.8 + 0.4*rand.Float64()))
		if _, known := n.get(); err != nil && !known {
			wait = min(wait, eager)
		}
		t.Reset(wait)
	}
}

// ask asks once, and tells of what has changed.
func (d *DNS) ask(ctx context.Context, n *dnsName) (Snapshot, error) {
	n.asking.Lock()
	defer n.asking.Unlock()
	question, cancel := context.WithTimeout(ctx, d.o.Timeout)
	ms, err := n.question.resolve(question, d.o.Resolver)
	cancel()
	if ctx.Err() != nil {
		return Snapshot{}, ctx.Err()
	}
	if err == nil && len(ms) == 0 {
		err = errors.New("the answer has no address")
	}
	last, known := n.get()
	d.heard(n, err)
	if err != nil {
		return last, fmt.Errorf("cannot resolve %q: %w", n.question.String(), err)
	}
	if known {
		probing, cancel := context.WithTimeout(ctx, d.o.Timeout)
		defer cancel()
		var kept int
		if ms, kept = Guard(probing, d.o.Probe, last.Members, ms); kept > 0 {
			d.held(n, kept)
		}
	}
	s := Snapshot{Pool: n.pool, Members: ms, Since: time.Now()}
	if n.tell(s) {
		d.mu.Lock()
		d.status.Changes++
		d.mu.Unlock()
	}
	return s, nil
}

// heard notes how a question was answered. A problem is logged once.
func (d *DNS) heard(n *dnsName, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := n.problem
	switch n.problem = ""; {
	case err == nil:
		d.status.LastNews = time.Now()
		if was != "" {
			d.o.Log.Info("name can be resolved again", "name", n.question.String())
		}
	default:
		n.problem = fmt.Sprintf("cannot resolve %q: %v", n.question.String(), err)
		if was == "" {
			d.o.Log.Error("name cannot be resolved: its last answer serves on", "name", n.question.String(), "err", err)
		}
	}
}

// held notes that members are kept that DNS does not name any more.
func (d *DNS) held(n *dnsName, kept int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.status.Refused++
	d.o.Log.Warn("members that DNS does not name any more answer: they stay", "name", n.question.String(), "members", kept)
}

// Refresh implements Source.
func (d *DNS) Refresh(ctx context.Context, ref string) (Snapshot, error) {
	d.mu.Lock()
	n := d.names[ref]
	d.mu.Unlock()
	if n == nil {
		return Snapshot{}, ErrUnknownPool
	}
	return d.ask(ctx, n)
}

// Applied implements Source.
func (d *DNS) Applied(string, uint64) {}

// Settled implements Source: nobody knows.
func (d *DNS) Settled(string, uint64) bool { return false }

// Status implements Source. It is connected if every name could be resolved when it was last tried.
func (d *DNS) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.status
	s.Connected = true
	for _, n := range d.names {
		if n.problem != "" {
			s.Connected, s.LastError = false, n.problem
		}
	}
	return s
}

// Close implements Source.
func (d *DNS) Close() error {
	d.cancel()
	d.done.Wait()
	return nil
}

// Pool: a name, a hash, a distribution, and a membership that is swapped whole.

package pools

import (
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/engine/stat"
	"github.com/tidepool-proxy/tidepool/pools/backend"
	"github.com/tidepool-proxy/tidepool/pools/hash"
)

// Target is what a request can be sent to: a *Pool, or anything that stands in for one. p.Waiter is told exactly once.
type Target interface {
	Send(r *mc.Request, p *backend.Pending)
}

// Options describe a pool. The zero value is memcached's proxy's default: jump over XXH3, no seed, no filter.
type Options struct {
	Name       string
	Dist       Dist   // "": DistJump
	Hash       Hash   // "": what users of Dist have: MD5 for ketama, one_at_a_time for consistent and modula, else HashXXH3
	Seed       string // hashed into the numeric seed; "": seed 0
	Salt       string // mcrouter's: follows the key when a DistCh3, DistCRC32 or DistWeightedCh3 hashes it
	Filter     string // "", "stop" or "tags": which part of the key is hashed
	FilterConf string // two to five bytes; required with Filter
	HashTag    string // twemproxy's way of Filter "tags": two bytes, and the whole key where nothing is between them
	OMode      string // DistRing's point names: "" or "default", "ketama", "twemproxy", "evcache"
	OBuckets   int    // DistRing's points per backend; 0: 160

	// Latency gives where a backend's latencies are counted: Send notes it in each Pending. nil: nowhere.
	Latency func(pool, backend string) *stat.Histogram

	IntN func(n int) int // of DistRandom; nil: chance
}

// Member is one backend of a pool.
type Member struct {
	Backend    backend.Backend
	Name       string  // what DistRendezvous hashes; "": Backend.Name()
	Host, Port string  // what DistRing hashes, and DistKetama and DistConsistent without a port of 11211
	HashName   string  // what all of those hash instead, but DistRing; "": the above
	Weight     float64 // for the distributions that have weights; 0: 1 (DistWeightedCh3: 0.5 if another member has one)
	Drained    bool    // of weight 0: gets no keys; DistWeightedCh3 only
}

// membership is what a Pool consists of at one moment. Immutable.
type membership struct {
	epoch   uint64
	members []Member
	latency []*stat.Histogram // by member; nil without Options.Latency
	dist    hash.Dist         // or
	byKey   hash.KeyDist      // what hashes keys itself

	term     *backend.Term // of SetMembership; nil: it came by SetMembers
	says     frame.Membership
	replaced map[backend.Backend]*backend.Term // what those are told in place of term whose names others have
	plain    atomic.Bool                       // order.go
	fence
	warming
}

// Pool places keys on backends.
type Pool struct {
	o      Options
	hash   hash.Func
	seed   uint64
	filter hash.Filter

	mu sync.Mutex // serialises SetMembers and SetMembership
	m  atomic.Pointer[membership]

	order     order     // order.go
	queues    queues    // queue.go
	refreshes refreshes // retry.go
	moving    moving    // move.go
}

var _ Target = (*Pool)(nil)

// New makes a pool. Errors that memcached's proxy has too bear its words. No members is no error: requests are
// answered with backend.ErrNoBackend until SetMembers brings some.
func New(o Options, members []Member) (*Pool, error) {
	p := &Pool{o: o}
	p.queues.seed = maphash.MakeSeed()
	var err error
	if p.hash, err = o.hashFunc(); err != nil {
		return nil, err
	}
	if o.Seed != "" {
		p.seed = hash.Seed(o.Seed)
	}
	if p.filter, err = o.newFilter(); err != nil {
		return nil, err
	}
	if err := p.SetMembers(0, members); err != nil {
		return nil, err
	}
	return p, nil
}

// SetMembers swaps the membership. Requests see the old or the new one, never a mixture; those already sent go on where
// they are. An epoch older than the present one is refused, so that news which overtook one another cannot undo the
// newer; the members are copied.
func (p *Pool) SetMembers(epoch uint64, members []Member) error {
	m, err := p.newMembership(epoch, members)
	if err != nil {
		return err
	}
	p.mu.Lock()
	old := p.m.Load()
	err = p.succeed(old, m)
	p.mu.Unlock()
	if err == nil {
		m.welcome(old)
		p.advance()
	}
	return err
}

func (p *Pool) newMembership(epoch uint64, members []Member) (*membership, error) {
	m := &membership{epoch: epoch, members: append([]Member(nil), members...)}
	for i := range m.members {
		if m.members[i].Backend == nil {
			return nil, fmt.Errorf("cannot set members of pool %q: members[%d] has no backend", p.o.Name, i+1)
		}
		if m.members[i].Name == "" {
			m.members[i].Name = m.members[i].Backend.Name()
		}
	}
	if err := p.distribute(m); err != nil {
		return nil, err
	}
	if p.o.Latency != nil {
		for _, mb := range m.members {
			m.latency = append(m.latency, p.o.Latency(p.o.Name, mb.Backend.Name()))
		}
	}
	return m, nil
}

func (p *Pool) swapLocked(m *membership) error {
	if old := p.m.Load(); old != nil && m.epoch < old.epoch {
		return fmt.Errorf("cannot set members of pool %q: epoch %d is older than %d", p.o.Name, m.epoch, old.epoch)
	}
	p.m.Store(m)
	return nil
}

// Pick gives the backend for key and its place in Members, or -1 and nil if the pool is empty. A base64 key (meta flag b)
// is hashed as written, as upstream.
func (p *Pool) Pick(key []byte) (int, backend.Backend) {
	m := p.m.Load()
	i := p.place(m, key)
	if i < 0 {
		return -1, nil
	}
	return i, m.members[i].Backend
}

// place gives the place of key's backend in m, or -1 if m is empty.
func (p *Pool) place(m *membership, key []byte) int {
	if len(m.members) == 0 {
		return -1
	}
	if m.byKey != nil {
		return m.byKey.PickKey(p.filter.Apply(key))
	}
	return m.dist.Pick(p.hash(p.filter.Apply(key), p.seed))
}

// Place tells how a key is placed.
type Place struct {
	Hashed []byte // the part of the key that is hashed
	Hash   uint64 // 0 if the distribution hashes keys itself: ByKey
	ByKey  bool
	Index  int // in Members, or -1 if the pool is empty
	Member Member
}

// Explain places key as Send does.
func (p *Pool) Explain(key []byte) Place {
	m := p.m.Load()
	at := Place{Hashed: p.filter.Apply(key), ByKey: m.byKey != nil, Index: p.place(m, key)}
	if !at.ByKey {
		at.Hash = p.hash(at.Hashed, p.seed)
	}
	if at.Index >= 0 {
		at.Member = m.members[at.Index]
	}
	return at
}

// Send sends r to the backend of its key.
func (p *Pool) Send(r *mc.Request, pe *backend.Pending) {
	if bad := mc.CheckWire(r); bad != mc.BadNone { // a backend would answer it twice or not at all, and every later answer go astray
		answerBad(r, bad, pe)
		return
	}
	m := p.m.Load()
	if i := p.place(m, r.Key); i >= 0 {
		if m.latency != nil {
			pe.Latency = m.latency[i]
		}
		if m.term != nil {
			p.sendBy(m, i, r, pe)
			return
		}
		m.members[i].Backend.Send(r, pe)
		return
	}
	backend.Refuse(pe, backend.ErrNoBackend)
}

// answerBad answers a request that must not travel, as a backend that has a connection for it alone would.
func answerBad(r *mc.Request, bad mc.Bad, pe *backend.Pending) {
	refused := *r
	refused.Bad = bad
	pe.Buf = mc.AnswerBad(pe.Buf[:0], &refused, &mc.Rules{Routed: true})
	if n, _, err := mc.ParseResponse(pe.Buf, &pe.Resp); err != nil || n != len(pe.Buf) {
		backend.Refuse(pe, backend.ErrRefused) // a kind of Bad that is answered by closing
		return
	}
	pe.End = pe.Start // as Refuse does
	if w := pe.Waiter; w.Done(pe) {
		w.Wake()
	}
}

// Name is the pool's name.
func (p *Pool) Name() string { return p.o.Name }

// Options are what the pool was made from.
func (p *Pool) Options() Options { return p.o }

// Members is the present membership; the slice is shared and must not be changed.
func (p *Pool) Members() []Member { return p.m.Load().members }

// Epoch is the present membership's epoch.
func (p *Pool) Epoch() uint64 { return p.m.Load().epoch }

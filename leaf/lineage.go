// Lineage: the memberships that this leaf has lived through, and what of its items still counts by them.

package leaf

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/command"
	"github.com/tidepool-proxy/tidepool/leaf/store"
	"github.com/tidepool-proxy/tidepool/pools/hash"
)

// maxAges is how many memberships are remembered. Items are judged by a sweep soon after each, so few are looked back to.
const maxAges = 64

// placement is how one membership places keys.
type placement struct {
	names  []string
	me     int // -1: it does not count this leaf
	dist   *hash.Rendezvous
	hash   hash.Func
	seed   uint64
	filter hash.Filter
	rule   [5]string // what tells it from another of the same members
}

var errPlacement = errors.New("keys are not placed by rendezvous")

func newPlacement(m *frame.Membership, leaf string) (*placement, error) {
	if m.Dist != "" {
		return nil, errPlacement
	}
	p := &placement{me: -1, rule: [...]string{m.Hash, m.Seed, m.Filter, m.FilterConf, m.HashTag}}
	nodes := make([]hash.Node, len(m.Members))
	for i, mb := range m.Members {
		nodes[i] = hash.Node{Name: mb.Name, Weight: mb.Weight}
		p.names = append(p.names, mb.Name)
		if mb.Leaf == leaf || mb.Leaf == "" && mb.Name == leaf {
			p.me = i
		}
	}
	var err error
	if p.dist, err = hash.NewRendezvous(nodes); err != nil {
		return nil, err
	}
	name := m.Hash
	if name == "" {
		name = "xxh3"
	}
	ok := false
	if p.hash, ok = hash.ByName(name); !ok {
		return nil, fmt.Errorf("unknown hash %q", name)
	}
	if m.Seed != "" {
		p.seed = hash.Seed(m.Seed)
	}
	if m.HashTag != "" {
		p.filter, err = hash.NewHashTag(m.HashTag)
	} else {
		p.filter, err = hash.NewFilter(m.Filter, m.FilterConf)
	}
	return p, err
}

// owner is the place of the owner of a key, as written; -1: there is none.
func (p *placement) owner(key []byte) int { return p.dist.Pick(p.hash(p.filter.Apply(key), p.seed)) }

// name is a member's, "" for none.
func (p *placement) name(i int) string {
	if i < 0 {
		return ""
	}
	return p.names[i]
}

// age is the time of one membership.
type age struct {
	epoch  uint64
	from   uint32       // the store's number: what was stored since has this or a greater one
	places []*placement // more than one if pools place the keys of the same leaves in different ways; none: not known
	gap    bool         // before it there was one that this leaf has not heard of, or does not remember
}

// owner is whose a key is, and whether that is this leaf.
func (a *age) owner(key []byte) (name string, mine bool) {
	for _, p := range a.places {
		if i := p.owner(key); i < 0 || i != p.me {
			return p.name(i), false
		}
	}
	return "", true
}

// lineage is what is known at one moment. Immutable.
type lineage struct {
	ages  []age // by epoch; what was stored before the first counts as stored in it
	warms bool  // who owns a key now may ask for what was stored when this leaf did
}

// kept is the store's Keeper.
func (l *lineage) kept(key []byte, bits uint8, number uint32) store.Keeping {
	k, _, _ := l.judge(key, bits, number)
	return k
}

// judge says for what an item is kept, and for a store.KeptPast who has owned its key since which epoch.
func (l *lineage) judge(key []byte, bits uint8, number uint32) (k store.Keeping, heir string, since uint64) {
	at := len(l.ages) - 1
	for at > 0 && l.ages[at].from > number {
		at--
	}
	if a := &l.ages[at]; at == 0 && a.gap && a.from > number {
		return store.KeptNot, "", 0
	}
	var coded [base64Key]byte
	if bits&command.BitBinaryKey != 0 { // placed as it is written
		key = base64.StdEncoding.AppendEncode(coded[:0], key)
	}
	lost := false
	for i := at; i < len(l.ages); i++ {
		a := &l.ages[i]
		switch {
		case i > at && a.gap:
			return store.KeptNot, "", 0
		case len(a.places) == 0 && i == len(l.ages)-1:
			return store.KeptUnknown, "", 0 // somebody will tell
		case len(a.places) == 0:
			return store.KeptNot, "", 0
		}
		switch name, mine := a.owner(key); {
		case mine:
			if lost {
				return store.KeptNot, "", 0 // it was another's meanwhile
			}
		case i == at:
			return store.KeptNot, "", 0 // it was never this leaf's
		case !lost:
			lost, heir, since = true, name, a.epoch
		case name != heir:
			return store.KeptNot, "", 0 // the first heir may know better
		}
	}
	switch {
	case !lost:
		return store.KeptOwned, "", 0
	case l.warms:
		return store.KeptPast, heir, since
	}
	return store.KeptNot, "", 0
}

// base64Key is room for the longest key in base64, in bytes.
const base64Key = (mc.MaxKey + 2) / 3 * 4

// follows reports whether the age after the present ones is the one that replaced the membership of the last.
func follows(ages []age, after uint64) bool {
	return len(ages) == 0 || after == 0 || after == ages[len(ages)-1].epoch
}

// with gives the lineage with one age more.
func (l *lineage) with(a age, after uint64, warms bool) *lineage {
	next := &lineage{warms: warms}
	if n := len(l.ages); n > 0 {
		last := l.ages[n-1]
		a.gap = !follows(l.ages, after)
		if a.from <= last.from { // items were numbered anew, and what was lost is gone
			last.from = 0
			next.ages = []age{last}
		} else {
			next.ages = slices.Clone(l.ages[max(0, n-maxAges+1):])
		}
	}
	if len(l.ages) >= maxAges {
		next.ages[0].gap = true
	}
	next.ages = append(next.ages, a)
	return next
}

// find is the place of an epoch's age; -1: it is not remembered.
func (l *lineage) find(epoch uint64) int {
	return slices.IndexFunc(l.ages, func(a age) bool { return a.epoch == epoch })
}

// knowing gives the lineage with more known of its i-th age: how one of the proxies' pools places keys.
func (l *lineage) knowing(i int, p *placement, after uint64, warms bool) *lineage {
	next := &lineage{ages: slices.Clone(l.ages), warms: l.warms}
	if i == len(l.ages)-1 {
		next.warms = l.warms && len(l.ages[i].places) > 0 || warms
	}
	a := &next.ages[i]
	a.places = append(slices.Clone(a.places), p)
	a.gap = a.gap || !follows(next.ages[:i], after)
	return next
}

// epochTime is the moment at which an epoch was decided, if epochs are times, Unix milliseconds.
func epochTime(epoch uint64) int64 { return int64(min(epoch, math.MaxInt64)) }

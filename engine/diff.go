// Diff: what another configuration would change. Neither opens a connection.

package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// DiffOptions say what is asked.
type DiffOptions struct {
	Command string   // whose requests are placed; "": get
	Tag     string   // of the listener that they come from
	Keys    []string // a sample; none: Sample keys are made up
	Sample  int      // 0: 100,000
	Seed    uint64   // of made-up keys
}

// Difference is what changes from one configuration to another.
type Difference struct {
	Command string        `json:"command"`
	Tag     string        `json:"tag,omitempty"`
	Routes  []RouteChange `json:"routes"`
	Pools   []PoolChange  `json:"pools"`
	Keys    Movement      `json:"keys"`
}

// None reports that both configurations send every request where the other does, as far as the sample tells.
func (d *Difference) None() bool {
	for _, p := range d.Pools {
		if p.Moved > 0 {
			return false
		}
	}
	return len(d.Routes) == 0 && d.Keys.Moved == 0
}

// Movement is what becomes of the keys of the sample. A key moves if it does not go to the same backends as before; what it is called
// there, and the pool by which it comes, do not matter.
type Movement struct {
	Total    int         `json:"total"`
	Made     bool        `json:"made_up"`
	Moved    int         `json:"moved"`
	InLua    int         `json:"placed_by_lua"` // in the configuration where those are more
	Unsteady float64     `json:"unsteady"`      // the share that goes elsewhere when it is placed a second time: chance, or state
	Pools    []PoolMoves `json:"pools"`
}

// Moves are numbers of keys. In are those of After that did not go to that backend before by any pool; Out are those of Before that do not go
// there any more. A pool's are those that are so of one of its backends.
type Moves struct {
	Before int `json:"before"`
	After  int `json:"after"`
	In     int `json:"in"`
	Out    int `json:"out"`
}

// PoolMoves are the keys of a pool, and of each of its backends.
type PoolMoves struct {
	Pool string `json:"pool"` // "": none
	Moves
	Backends []BackendMoves `json:"backends"`
}

// BackendMoves are those of a backend in one pool.
type BackendMoves struct {
	Backend string `json:"backend"`
	Label   string `json:"label,omitempty"`
	Moves
}

// Diff loads both configurations as Check does, and compares them. Files and what goes with them come from before and after; errors of
// the files are Check's.
func Diff(before, after Options, o DiffOptions) (*Difference, error) {
	if o.Command == "" {
		o.Command = "get"
	}
	var sides [2]*side
	for i, opts := range []Options{before, after} {
		d, err := newSide(opts, [...]string{"the old configuration", "the new one"}[i], o.Tag, o.Command)
		if err != nil {
			return nil, err
		}
		defer d.close()
		sides[i] = d
	}
	old, now := sides[0], sides[1]
	if err := old.g.knowsTag(o.Tag); err != nil && now.g.knowsTag(o.Tag) != nil {
		return nil, err
	}
	ids := identities(old.specs(), now.specs())
	old.open(ids)
	now.open(ids)
	keys, made := o.Keys, len(o.Keys) == 0
	if made {
		keys = sample(o, old, now)
	}
	d := &Difference{Command: o.Command, Tag: o.Tag, Routes: diffRoutes(old, now)}
	d.Pools = diffPools(old, now, keys)
	var err error
	d.Keys, err = movement(old, now, keys)
	d.Keys.Made = made
	return d, err
}

// sample makes keys up: as many with each prefix that a router of either side knows as without one.
func sample(o DiffOptions, sides ...*side) []string {
	n := o.Sample
	if n <= 0 {
		n = 100_000
	}
	var heads []func(rest string) string
	seen := map[string]bool{}
	for _, d := range sides {
		r := d.route(d.tag, d.cmd)
		if r == nil || r.Router == nil {
			continue
		}
		for _, p := range r.Router.Prefixes() {
			if head := r.Router.Key(p, ""); !seen[head] && ValidKey(head) && len(head) <= mc.MaxKey-20 {
				seen[head] = true
				heads = append(heads, func(rest string) string { return head + rest })
			}
		}
	}
	heads = append(heads, func(rest string) string { return rest })
	random := rand.New(rand.NewPCG(o.Seed, 1))
	keys := make([]string, n)
	for i := range keys {
		keys[i] = heads[i%len(heads)](fmt.Sprintf("%016x", random.Uint64()))
	}
	return keys
}

// whereabouts are where one side has the keys of a sample: those of key i are spots[ends[i-1]:ends[i]].
type whereabouts struct {
	spots    []int32
	ends     []int
	unsteady float64
	err      error
}

func (p *whereabouts) of(i int) []int32 {
	if i == 0 {
		return p.spots[:p.ends[0]]
	}
	return p.spots[p.ends[i-1]:p.ends[i]]
}

// twice is how many keys are placed a second time, to see whether that is the same.
const twice = 1000

func (d *side) placeAll(keys []string) (p whereabouts) {
	p.ends = make([]int, 0, len(keys))
	for _, key := range keys {
		spots, err := d.place(key)
		if err != nil {
			p.err = err
			return p
		}
		p.spots = append(p.spots, spots...)
		p.ends = append(p.ends, len(p.spots))
	}
	native, lua := d.native, d.inLua
	other, n := 0, min(twice, len(keys))
	for i := range n {
		at := i * (len(keys) / n)
		spots, err := d.place(keys[at])
		if err == nil && !slices.Equal(spots, p.of(at)) {
			other++
		}
	}
	d.native, d.inLua = native, lua
	p.unsteady = float64(other) / float64(max(n, 1))
	return p
}

// movement places every key on both sides.
func movement(old, now *side, keys []string) (m Movement, err error) {
	var before, after whereabouts
	var both sync.WaitGroup
	both.Go(func() { before = old.placeAll(keys) })
	both.Go(func() { after = now.placeAll(keys) })
	both.Wait()
	if before.err != nil || after.err != nil {
		if err = before.err; err == nil {
			err = after.err
		}
		return m, err
	}
	m.Total, m.InLua = len(keys), max(old.inLua, now.inLua)
	m.Unsteady = max(before.unsteady, after.unsteady)
	t := newTable(old.spots, now.spots)
	for i := range keys {
		if t.count(before.of(i), after.of(i)) {
			m.Moved++
		}
	}
	m.Pools = t.pools()
	return m, nil
}

// One side of a Diff: a configuration, and where it sends keys.

package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Spot is where a key may go.
type Spot struct {
	Pool    string // "": none
	Backend string // its identity; OwnStore, or Nowhere
	Label   string // what people call it; "": Backend
}

// What stands for a backend where there is none.
const (
	OwnStore = "the proxy's own store"
	Nowhere  = "no backend" // the route answers by itself, an error perhaps
)

// side finds where the keys of a sample go in one configuration.
type side struct {
	*rehearsal
	name     string
	tag      string
	cmd      mc.Cmd
	before   string // what a request has before its key, and behind it
	behind   string
	ids      map[backend.Backend]string
	spec     map[backend.Backend]pools.Spec
	spots    []Spot
	number   map[Spot]int32
	pools    map[*pools.Pool][]int32 // the spots of a pool's members
	none     int32
	own      int32
	line     []byte
	now      []int32 // the spots of the key that is being placed
	native   int     // keys whose pool was known without running Lua
	inLua    int
	asked    bool // whether the proxy\'s own store was, for the key that is being placed
	failures int  // of scripts
}

func newSide(o Options, name, tag, command string) (*side, error) {
	d := &side{name: name, tag: tag, number: map[Spot]int32{}, pools: map[*pools.Pool][]int32{}, ids: map[backend.Backend]string{}, spec: map[backend.Backend]pools.Spec{}}
	const key = "KEY" // which is nowhere else in a request
	request, err := OneRequest(command, key)
	if err != nil {
		return nil, err
	}
	d.before, d.behind, _ = strings.Cut(request, key)
	d.cmd, _ = mc.CmdByName(command)
	o.Local = noting{d}
	if d.rehearsal, err = rehearse(o, "", d); err != nil {
		return nil, err
	}
	d.none, d.own = d.spot(Spot{Backend: Nowhere}), d.spot(Spot{Backend: OwnStore})
	return d, nil
}

// open is called when it is known which tags and which names of backends there are on both sides.
func (d *side) open(ids func(pools.Spec) string) {
	d.s.info.Tag = d.tag
	d.b.Rules = d.s.Rules()
	for _, h := range d.p.registry.All() {
		d.ids[h.Backend], d.spec[h.Backend] = ids(h.Spec), h.Spec
	}
	for _, p := range d.g.pools {
		for _, m := range p.Members() {
			d.pools[p] = append(d.pools[p], d.spot(Spot{p.Name(), d.ids[m.Backend], m.Backend.Name()}))
		}
	}
}

func (d *side) spot(s Spot) int32 {
	if s.Label == s.Backend {
		s.Label = ""
	}
	n, ok := d.number[s]
	if !ok {
		n = int32(len(d.spots))
		d.number[s], d.spots = n, append(d.spots, s)
	}
	return n
}

// specs are those of all backends.
func (d *side) specs() (list []pools.Spec) {
	for _, h := range d.p.registry.All() {
		list = append(list, h.Spec)
	}
	return list
}

// route is the one of the command on listeners with the tag.
func (d *side) route(tag string, cmd mc.Cmd) *luaapi.Route {
	if hooks := d.g.worker(1).hooksFor(tag); hooks != nil {
		return hooks[cmd]
	}
	return nil
}

// place gives the spots of a key, in order, each once. They are valid until the next call.
func (d *side) place(key string) ([]int32, error) {
	d.now = d.now[:0]
	route, trim := d.route(d.tag, d.cmd), 0
	if route != nil && route.Router != nil {
		route, trim = route.Router.Find(d.cmd, []byte(key))
		if route == nil || trim >= len(key) {
			return append(d.now, d.none), nil
		}
	} else if route == nil {
		return append(d.now, d.own), nil
	}
	if route.Pool != nil {
		d.native++
		d.note(route.Pool.(*tracedPool), []byte(key[trim:]))
		return d.now, nil
	}
	d.inLua++
	d.asked = false
	d.line = append(append(append(d.line[:0], d.before...), key...), d.behind...)
	if _, err := d.read(d.line); err != nil {
		return nil, err
	}
	if err := d.serve(); err != nil {
		return nil, fmt.Errorf("cannot place key %q by %s: %w", key, d.name, err)
	}
	switch {
	case len(d.now) > 0:
	case d.asked:
		d.now = append(d.now, d.own)
	default:
		d.now = append(d.now, d.none)
	}
	slices.Sort(d.now)
	d.now = slices.Compact(d.now)
	return d.now, nil
}

// note notes where a pool has a key.
func (d *side) note(p *tracedPool, key []byte) bool {
	if p.Pool == nil {
		d.now = append(d.now, d.spot(Spot{p.name, p.name, ""}))
		return true
	}
	if i, _ := p.Pick(key); i >= 0 {
		d.now = append(d.now, d.pools[p.Pool][i])
		return true
	}
	d.now = append(d.now, d.none)
	return false
}

// send implements tracer: every backend has every item.
func (d *side) send(t *tracedPool, r *mc.Request, pe *backend.Pending) {
	if !d.note(t, r.Key) {
		backend.Refuse(pe, backend.ErrNoBackend)
		return
	}
	answerAs(pe, r, outcomeHit, "value")
}

// step implements tracer. Everything is answered at once, so what a route waits for is time.
func (d *side) step(s *session) bool { return s.hurry() }

// answered implements tracer.
func (d *side) answered(*backend.Pending) {}

// failed implements tracer: most keys fail alike.
func (d *side) failed(error) (log bool) {
	d.failures++
	return d.failures == 1
}

// noting is the proxy's own store while keys are placed. It has nothing, so that what lies behind a near cache shows.
type noting struct{ d *side }

func (n noting) Exec(r *mc.Request, dst []byte) []byte {
	n.d.asked = true
	if r.Cmd.IsRead() {
		return canned(dst, r, outcomeMiss, "")
	}
	return canned(dst, r, outcomeHit, "value")
}

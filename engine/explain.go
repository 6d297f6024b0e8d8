// Explain: what one request would do, found without a connection.

package engine

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools"
)

// Explanation is what becomes of one request, whatever its backends do.
type Explanation struct {
	Route    string       `json:"route"`          // what is attached to the command: the pool's name, the function's file:line; "": nothing is
	Tree     *luaapi.Node `json:"tree,omitempty"` // the same with what is behind its handles
	Native   bool         `json:"native"`         // a native router chose it
	First    *Step        `json:"first,omitempty"`
	Cut      bool         `json:"cut,omitempty"`      // there were too many cases
	Unsteady bool         `json:"unsteady,omitempty"` // it did not do the same each time: chance, or the time of day
	Sent     []Sent       `json:"-"`                  // if every backend is up and empty: all of them, in order
	Answer   string       `json:"-"`                  // and what the client would see
}

// Step is what a request sends before it waits, and what comes after. Without Cases it is the end.
type Step struct {
	After  float64  `json:"after_seconds,omitempty"` // for which it has waited before, whatever comes
	Within float64  `json:"waits_seconds,omitempty"` // for which it waits at most; 0: until the backends give up
	Sent   []Sent   `json:"sent,omitempty"`
	Cases  []Case   `json:"cases,omitempty"`
	End    *Outcome `json:"end,omitempty"`
}

// Case is one way in which what has been sent may be answered, or several that lead to the same.
type Case struct {
	When [][]string `json:"when"` // for each way the outcome of each request: hit, miss, stored, not stored, down, silent
	Then *Step      `json:"then"`
}

// Outcome is what the client gets.
type Outcome struct {
	Answer string `json:"answer"`
	From   int    `json:"from,omitempty"`  // the number of the request whose answer it is; 0: the route's own
	Later  []Sent `json:"later,omitempty"` // what is sent without being waited for, or after the answer
	Error  string `json:"error,omitempty"` // what the proxy would log
}

// Sent is one request to one pool.
type Sent struct {
	Number  int         `json:"number"`       // from 1
	By      string      `json:"by,omitempty"` // which function or generator behind the route; "": the route itself
	Pool    string      `json:"pool"`         // "": the proxy's own store
	Line    string      `json:"line"`         // as sent, without its end
	Key     string      `json:"key"`          // as the pool sees it
	Hashed  string      `json:"hashed,omitempty"`
	Hash    uint64      `json:"hash,string,omitempty"`
	Backend string      `json:"backend,omitempty"`
	Index   int         `json:"index,omitempty"` // its number in the pool, from 1
	Addr    string      `json:"addr,omitempty"`
	Of      int         `json:"of"` // how many backends the pool has
	Place   pools.Place `json:"-"`
}

// sentTo tells where t sends r.
func sentTo(t luaapi.Target, r *mc.Request, number int, by string) Sent {
	s := Sent{Number: number, By: by, Pool: t.Name(), Line: string(r.Line), Key: string(r.Key), Hashed: string(r.Key), Of: 1}
	p, _ := t.(*pools.Pool)
	if x, ok := t.(*tracedPool); ok {
		p = x.Pool
	}
	if p == nil { // it fetches
		s.Backend, s.Addr, s.Place.ByKey = s.Pool, s.Pool, true
		return s
	}
	s.Place = p.Explain(r.Key)
	s.Place.Hashed = append([]byte(nil), s.Place.Hashed...)
	s.Hashed, s.Hash, s.Of = string(s.Place.Hashed), s.Place.Hash, len(p.Members())
	if s.Place.Index >= 0 {
		st := s.Place.Member.Backend.Status()
		s.Backend, s.Addr, s.Index = st.Name, st.Addr, s.Place.Index+1
	}
	return s
}

// Explain loads o's files as Check does, and runs request, a whole request as a client sends it, through the routes of listeners with
// tag, once for each way in which its backends may answer. Errors of the files are Check's; and *UnknownTag.
func Explain(o Options, tag string, request []byte) (*Explanation, error) {
	t := &script{request: request, tag: tag}
	o.Local = t
	var err error
	if t.rehearsal, err = rehearse(o, tag, t); err != nil {
		return nil, err
	}
	defer t.close()
	t.p.log = slog.New(slog.DiscardHandler) // the files have been loaded: what they say again each time is known
	r, err := t.read(request)
	if err != nil {
		return nil, err
	}
	e := &Explanation{}
	route, native := t.g.routeOf(tag, r)
	e.Native = native
	if route == nil && !native {
		return e, nil
	}
	e.Route = "no match"
	if route != nil {
		t.g.worker(1).state.Lock()
		e.Route, e.Tree = route.Name, route.Node()
		t.g.worker(1).state.Unlock()
	}
	t.tree = e.Tree
	run, err := t.run(nil, outcomeMiss)
	if err != nil {
		return nil, err
	}
	for _, w := range run.waves {
		e.Sent = append(e.Sent, w.Sent...)
	}
	e.Sent, e.Answer = append(e.Sent, run.end.Later...), run.end.Answer
	x := explorer{t: t}
	e.First, err = x.step(nil, nil)
	e.Cut, e.Unsteady = x.cut, x.unsteady
	return e, err
}

// UnknownTag is a tag that no route is attached for. A listener with it would get the routes without a tag, but who asks for it has
// more likely mistyped it.
type UnknownTag struct {
	Tag   string
	Known []string // in order; none: the configuration has no tags
}

func (e *UnknownTag) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("no route is attached for the tag %q: the configuration has no tags", e.Tag)
	}
	return fmt.Sprintf("no route is attached for the tag %q: there are %q", e.Tag, e.Known)
}

// knowsTag is an *UnknownTag if tag is one.
func (g *generation) knowsTag(tag string) error { return g.worker(1).knowsTag(tag) }

func (w *worker) knowsTag(tag string) error {
	if tag == "" || w.own[tag] != nil {
		return nil
	}
	known := slices.Sorted(maps.Keys(w.own))
	return &UnknownTag{tag, slices.DeleteFunc(known, func(t string) bool { return t == "" })}
}

// routeOf is the route of r on listeners with tag, nil without one, and whether a native router chose it.
func (g *generation) routeOf(tag string, r *mc.Request) (route *luaapi.Route, native bool) {
	hooks := g.worker(1).hooksFor(tag)
	if hooks == nil || hooks[r.Cmd] == nil {
		return nil, false
	}
	route = hooks[r.Cmd]
	if route.Router == nil {
		return route, false
	}
	route, _ = route.Router.Find(r.Cmd, r.Key)
	return route, true
}

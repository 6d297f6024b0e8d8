// Explain: where one request would go, found without a connection.

package engine

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Explanation is what became of one request while every backend answered that it does not have the key, or, to what stores, that it
// has stored it.
type Explanation struct {
	Route  string // what is attached to the command: the pool's name, the function's file:line; "": nothing is
	Native bool   // a native router chose it
	Sent   []Sent // in order
	Answer string // what the client would see
}

// Sent is one request to one pool.
type Sent struct {
	Pool  string
	Line  string // as sent, without its end
	Key   string // as the pool sees it
	Of    int    // how many backends the pool has
	Place pools.Place
}

// Explain loads o's files as Check does, and runs request, a whole request as a client sends it, through the routes of listeners with
// tag. Errors of the files are Check's; and *UnknownTag.
func Explain(o Options, tag string, request []byte) (*Explanation, error) {
	t := &missing{}
	x, err := rehearse(o, tag, t)
	if err != nil {
		return nil, err
	}
	defer x.close()
	r, err := x.read(request)
	if err != nil {
		return nil, err
	}
	e := &Explanation{}
	e.Route, e.Native = x.g.routeName(tag, r)
	if err := x.serve(); err != nil {
		return nil, err
	}
	e.Sent, e.Answer = t.sent, string(x.b.Out)
	return e, nil
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
func (g *generation) knowsTag(tag string) error {
	own := g.worker(1).own
	if tag == "" || own[tag] != nil {
		return nil
	}
	known := slices.Sorted(maps.Keys(own))
	return &UnknownTag{tag, slices.DeleteFunc(known, func(t string) bool { return t == "" })}
}

// routeName is the route of r on listeners with tag, and whether a native router chose it.
func (g *generation) routeName(tag string, r *mc.Request) (name string, native bool) {
	hooks := g.worker(1).hooksFor(tag)
	if hooks == nil || hooks[r.Cmd] == nil {
		return "", false
	}
	route := hooks[r.Cmd]
	if route.Router != nil {
		if route, _ = route.Router.Find(r.Cmd, r.Key); route == nil {
			return "no match", true
		}
		native = true
	}
	return route.Name, native
}

// missing is a tracer whose backends are up and empty.
type missing struct{ sent []Sent }

func (m *missing) send(t *tracedPool, r *mc.Request, pe *backend.Pending) {
	at := t.Pool.Explain(r.Key)
	at.Hashed = append([]byte(nil), at.Hashed...)
	m.sent = append(m.sent, Sent{t.Name(), string(r.Line), string(r.Key), len(t.Members()), at})
	if at.Index < 0 {
		backend.Refuse(pe, backend.ErrNoBackend)
		return
	}
	pe.Backend = at.Member.Backend
	answerAs(pe, r, outcomeMiss, "")
}

func (m *missing) step(s *session) bool { return s.hurry() }

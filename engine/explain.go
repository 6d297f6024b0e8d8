// Explain: where one request would go, found without a connection.

package engine

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/luaapi"
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
	o.Workers = 1
	p, err := newProxy(o, true)
	if err != nil {
		return nil, err
	}
	defer p.registry.Close()
	defer p.loader.close()
	p.trace = &trace{}
	g, err := p.loader.load(1)
	if err != nil {
		return nil, err
	}
	defer p.discard(g)
	p.current.Store(g)
	if err := g.knowsTag(tag); err != nil {
		return nil, err
	}

	s := p.Open(server.ConnInfo{ID: 1, Tag: tag})
	defer s.Close()
	b := server.NewBatch(io.Discard)
	b.Rules = s.Rules()
	b.Reqs = make([]mc.Request, 1)
	r := &b.Reqs[0]
	var parser mc.Parser
	switch n, _, err := parser.Next(request, &b.Rules, r); {
	case err != nil || n != len(request):
		return nil, fmt.Errorf("cannot read %q as one request", request)
	case r.Bad != mc.BadNone:
		return nil, fmt.Errorf("cannot send %q: the proxy answers %q", request, mc.AnswerBad(nil, r, &b.Rules))
	}
	e := &Explanation{}
	e.Route, e.Native = g.routeName(tag, r)
	if err := s.Serve(b); err != nil && !errors.Is(err, server.ErrClose) {
		return nil, err
	}
	e.Sent, e.Answer = p.trace.sent, string(b.Out)
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

// trace is what Explain keeps of the requests to pools.
type trace struct {
	mu   sync.Mutex
	sent []Sent
}

// traced stands in for a pool while a trace is kept.
func (p *Proxy) traced(pool *pools.Pool) luaapi.Target {
	if p.trace == nil {
		return pool
	}
	return &tracedPool{pool, p.trace}
}

// tracedPool notes where each request would go, and answers it at once.
type tracedPool struct {
	*pools.Pool
	t *trace
}

// Send implements luaapi.Target.
func (t *tracedPool) Send(r *mc.Request, pe *backend.Pending) {
	at := t.Pool.Explain(r.Key)
	at.Hashed = append([]byte(nil), at.Hashed...)
	t.t.mu.Lock()
	t.t.sent = append(t.t.sent, Sent{t.Name(), string(r.Line), string(r.Key), len(t.Members()), at})
	t.t.mu.Unlock()
	if at.Index < 0 {
		backend.Refuse(pe, backend.ErrNoBackend)
		return
	}
	pe.Backend = at.Member.Backend
	pe.Buf = append(pe.Buf[:0], emptyAnswer(r.Cmd)...)
	if _, _, err := mc.ParseResponse(pe.Buf, &pe.Resp); err != nil {
		backend.Refuse(pe, backend.ErrProtocol)
		return
	}
	pe.End = backend.Now()
	if pe.Waiter.Done(pe) {
		pe.Waiter.Wake()
	}
}

// emptyAnswer is what a backend without any item answers.
func emptyAnswer(cmd mc.Cmd) string {
	switch cmd {
	case mc.CmdMG, mc.CmdME:
		return "EN\r\n"
	case mc.CmdMS:
		return "HD\r\n"
	case mc.CmdMD, mc.CmdMA:
		return "NF\r\n"
	case mc.CmdGet, mc.CmdGets, mc.CmdGat, mc.CmdGats:
		return "END\r\n"
	case mc.CmdSet, mc.CmdAdd:
		return "STORED\r\n"
	case mc.CmdReplace, mc.CmdAppend, mc.CmdPrepend:
		return "NOT_STORED\r\n"
	}
	return "NOT_FOUND\r\n"
}

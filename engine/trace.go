// Trace: proxies that send nothing. Their pools tell what they are asked to send, and answer it themselves.

package engine

import (
	"fmt"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// tracer stands between the pools of a proxy and their backends.
type tracer interface {
	// send is told of r in place of at's backend, with the place of its key in at.Index, and answers pe or will.
	send(t *tracedPool, r *mc.Request, pe *backend.Pending)
	// step is called when a session has nothing left to do but wait. It reports whether that has changed something.
	step(s *session) bool
	// answered is told whose answer the client gets, if it is a backend's.
	answered(pe *backend.Pending)
	// failed is told of an error of a script, and whether that is to be logged.
	failed(err error) (log bool)
}

// traced stands in for a pool while there is a tracer.
func (p *Proxy) traced(pool *pools.Pool) luaapi.Target {
	if p.trace == nil {
		return pool
	}
	return &tracedPool{pool, pool.Name(), p.trace}
}

// tracedPool hands requests to a tracer. What fetches is one, too.
type tracedPool struct {
	*pools.Pool // nil: it fetches
	name        string
	t           tracer
}

// Name implements luaapi.Target.
func (t *tracedPool) Name() string { return t.name }

// Send implements luaapi.Target.
func (t *tracedPool) Send(r *mc.Request, pe *backend.Pending) { t.t.send(t, r, pe) }

// answerAs answers pe as a backend would.
func answerAs(pe *backend.Pending, r *mc.Request, o outcome, value string) {
	switch o {
	case outcomeDown:
		backend.Refuse(pe, backend.ErrDown)
		return
	case outcomeSilent:
		backend.Refuse(pe, backend.ErrTimeout)
		return
	}
	pe.Buf = canned(pe.Buf[:0], r, o, value)
	if _, _, err := mc.ParseResponse(pe.Buf, &pe.Resp); err != nil {
		backend.Refuse(pe, backend.ErrProtocol)
		return
	}
	pe.End = backend.Now()
	if waiter := pe.Waiter; waiter.Done(pe) {
		waiter.Wake()
	}
}

// rehearsal is a proxy that has loaded its files, sends nothing and listens nowhere: one session of it takes requests.
type rehearsal struct {
	p      *Proxy
	g      *generation
	s      *session
	b      *server.Batch
	parser mc.Parser
}

// rehearse loads o's files as Check does; t is told of what goes to pools. Errors of the files are Check's; and *UnknownTag.
func rehearse(o Options, tag string, t tracer) (*rehearsal, error) {
	o.Workers = 1
	p, err := newProxy(o, true)
	if err != nil {
		return nil, err
	}
	p.trace = t
	r := &rehearsal{p: p}
	if r.g, err = p.load(1); err == nil {
		p.current.Store(r.g)
		err = r.g.knowsTag(tag)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	r.s = p.Open(server.ConnInfo{ID: 1, Tag: tag}).(*session)
	r.b = server.NewBatch(nowhere{})
	r.b.Rules = r.s.Rules()
	r.b.Reqs = make([]mc.Request, 1)
	return r, nil
}

func (r *rehearsal) close() {
	if r.s != nil {
		r.s.Close()
	}
	if r.g != nil {
		r.p.discard(r.g)
	}
	r.p.topics.behind.Wait()
	r.p.loader.close()
	r.p.registry.Close()
}

// nowhere is where answers are written that do not wait for the end of the batch.
type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// read makes request, a whole one as a client sends it, the next that is served. It is valid as long as request is.
func (r *rehearsal) read(request []byte) (*mc.Request, error) {
	req := &r.b.Reqs[0]
	switch n, _, err := r.parser.Next(request, &r.b.Rules, req); {
	case err != nil || n != len(request):
		return nil, fmt.Errorf("cannot read %q as one request", request)
	case req.Bad != mc.BadNone:
		return nil, fmt.Errorf("cannot send %q: the proxy answers %q", request, mc.AnswerBad(nil, req, &r.b.Rules))
	}
	return req, nil
}

// serve serves it.
func (r *rehearsal) serve() error {
	r.b.Out = r.b.Out[:0]
	if err := r.s.Serve(r.b); err != nil && err != server.ErrClose {
		return err
	}
	return nil
}

// OneRequest is the shortest request of a command on a key.
func OneRequest(name, key string) (string, error) {
	cmd, ok := mc.CmdByName(name)
	if !ok || !cmd.HasKey() {
		return "", fmt.Errorf("%q is no command that has a key", name)
	}
	if !ValidKey(key) {
		return "", fmt.Errorf("%q is no key", key)
	}
	switch cmd {
	case mc.CmdGat, mc.CmdGats:
		return name + " 0 " + key + "\r\n", nil
	case mc.CmdIncr, mc.CmdDecr:
		return name + " " + key + " 1\r\n", nil
	case mc.CmdTouch:
		return name + " " + key + " 0\r\n", nil
	case mc.CmdMS:
		return name + " " + key + " 0\r\n\r\n", nil
	case mc.CmdMG:
		return name + " " + key + " v\r\n", nil
	case mc.CmdCas:
		return name + " " + key + " 0 0 0 1\r\n\r\n", nil
	}
	if cmd.HasValue() {
		return name + " " + key + " 0 0 0\r\n\r\n", nil
	}
	return name + " " + key + "\r\n", nil
}

// ValidKey reports whether a client may send key.
func ValidKey(key string) bool {
	return key != "" && len(key) <= mc.MaxKey && !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// One run of an Explain: a request served by backends that answer as a plan says.

package engine

import (
	"math"
	"strings"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// script is a tracer, and the proxy's own store, of a rehearsal. What a route sends before it waits is a wave; all of a wave is answered at
// once, when the route waits.
type script struct {
	*rehearsal
	request []byte
	tag     string
	tree    *luaapi.Node
	conns   uint64

	plan      [][]outcome // of each wave, and each request of it
	otherwise outcome     // of the rest
	waves     []wave
	next      wave // what has been sent since
	held      []held
	silent    []held
	owners    map[*backend.Pending]int // the numbers of requests
	from      int
	sent      int
	ended     bool // the client has its answer
	later     []Sent
	failure   string          // the first error of a script
	limits    []time.Duration // those that waits were made with
}

// wave is what a run sends before it waits.
type wave struct {
	After, Within float64
	Sent          []Sent
	reqs          []*mc.Request
	own           bool // of the proxy's own store, which has answered already
}

// held is a request that is not answered yet.
type held struct {
	r    *mc.Request
	pe   *backend.Pending
	name string
}

// ran is what a run did.
type ran struct {
	waves []wave
	end   Outcome
}

// run serves the request in a generation of its own, so that no run sees what another has left behind.
func (t *script) run(plan [][]outcome, otherwise outcome) (*ran, error) {
	if err := t.fresh(); err != nil {
		return nil, err
	}
	t.plan, t.otherwise = plan, otherwise
	t.waves, t.next, t.held, t.silent, t.later = nil, wave{}, nil, nil, nil
	t.owners, t.from, t.sent, t.ended = map[*backend.Pending]int{}, 0, 0, false
	t.failure = ""
	if _, err := t.read(t.request); err != nil {
		return nil, err
	}
	if err := t.serve(); err != nil {
		return nil, err
	}
	t.ended = true
	answer := string(t.b.Out)
	t.settle()
	return &ran{t.waves, Outcome{Answer: answer, From: t.from, Later: t.later, Error: t.failure}}, nil
}

// fresh replaces the generation and the session.
func (t *script) fresh() error {
	number := t.g.number + 1
	t.s.Close()
	t.p.discard(t.g) // before the load, which would share what both have
	g, err := t.p.load(number)
	if t.g = g; err != nil {
		t.g = nil // it has been given back
		return err
	}
	t.p.current.Store(g)
	w := g.worker(1)
	w.state.Lock()
	w.api.Watch(t)
	w.state.Unlock()
	t.conns++
	t.s = t.p.Open(server.ConnInfo{ID: 1 + t.conns, Tag: t.tag}).(*session)
	return nil
}

// settle lets go on what lingers.
func (t *script) settle() {
	const rounds = 100 // a route may send for ever
	for range rounds {
		t.later = append(t.later, t.next.Sent...)
		t.next = wave{}
		waiting := append(t.held, t.silent...)
		t.held, t.silent = nil, nil
		for _, h := range waiting {
			h.pe.Buf = canned(h.pe.Buf[:0], h.r, outcomeHit, h.name)
			if _, _, err := mc.ParseResponse(h.pe.Buf, &h.pe.Resp); err != nil {
				h.pe.Err = backend.ErrProtocol
			}
			h.pe.Waiter.Done(h.pe) // without Wake, which would go on elsewhere
		}
		t.s.catchUp()
		if len(waiting)+len(t.held) == 0 && !t.hurryLingering() {
			return
		}
	}
}

// hurryLingering lets time pass for what lingers.
func (t *script) hurryLingering() bool {
	t.s.turn.Lock()
	defer t.s.turn.Unlock()
	return len(t.s.calls) > 0 && t.s.hurry()
}

// send implements tracer.
func (t *script) send(p *tracedPool, r *mc.Request, pe *backend.Pending) {
	t.sent++
	s := sentTo(p, r, t.sent, sender(t.tree, pe))
	t.owners[pe] = s.Number
	t.next.Sent = append(t.next.Sent, s)
	own := *r // r's bytes are the sender's
	own.Line, own.Value = append([]byte(nil), r.Line...), append([]byte(nil), r.Value...)
	var parser mc.Parser
	if _, _, err := parser.Next(mc.AppendWire(nil, r), &mc.Rules{Routed: true, MaxValue: len(r.Value)}, &own); err != nil || s.Backend == "" {
		t.next.reqs = append(t.next.reqs, nil)
		t.held = append(t.held, held{nil, pe, ""})
		return
	}
	t.next.reqs = append(t.next.reqs, &own)
	t.held = append(t.held, held{&own, pe, s.Backend})
}

// sender names the function that sends pe, if it is not the route itself.
func sender(tree *luaapi.Node, pe *backend.Pending) string {
	if c, ok := pe.Data.(*luaapi.Call); ok {
		return nodeOf(tree, c)
	}
	return ""
}

// nodeOf names the function that c runs, if it is not the route itself.
func nodeOf(tree *luaapi.Node, c *luaapi.Call) string {
	path := c.Path()
	if len(path) == 0 || tree == nil {
		return ""
	}
	for _, at := range path {
		if at >= len(tree.Handles) {
			return c.Route()
		}
		tree = tree.Handles[at]
	}
	return tree.String()
}

// Exec implements LocalStore: mcp.internal, and handles of mcp.internal_handler.
func (t *script) Exec(r *mc.Request, dst []byte) []byte {
	t.sent++
	s := Sent{Number: t.sent, Line: string(r.Line), Key: string(r.Key), Backend: OwnStore}
	if t.ended {
		t.later = append(t.later, s)
		return canned(dst, r, outcomeHit, OwnStore)
	}
	own := *r
	own.Key, own.Line = []byte(s.Key), []byte(s.Line)
	o := t.outcome(0)
	t.waves = append(t.waves, wave{Sent: []Sent{s}, reqs: []*mc.Request{&own}, own: true})
	return canned(dst, r, o, OwnStore)
}

// Runs implements luaapi.Watcher: Exec has been called for it.
func (t *script) Runs(c *luaapi.Call, _ *mc.Request, p *backend.Pending) {
	t.owners[p] = t.sent
	if n := len(t.waves); !t.ended && n > 0 && t.waves[n-1].own {
		t.waves[n-1].Sent[0].By = nodeOf(t.tree, c)
	}
}

// Sends implements luaapi.Watcher: send is told more.
func (t *script) Sends(*luaapi.Call, luaapi.Target, *mc.Request, *backend.Pending) {}

// Waits implements luaapi.Watcher: step sees the same, and how much of it is left.
func (t *script) Waits(_ *luaapi.Call, within int64, limited bool) {
	if limited {
		t.limits = append(t.limits, time.Duration(within))
	}
}

// GoesOn implements luaapi.Watcher.
func (t *script) GoesOn(*luaapi.Call, bool) {}

// outcome is the plan's for request i of the next wave.
func (t *script) outcome(i int) outcome {
	if k := len(t.waves); k < len(t.plan) && i < len(t.plan[k]) {
		return t.plan[k][i]
	}
	return t.otherwise
}

// step implements tracer: what has been sent is answered, or else time passes.
func (t *script) step(s *session) bool {
	within := s.untilAlarm()
	if len(t.held) > 0 {
		if within >= 0 {
			t.next.Within = t.limit(within)
		}
		list := t.held
		t.held = nil
		var outcomes []outcome
		for i := range list {
			outcomes = append(outcomes, t.outcome(i))
		}
		t.waves, t.next = append(t.waves, t.next), wave{}
		answered := false
		for i, h := range list {
			switch {
			case h.r == nil:
				backend.Refuse(h.pe, backend.ErrNoBackend)
			case outcomes[i] == outcomeSilent:
				t.silent = append(t.silent, h)
				continue
			default:
				answerAs(h.pe, h.r, outcomes[i], h.name)
			}
			answered = true
		}
		if answered {
			return true
		}
	}
	if s.hurry() {
		t.next.After = t.limit(within)
		return true
	}
	for _, h := range t.silent {
		answerAs(h.pe, h.r, outcomeSilent, "")
	}
	some := len(t.silent) > 0
	t.silent = nil
	return some
}

// answered implements tracer.
func (t *script) answered(p *backend.Pending) { t.from = t.owners[p] }

// failed implements tracer.
func (t *script) failed(err error) (log bool) {
	if t.failure == "" {
		t.failure, _, _ = strings.Cut(err.Error(), "\n")
	}
	return false
}

// limit is what a wait was made with of which so much is left, in seconds. Of several it is the one that comes nearest: time goes by only
// while scripts run here, which is little unless the machine is busy.
func (t *script) limit(left time.Duration) float64 {
	d := left
	for _, l := range t.limits {
		if l >= left && (d == left || l < d) {
			d = l
		}
	}
	return math.Round(d.Seconds()*1e6) / 1e6
}

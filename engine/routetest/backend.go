// Fake backends: a leaf's store on the virtual clock, with scripted answers, failures and delays on top.

package routetest

import (
	"fmt"
	"net/url"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// readTimeout is a backend's whose configuration does not say another.
const readTimeout = 3 * time.Second

// host is what is behind one address. Backends of several labels or pools may lead to it.
type host struct {
	w     *world
	addr  string
	names []string // labels, or the address
	store *memory  // made when it is first wanted

	next   []reaction // to the next requests, one each
	always reaction   // to those after them
	delays []time.Duration
	delay  time.Duration // after those
	open   []*backend.Pending
}

// reaction is what a server does with a request.
type reaction struct {
	kind kind
	text string // of answer: whole, with its end
}

type kind uint8

const (
	works  kind = iota // runs it on its store
	answer             // gives a scripted answer
	timesOut
	isDown
	closes
	never
)

// fails are the words for failures.
var fails = map[string]kind{"timeout": timesOut, "down": isDown, "closed": closes}

// fake is a backend.Backend: one way to a server.
type fake struct {
	s    *host
	spec pools.Spec
	gets bool // nothing else is taken
}

// newBackend implements pools.Factory.
func (w *world) newBackend(spec pools.Spec, _ func(backend.Event)) (backend.Backend, error) {
	return &fake{s: w.at(spec.Addr.String(), spec.Name()), spec: spec}, nil
}

// newFetcher is engine.Options.NewFetcher: what mcp.http asks is a backend, too, whose names are the URL and its host. It knows nothing but gets.
func (w *world) newFetcher(s luaapi.FetchSpec) (luaapi.Target, error) {
	name := s.Before + "%k" + s.After
	h := w.at(name, name)
	if u, err := url.Parse(s.Before + "k" + s.After); err == nil {
		h.call(u.Host)
	}
	return &fake{s: h, spec: pools.Spec{Label: name, ReadTimeout: s.Timeout}, gets: true}, nil
}

// at is the host at an address, which has another name, too.
func (w *world) at(addr, name string) *host {
	s := w.hosts[addr]
	if s == nil {
		s = &host{w: w, addr: addr}
		w.hosts[addr] = s
		w.order = append(w.order, s)
	}
	s.call(name)
	s.call(addr)
	return s
}

// call gives s another name.
func (s *host) call(name string) {
	for _, n := range s.names {
		if n == name {
			return
		}
	}
	s.names = append(s.names, name)
}

// host finds the host of a name: a backend's label, a leaf's name or an address.
func (w *world) host(name string) (*host, error) {
	var found *host
	var all []string
	for _, s := range w.order {
		for i, n := range s.names {
			if i == 0 {
				all = append(all, n)
			}
			if n != name || found == s {
				continue
			}
			if found != nil {
				return nil, fmt.Errorf("%q is the name of two backends: say %q or %q", name, found.addr, s.addr)
			}
			found = s
		}
	}
	if found == nil {
		return nil, fmt.Errorf("there is no backend %q: there are %q", name, all)
	}
	return found, nil
}

// reaction takes what s does with the next request.
func (s *host) reaction() reaction {
	if len(s.next) > 0 {
		r := s.next[0]
		s.next = s.next[1:]
		return r
	}
	return s.always
}

// late takes by how much the next answer is late.
func (s *host) late() time.Duration {
	if len(s.delays) > 0 {
		d := s.delays[0]
		s.delays = s.delays[1:]
		return d
	}
	return s.delay
}

// Send implements backend.Backend.
func (f *fake) Send(r *mc.Request, p *backend.Pending) {
	s, c := f.s, f.s.w.clock
	p.Backend = f
	do := s.reaction()
	if f.spec.Down {
		do.kind = isDown
	}
	if f.gets && r.Cmd != mc.CmdGet && r.Cmd != mc.CmdGets && r.Cmd != mc.CmdMG {
		s.tell(p, backend.ErrRefused)
		return
	}
	if s.w.ended {
		s.tell(p, backend.ErrClosed)
		return
	}
	if do.kind == isDown {
		s.tell(p, backend.ErrDown)
		return
	}
	s.w.note(s, f.spec.Name(), r)
	s.open = append(s.open, p)
	limit := f.spec.ReadTimeout
	if limit <= 0 {
		limit = readTimeout
	}
	late := s.late()
	var err error
	switch do.kind {
	case never:
		return
	case timesOut:
		late = limit
	case closes:
		err = backend.ErrDisconnected
	case answer:
		p.Buf = append(p.Buf[:0], do.text...)
	default:
		p.Buf = s.memory().serve(mc.AppendWire(nil, r), p.Buf[:0])
	}
	if late >= limit {
		late, err = limit, backend.ErrTimeout
	}
	c.at(c.after(late), func() { s.answer(p, err) })
}

// answer answers a request with what lies in its Buf, or with an error.
func (s *host) answer(p *backend.Pending, err error) {
	for i, o := range s.open {
		if o != p {
			continue
		}
		s.open = append(s.open[:i], s.open[i+1:]...)
		if err == nil {
			if n, _, bad := mc.ParseResponse(p.Buf, &p.Resp); bad != nil || n != len(p.Buf) {
				err = backend.ErrProtocol
			}
		}
		s.tell(p, err)
		return
	}
}

// tell hands p to who waits for it.
func (s *host) tell(p *backend.Pending, err error) {
	p.End = s.w.clock.Now()
	if p.Err = err; err != nil {
		p.Resp = mc.Response{}
	}
	if waiter := p.Waiter; waiter.Done(p) {
		waiter.Wake()
	}
}

// end answers everything that is open with an error.
func (s *host) end() {
	for len(s.open) > 0 {
		s.answer(s.open[0], backend.ErrClosed)
	}
}

// memory is the server's store.
func (s *host) memory() *memory {
	if s.store == nil {
		s.store = s.w.stores.take()
	}
	return s.store
}

// Name implements backend.Backend.
func (f *fake) Name() string { return f.spec.Name() }

// Status implements backend.Backend.
func (f *fake) Status() backend.Status {
	down := f.spec.Down || f.s.always.kind == isDown
	st := backend.Status{
		Name: f.Name(), Addr: f.s.addr, Up: !down, Down: f.spec.Down, Queued: len(f.s.open), Opened: 1,
		Conns: max(1, f.spec.Connections),
	}
	if down && !f.spec.Down {
		st.Bad, st.LastError = st.Conns, backend.ErrDown.Error()
	}
	return st
}

// Close implements backend.Backend. A server goes on without it.
func (f *fake) Close() error { return nil }

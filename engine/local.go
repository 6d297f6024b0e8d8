// Requests without a route: the proxy's own store, and the commands that the proxy answers itself.

package engine

import (
	"bytes"
	"sync"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// LocalStore is the proxy's own store: it serves commands without a route, and mcp.internal. Exec runs one request and
// appends its answer; it is called concurrently.
type LocalStore interface {
	Exec(r *mc.Request, dst []byte) []byte
}

// unrouted answers a request that no route is attached for.
func (s *session) unrouted(b *server.Batch, i int, sl *slot) {
	r := sl.req
	from := len(s.local)
	switch r.Cmd {
	case mc.CmdStats:
		var mine bool
		if s.local, mine = s.p.appendStats(s.local, r, s.hooks != nil); mine {
			s.answerLocal(sl, from)
			return
		}
	case mc.CmdFlushAll:
		if s.hooks != nil && !s.p.opts.AllowFlush {
			s.refuse(sl)
			return
		}
		if s.hooks != nil {
			s.flushAll(sl)
			return
		}
	case mc.CmdVerbosity:
		if s.hooks != nil {
			s.refuse(sl)
			return
		}
	case mc.CmdShutdown:
		s.shutdown(sl)
		return
	case mc.CmdWatch:
		s.watch(sl)
		return
	}
	if r.NKeys() > 1 && r.Bad == mc.BadNone {
		s.gets(b, i)
		return
	}
	s.local = s.p.opts.Local.Exec(r, s.local)
	s.answerLocal(sl, from)
}

// refuse answers a command that clients of a listener with routes may not give. noreply hides that, as in memcached where -F forbids flush_all.
func (s *session) refuse(sl *slot) {
	sl.mute = sl.req.NoReply
	s.answer(sl, lineNotAllowed)
}

// flushAll flushes every backend of every pool, the local store and those of scripts. It waits for all of them.
func (s *session) flushAll(sl *slot) {
	s.unlock() // a request before it may have taken the worker, which others want meanwhile
	s.leaves()
	from := len(s.local)
	var failed error
	for _, err := range s.g.broadcast(sl.req, s.stripe) {
		if err != nil {
			failed = err
		}
	}
	s.local = s.p.opts.Local.Exec(sl.req, s.local)
	for _, st := range s.p.sharing.stores() {
		st.Exec(sl.req, nil)
	}
	if failed != nil {
		s.p.log.Warn("flush_all did not reach every backend", "err", failed)
		s.local = append(s.local[:from], lineBackendFailure...)
	}
	s.answerLocal(sl, from)
}

// broadcast sends r to every backend of the generation and waits for their answers: nil for each that took it.
func (g *generation) broadcast(r *mc.Request, lane uint32) []error {
	var all []backend.Backend
	for _, p := range g.pools {
		all = appendBackends(all, p)
	}
	return broadcast(all, r, lane)
}

// broadcast sends r to all of those and waits for their answers, in the order in which they came.
func broadcast(all []backend.Backend, r *mc.Request, lane uint32) []error {
	var gather gathering
	for _, b := range all {
		gather.open.Add(1)
		pe := backend.NewPending()
		pe.Waiter, pe.Lane, pe.Start = &gather, lane, backend.Now()
		b.Send(r, pe)
	}
	gather.open.Wait()
	return gather.errs
}

// gathering is a Waiter that collects the outcome of several requests.
type gathering struct {
	open sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func (w *gathering) Done(p *backend.Pending) bool {
	err := p.Err
	if err == nil && !p.Resp.OK() {
		err = backend.ErrRefused
	}
	w.mu.Lock()
	w.errs = append(w.errs, err)
	w.mu.Unlock()
	p.Release()
	w.open.Done()
	return false
}

func (w *gathering) Wake() {}

// Internal implements luaapi.Worker: r on the local store. The store always answers, whatever r says of being quiet, but for commands that
// memcached's proxy does not let routes give it.
func (w *worker) Internal(r *mc.Request, dst []byte) []byte {
	return execLoud(w.p.opts.Local, r, dst)
}

// localResult says how a request went on the local store, by its answer.
func localResult(answer []byte) result {
	switch {
	case bytes.HasPrefix(answer, []byte("EN\r\n")), bytes.HasPrefix(answer, []byte("END\r\n")):
		return resultMiss
	case bytes.HasPrefix(answer, []byte("VA ")), bytes.HasPrefix(answer, []byte("VALUE ")):
		return resultHit
	}
	return textResult(string(answer[:min(len(answer), 32)]))
}

// Moves: requests for keys that another leaf owned before, while the pool warms.

package pools

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

const modeMoved = frame.ModeMoved

// warming is what a membership knows of the owners before it.
type warming struct {
	previous *membership // nil: nobody is asked
	lost     []string
	until    time.Time
	home     *homes // keys that need not be asked for any more
}

// warm fills in m's previous owners.
func (p *Pool) warm(m *membership, ms *Membership) (err error) {
	if len(ms.Previous) == 0 || ms.WarmUntil.IsZero() {
		return nil
	}
	m.previous, err = p.newMembership(0, ms.Previous)
	m.lost, m.until, m.home = slices.Clone(ms.Lost), ms.WarmUntil, new(homes)
	return err
}

// warms reports whether previous owners are asked.
func (m *membership) warms() bool { return m.previous != nil && m.now().Before(m.until) }

// movedFrom gives the previous owner of a key that the i-th member of m owns now; nil: it is the same, or not to be asked.
func (p *Pool) movedFrom(m *membership, i int, key []byte) backend.Backend {
	j := p.place(m.previous, key)
	if j < 0 {
		return nil
	}
	prev := &m.previous.members[j]
	if prev.Name == m.members[i].Name || slices.Contains(m.lost, prev.Name) {
		return nil
	}
	for _, b := range []backend.Backend{prev.Backend, m.members[i].Backend} {
		if _, ok := backend.As[backend.Fencer](b); !ok {
			return nil
		}
	}
	return prev.Backend
}

// move is a request for a key that has moved, on its way. It waits in the place of the request's Waiter.
//
// The new owner knows which keys it has been written to, or deleted from, since it owns them; for those it answers alone. For others, when
// it holds nothing and the answer depends on that, it says so (NF W) and does nothing. Then the item is brought: the previous owner is asked,
// and what it holds, or that it holds nothing, is filled in at the new owner, unless somebody has written there meanwhile; the
// request follows the fill in the same frame and is executed as any other. A previous owner that does not answer has lost its items.
//
// Requests of one key that need an item brought, or may, take turns: else hundreds would fetch one item. What the same client sends
// behind one for that key waits in a queue (queue.go).
type move struct {
	p      *Pool
	m      *membership
	to     backend.Backend
	from   backend.Backend
	waiter backend.Waiter // the request's own
	pe     *backend.Pending
	owned
	hash   uint64 // of the key
	queue  *queue // what its client sends behind it waits there; nil: it need not
	key    string // held; "": none
	since  []byte // as the new owner said
	brings bool   // the item is to be brought
	wakes  bool   // waiter is to be woken
	fetch  fetched
}

var moves = sync.Pool{New: func() any { return new(move) }}

// sendMoved sends r to its key's owner, which was not its owner before. q is the queue that it was the first of; nil: none.
func (p *Pool) sendMoved(m *membership, to, from backend.Backend, r *mc.Request, pe *backend.Pending, q *queue) {
	// What is sure to be done as soon as it is sent needs no queue, unless it may have to wait for the turn of its key.
	alone := sure(r) && p.moving.n.Load() == 0
	if alone {
		q = nil
	} else {
		var ok bool
		if q, ok = p.queues.fly(q, r, pe, m); !ok {
			return // it waits
		}
	}
	v := moves.Get().(*move)
	v.hash, v.queue = p.queues.keyHash(r.Key), q
	v.p, v.m, v.to, v.from, v.waiter, v.pe = p, m, to, from, pe.Waiter, pe
	v.key, v.brings, v.wakes, v.since = "", false, false, v.since[:0]
	v.keep(r)
	if alone || p.moving.enter(v, r.Key, waits(r)) {
		v.first(r)
	}
}

// waits: it may have to wait for an item, and what it does depends on the order.
func waits(r *mc.Request) bool {
	switch r.Cmd {
	case mc.CmdDelete, mc.CmdGet, mc.CmdGets, mc.CmdMN:
		return false
	}
	return !overwrites(r) && !r.PureRead()
}

// sure: the new owner does it when it gets it, whatever the previous one holds.
func sure(r *mc.Request) bool { return r.Cmd == mc.CmdMN || overwrites(r) || deletes(r) }

// overwrites: what a request does, and its answer, do not depend on what there is.
func overwrites(r *mc.Request) bool {
	if r.Cmd == mc.CmdMS {
		mode, _ := r.Flag('M')
		return !r.HasFlag('C') && (len(mode) == 0 || mode[0] == 'S')
	}
	return r.Cmd == mc.CmdSet
}

// first sends the request to the new owner.
func (v *move) first(r *mc.Request) {
	v.pe.Waiter, v.pe.Mode = v, frame.ModeMoved
	v.to.Send(r, v.pe)
}

// Done implements backend.Waiter.
func (v *move) Done(pe *backend.Pending) bool {
	if pe.Mode == frame.ModeMoved && pe.Err == nil && len(pe.Resp.Raw) > 4 && string(pe.Resp.Raw[:4]) == "NF W" {
		tok, _ := pe.Resp.Flag('W')
		v.since = append(v.since, tok...)
		v.brings = true
		return true
	}
	if pe.Mode == frame.ModeMoved && pe.Err == nil && pe.Resp.OK() {
		v.m.home.add(v.hash)
	}
	return v.finish(pe)
}

// finish hands the answer over, and reports whether Wake must be called.
func (v *move) finish(pe *backend.Pending) bool {
	v.pe = nil
	pe.Waiter, pe.Mode = v.waiter, 0
	v.wakes = v.waiter.Done(pe)
	if v.wakes || v.key != "" || v.queue != nil {
		return true
	}
	v.free()
	return false
}

// conclude hands over an answer that is no backend's, and ends the move.
func (v *move) conclude() {
	pe := v.pe
	v.pe = nil
	pe.Waiter, pe.Mode = v.waiter, 0
	v.wakes = v.waiter.Done(pe)
	v.end()
}

// Wake implements backend.Waiter.
func (v *move) Wake() {
	if v.brings {
		v.brings = false
		v.bring()
		return
	}
	v.end()
}

func (v *move) end() {
	if v.wakes {
		v.waiter.Wake()
	}
	v.leave()
	p, q := v.p, v.queue
	v.free()
	if q != nil {
		p.landed(q)
	}
}

func (v *move) leave() {
	if v.key != "" {
		key := v.key
		v.key = ""
		v.p.moving.leave(key)
	}
}

func (v *move) free() {
	v.waiter, v.pe, v.m, v.to, v.from, v.p, v.queue = nil, nil, nil, nil, nil, nil, nil
	if cap(v.buf) > maxKept {
		v.buf = nil
	}
	moves.Put(v)
}

const maxKept = 16 << 10 // bytes of a request's copy that are kept for the next

// abandon gives the request back to who sent it: it will be placed anew.
func (v *move) abandon(pe *backend.Pending) {
	pe.Waiter = v.waiter
	v.leave()
	v.free()
}

// moveOf finds the move that a request is part of; nil: none.
func moveOf(w backend.Waiter) *move {
	for {
		if v, ok := w.(*move); ok {
			return v
		}
		u, ok := w.(interface{ Unwrap() backend.Waiter })
		if !ok {
			return nil
		}
		w = u.Unwrap()
	}
}

// bring has the previous owner asked.
func (v *move) bring() {
	r := v.request()
	if r == nil {
		v.pe.Resp, v.pe.Err = mc.Response{}, backend.ErrRefused
		v.conclude()
		return
	}
	v.fetch.v, v.fetch.deletes = v, deletes(r)
	// A delete takes no turn: the new owner has done it, and takes nothing from the previous one any more. It must not be done again after what
	// came later.
	if v.key == "" && !v.fetch.deletes && !v.p.moving.take(v, r.Key) {
		return // somebody else is at it; it goes to the new owner again afterwards
	}
	line := v.fetch.line[:0]
	if v.fetch.deletes {
		line = append(append(line, "md "...), r.Key...)
	} else {
		line = append(append(append(append(line, "mg "...), r.Key...), " O"...), v.since...)
	}
	if r.Base64 {
		line = append(line, " b"...)
	}
	line = append(line, "\r\n"...)
	v.ask(v.from, &v.fetch, line, frame.ModePrevious)
}

// deletes: whatever is there goes.
func deletes(r *mc.Request) bool {
	return r.Cmd == mc.CmdDelete || r.Cmd == mc.CmdMD && !r.HasFlag('C') && !r.HasFlag('I') && !r.HasFlag('x')
}

// ask sends a request of the move's own.
func (v *move) ask(b backend.Backend, w backend.Waiter, line []byte, mode uint8) {
	var parser mc.Parser
	var r mc.Request
	pe := backend.NewPending()
	pe.Waiter, pe.Lane, pe.Term, pe.Mode, pe.Start = w, v.pe.Lane, v.m.term, mode, backend.Now()
	if _, _, err := parser.Next(line, &mc.Rules{MaxValue: len(line)}, &r); err != nil || r.Bad != mc.BadNone {
		backend.Refuse(pe, backend.ErrRefused) // a key of 250 bytes in base64: as if it were not there
		return
	}
	b.Send(&r, pe)
}

// fetched waits for the previous owner's answer.
type fetched struct {
	v       *move
	deletes bool
	pe      *backend.Pending
	line    [mc.MaxKey + 64]byte
}

// Done implements backend.Waiter.
func (f *fetched) Done(pe *backend.Pending) bool {
	f.pe = pe
	return true
}

// Wake implements backend.Waiter: the new owner is told, and the request follows.
func (f *fetched) Wake() {
	v, pe := f.v, f.pe
	f.pe = nil
	r := &v.req
	if f.deletes {
		v.answerDelete(r, pe.Err == nil && pe.Resp.Code == mc.CodeOK)
		pe.Release()
		return
	}
	if pe.Err == nil {
		if fill := appendFill(nil, r, &pe.Resp); fill != nil {
			v.ask(v.to, discard{}, fill, frame.ModeFill)
		}
	}
	pe.Release()
	v.pe.Mode = 0
	v.to.Send(r, v.pe)
}

// appendFill appends what the new owner is told; nil: nothing, for the previous owner did not say.
func appendFill(dst []byte, r *mc.Request, answer *mc.Response) []byte {
	coded := ""
	if r.Base64 {
		coded = " b"
	}
	if answer.Code == mc.CodeEnd {
		return append(append(append(append(dst, "md "...), r.Key...), coded...), "\r\n"...)
	}
	flags, okFlags := answer.Flag('f')
	cas, okCAS := answer.Flag('c')
	more, okMore := answer.Flag('O')
	if !answer.HasValue() || !okFlags || !okCAS || !okMore {
		return nil
	}
	dst = slices.Grow(dst, len(r.Key)+answer.VLen()+128)
	dst = append(append(dst, "ms "...), r.Key...)
	dst = strconv.AppendInt(append(dst, ' '), int64(answer.VLen()), 10)
	dst = append(append(dst, " E"...), cas...)
	dst = append(append(dst, " F"...), flags...)
	dst = append(append(dst, " O"...), more...)
	dst = append(append(dst, coded...), "\r\n"...)
	return append(dst, answer.ValueCRLF()...)
}

// answerDelete answers a delete that the new owner has done, when the previous one has said whether there was anything.
func (v *move) answerDelete(r *mc.Request, was bool) {
	pe := v.pe
	pe.Buf = mc.AppendNull(pe.Buf[:0], r)
	switch {
	case was && r.Cmd == mc.CmdDelete:
		pe.Buf = append(pe.Buf[:0], "DELETED\r\n"...)
	case was:
		copy(pe.Buf, "HD")
	}
	if _, _, err := mc.ParseResponse(pe.Buf, &pe.Resp); err != nil {
		pe.Err = backend.ErrProtocol
	}
	v.conclude()
}

// discard takes an answer that nobody waits for.
type discard struct{}

// Done implements backend.Waiter.
func (discard) Done(pe *backend.Pending) bool {
	pe.Release()
	return false
}

// Wake implements backend.Waiter.
func (discard) Wake() {}

// moving are the keys whose requests take turns.
type moving struct {
	n  atomic.Int64 // keys that are held
	mu sync.Mutex
	m  map[string][]*move // who waits for each
}

// enter lets v go on, or has it wait for its key. With hold, the key is v's from then on.
func (s *moving) enter(v *move, key []byte, hold bool) bool {
	if !hold && s.n.Load() == 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait, held := s.m[string(key)]; held {
		s.m[string(key)] = append(wait, v)
		return false
	}
	if hold {
		s.holdLocked(v, key)
	}
	return true
}

func (s *moving) holdLocked(v *move, key []byte) {
	if s.m == nil {
		s.m = map[string][]*move{}
	}
	v.key = string(key)
	s.m[v.key] = nil
	s.n.Add(1)
}

// take makes the key v's, or has it wait.
func (s *moving) take(v *move, key []byte) bool {
	return s.enter(v, key, true)
}

// leave gives a key up. Who waited goes on, one after the other, until one of them has to hold it; who comes meanwhile is behind them.
func (s *moving) leave(key string) {
	for {
		s.mu.Lock()
		wait := s.m[key]
		if len(wait) == 0 {
			delete(s.m, key)
			s.n.Add(-1)
			s.mu.Unlock()
			return
		}
		v := wait[0]
		s.m[key] = wait[1:]
		s.mu.Unlock()
		r := v.request()
		if r == nil {
			v.bring() // fails it
			continue
		}
		holds := waits(r) || len(v.since) > 0 // it has to wait for an item, or had to when it was asked for
		if holds {
			v.key = key
		}
		v.since = v.since[:0]
		v.first(r)
		if holds {
			return
		}
	}
}

// homes are keys which their owner has answered for itself, so that it need not be told that they had another owner before: requests for them take
// no turns and wait for none. Of each place the last one is known.
type homes [4096]atomic.Uint64

func (h *homes) has(hash uint64) bool { return h[hash%uint64(len(h))].Load() == hash }

func (h *homes) add(hash uint64) { h[hash%uint64(len(h))].Store(hash) }

// What calls of several clients have to do with each other: what one holds and others wait for, how who waits is told.

package luaapi

import (
	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// hold is something that a call has taken, or waits for. It is given back when the call's function has returned, failed, or been given up.
type hold interface {
	// release gives it back, or leaves the queue. The call's state's lock is held.
	release()
}

// release gives back all that c holds.
func (c *Call) release() {
	for i, h := range c.holds {
		h.release()
		c.holds[i] = nil
	}
	c.holds = c.holds[:0]
}

// turn is what a call's waitTurn is for.
type turn interface {
	// came takes what awaited.tell has sent.
	came(c *Call, p *backend.Pending)
	// turned gives what the waiting function returns, when something came or the wait's deadline has passed.
	turned(c *Call, expired bool) (lua.LValue, lua.LValue)
}

// awaited is how a waiting call is told that its turn has come, from whatever goroutine.
type awaited struct {
	c      *Call
	seq    int
	caller Caller
}

// awaits begins a waitTurn of the running call; what it holds must know the result before the call suspends.
func (c *Call) awaits(on turn) awaited {
	w := c.numbered(c.begin(waitTurn, 0, 1))
	w.on = on
	return awaited{c, w.seq, c.caller}
}

// tell ends the wait, if it is still that one, and hands p over. No lock of a turnstile's, a gate's or of flights may be held.
func (a awaited) tell(p *backend.Pending) {
	p.Waiter, p.Data, p.Tag = a.caller, a.c, a.seq<<8
	if a.caller.Done(p) {
		a.caller.Wake()
	}
}

// handed is the part of a turn that takes what Response.forAnother has made.
type handed struct {
	got lua.LValue // the response; nil: none
}

// The notes on an answer that another call is told.
const (
	noteAnswer  = 1 << iota // it is one
	noteRestore             // Response.restore
	noteText                // Response.text
)

// forAnother makes a copy of r for another call to be told.
func (r *Response) forAnother(restore bool) *backend.Pending {
	p := copyAnswer(r.p)
	if p.Note = noteAnswer; restore || r.restore {
		p.Note |= noteRestore
	}
	if r.text || r.mutable {
		p.Note |= noteText
	}
	return p
}

// came implements turn.
func (h *handed) came(c *Call, p *backend.Pending) {
	if p.Note&noteAnswer == 0 {
		p.Release()
		return
	}
	r := c.response(p)
	r.restore, r.text = p.Note&noteRestore != 0, p.Note&noteText != 0
	h.got = r.ud
}

// copyAnswer makes another of what a backend answered, or did not.
func copyAnswer(of *backend.Pending) *backend.Pending {
	p := backend.NewPending()
	p.Start, p.End, p.Backend, p.Err = of.Start, of.End, of.Backend, of.Err
	if of.Err == nil {
		raw := of.Resp.Raw
		if len(raw) < backend.Large {
			p.Buf = append(p.Buf[:0], raw...)
		} else {
			b := backend.NewBlock(len(raw))
			p.Own(b, b.B[:copy(b.B, raw)])
		}
		p.Resp = of.Resp
		p.Resp.Rebase(p.Buf)
	}
	return p
}

// wrap is an object that wraps what Go holds for scripts.
func (a *API) wrap(v any, mt *lua.LTable) *lua.LUserData {
	ud := a.st.L.NewUserData()
	ud.Value, ud.Metatable = v, mt
	return ud
}

// this is argument 1 as an object of a kind.
func this[T any](L *lua.LState, kind string) T {
	if ud, ok := L.Get(1).(*lua.LUserData); ok {
		if v, ok := ud.Value.(T); ok {
			return v
		}
	}
	L.RaiseError("want a %s, got %s", kind, L.Get(1).Type())
	panic("unreachable")
}

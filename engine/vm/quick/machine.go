// Machine: one function under way, with those that it has called.

package quick

import (
	lua "github.com/yuin/gopher-lua"
)

const (
	maxWindow = 200  // registers of a function
	maxStack  = 1000 // of all
	maxFrames = 16   // functions that have called each other
)

// Outcome is how a run ended.
type Outcome uint8

// The outcomes.
const (
	Returned Outcome = iota // Result has the first result
	Waiting                 // a native waits: Resume
	Last                    // it waits, and what it waits for is what the function returns
	Left                    // it stands before an instruction that is not for here
)

// Machine runs a function of its set. The zero value, with Set filled in, is ready for Begin. It is not safe for concurrent use.
type Machine struct {
	Set    *Set
	Result lua.LValue // after Returned

	stack  []lua.LValue // below each frame's registers stands its function
	frames []Frame
	began  *Program // what Begin has put in
	top    int      // where the results of the last call end, from the innermost frame's base: the next instruction may take as many as there are
	high   int      // what of the stack has been used
	ret    Results
}

// Frame is a function that has been called.
type Frame struct {
	Fn   *lua.LFunction
	PC   int // the next instruction; of the innermost frame after Left the one that it stands before
	Base int // its first register
	Tail int // tail calls that led to it
	prog *Program
}

// Begin puts fn(arg) into the machine. Set.Runs has allowed it.
func (m *Machine) Begin(fn *lua.LFunction, arg lua.LValue) {
	p := m.Set.of(fn.Proto)
	m.began = p
	m.frames = append(m.frames[:0], Frame{Fn: fn, Base: 1, prog: p})
	m.reserve(1 + p.used + len(m.ret))
	m.stack[0] = fn
	r := m.stack[1 : 1+max(p.used, 1)]
	for i := range r {
		r[i] = lua.LNil
	}
	r[0] = arg
}

// reserve makes the stack so high; false: that is too much.
func (m *Machine) reserve(n int) bool {
	if n > len(m.stack) {
		if n > maxStack {
			return false
		}
		grown := make([]lua.LValue, max(32, n+n/2))
		copy(grown, m.stack[:m.high])
		m.stack = grown
	}
	m.high = max(m.high, n)
	return true
}

// End forgets the values that the machine holds.
func (m *Machine) End() {
	clear(m.stack[:m.high])
	clear(m.ret[:])
	clear(m.frames)
	m.frames, m.began, m.high, m.Result = m.frames[:0], nil, 0, nil
}

// Frames are the functions under way after Left, the outermost first.
func (m *Machine) Frames() []Frame { return m.frames }

// Registers are the values of all frames after Left, each frame's function below its registers. Those that nothing was put into are nil.
func (m *Machine) Registers() []lua.LValue {
	f := &m.frames[len(m.frames)-1]
	if i := f.Fn.Proto.Code[f.PC]; takesAll(i) {
		return m.stack[:f.Base+m.top]
	}
	return m.stack[:f.Base+f.prog.used]
}

// Resume goes on after Waiting with what was waited for, which is copied.
func (m *Machine) Resume(vs []lua.LValue) Outcome {
	f := &m.frames[len(m.frames)-1]
	n := copy(m.ret[:], vs)
	i := &f.prog.code[f.PC-1]
	if int(i.op) == lua.OP_TAILCALL {
		if !m.give(m.ret[:n]) {
			return Returned
		}
	} else {
		m.take(f, i, m.ret[:n])
	}
	return m.Run()
}

// takesAll reports whether an instruction takes as many values as the last call has left.
func takesAll(i uint32) bool {
	switch int(i >> 26) {
	case lua.OP_CALL, lua.OP_TAILCALL, lua.OP_RETURN, lua.OP_SETLIST:
		return i&0x1ff == 0
	}
	return false
}

// take puts the results of the call i into f's registers.
func (m *Machine) take(f *Frame, i *instruction, vs []lua.LValue) {
	at := f.Base + int(i.a)
	want := int(i.c) - 1
	if want < 0 {
		want = len(vs) // there is room: each frame has some for what a native gives, and what a function gives lies further up
	}
	m.top = int(i.a) + want
	r := m.stack[at : at+want]
	n := copy(r, vs)
	for ; n < want; n++ {
		r[n] = lua.LNil
	}
}

// give returns vs from the innermost frame, which may be in its registers. False: it was the outermost.
func (m *Machine) give(vs []lua.LValue) bool {
	last := len(m.frames) - 1
	if last == 0 {
		m.Result = lua.LNil
		if len(vs) > 0 {
			m.Result = vs[0]
		}
		return false
	}
	m.frames = m.frames[:last]
	f := &m.frames[last-1]
	m.take(f, &f.prog.code[f.PC-1], vs)
	return true
}

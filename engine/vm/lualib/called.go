// Calling: functions that need no coroutine, because there is nothing to come back to when they wait.

package lualib

import (
	"slices"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

// Callable is what is known of a function that CallOn may run: if it waits it does so as its last act, `return pool(r)`. It holds while the upvalues are
// what they were.
type Callable struct{ uses []use }

// use is an upvalue that is called, or whose method is.
type use struct {
	upvalue *lua.Upvalue
	value   lua.LValue
}

// Holds reports whether the function may still be called.
func (c *Callable) Holds() bool {
	for i := range c.uses {
		if c.uses[i].upvalue.Value() != c.uses[i].value {
			return false
		}
	}
	return true
}

// AsCallable looks whether fn may be called: all that it calls it calls last, and that is an upvalue that is a userdata, a method of one, or a function
// of which the same is true. Go's functions are not looked into: pcall calls others. Nil: it is none.
func AsCallable(fn *lua.LFunction) *Callable {
	c := &Callable{}
	if !c.add(fn, 0) {
		return nil
	}
	return c
}

const (
	deepest  = 8  // functions that call each other last are looked through
	mostUses = 16 // are looked at for each request; more would take as long as a coroutine
)

func (c *Callable) add(fn *lua.LFunction, depth int) bool {
	if fn.IsG || depth > deepest {
		return false
	}
	p := fn.Proto
	for pc, op := range p.Code {
		switch opcode(op) {
		case lua.OP_TFORLOOP:
			return false
		case lua.OP_SETUPVAL:
			if p.DbgUpvalues[second(op)] != source.Count {
				return false // it might be what is called
			}
		case lua.OP_CALL, lua.OP_TAILCALL:
			if compiled(p, pc) {
				continue
			}
			up := called(fn, pc)
			if up == nil || !isLast(p.Code, pc) {
				return false
			}
			switch v := up.Value().(type) {
			case *lua.LUserData:
			case *lua.LFunction:
				// A frame of fn would be left below a function that is not called by a tail call.
				if opcode(op) != lua.OP_TAILCALL || !c.add(v, depth+1) {
					return false
				}
			default:
				return false
			}
			if c.uses = append(c.uses, use{up, up.Value()}); len(c.uses) > mostUses {
				return false
			}
		}
	}
	return true
}

// compiled reports whether the compiler has put in the call at p.Code[pc], a step's call of (tick) for one.
func compiled(p *lua.FunctionProto, pc int) bool {
	return slices.ContainsFunc(p.DbgCalls, func(c lua.DbgCall) bool {
		return c.Pc == pc && (c.Name == source.Tick || c.Name == source.Set || c.Name == source.Concat)
	})
}

// called is the upvalue that the call at pc calls, or of which it calls a method; nil if it is something else, or cannot be told for sure.
func called(fn *lua.LFunction, pc int) *lua.Upvalue {
	code := fn.Proto.Code
	reg := register(code[pc])
	at := pc - 1
	for ; at >= 0 && register(code[at]) != reg; at-- {
		if _, jumps := target(code[at], at); jumps {
			return nil
		}
	}
	method := at > 0 && opcode(code[at]) == lua.OP_SELF && second(code[at]) == reg
	if method {
		at--
	}
	if at < 0 || opcode(code[at]) != lua.OP_GETUPVAL || register(code[at]) != reg {
		return nil
	}
	for from, op := range code { // may something else have been put there?
		if to, jumps := target(op, from); jumps && to > at && to <= pc {
			return nil
		}
	}
	up := fn.Upvalues[second(code[at])]
	if _, is := up.Value().(*lua.LUserData); method && !is {
		return nil
	}
	return up
}

// target is where an instruction at pc may go to that is not the next one.
func target(code uint32, pc int) (to int, jumps bool) {
	switch opcode(code) {
	case lua.OP_JMP, lua.OP_FORLOOP, lua.OP_FORPREP:
		const zero = 1<<17 - 1 // gopher-lua's opMaxArgSbx
		return pc + 1 + int(code&0x3ffff) - zero, true
	case lua.OP_EQ, lua.OP_LT, lua.OP_LE, lua.OP_TEST, lua.OP_TESTSET, lua.OP_LOADBOOL:
		return pc + 2, true
	}
	return 0, false
}

// second is operand B of an instruction.
func second(code uint32) int { return int(code & 0x1ff) }

// CallOn calls fn(arg) on th, which runs nothing, as the bottom of its stack, and gives the first result. There is no coroutine to suspend. Errors
// are panics; th is not to be used again after one.
func (h *Host) CallOn(th *lua.LState, fn *lua.LFunction, arg lua.LValue) lua.LValue {
	th.Dead = false
	th.G.CurrentThread = th
	th.Push(fn)
	th.Push(arg)
	th.Call(1, 1)
	v := th.Get(-1)
	th.SetTop(0)
	th.G.CurrentThread = h.L
	return v
}

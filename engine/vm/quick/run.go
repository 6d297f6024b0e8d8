// The interpreter's loop.

package quick

import (
	lua "github.com/yuin/gopher-lua"
)

// Run runs what Begin or Resume have put into the machine.
func (m *Machine) Run() Outcome {
enter:
	f := &m.frames[len(m.frames)-1]
	fn, p := f.Fn, f.prog
	code, k := p.code, p.k
	regs := m.stack[f.Base:]
	pc := f.PC
	for {
		i := &code[pc]
		pc++
		switch int(i.op) {
		case lua.OP_MOVE:
			regs[i.a] = regs[i.b]
		case lua.OP_LOADK:
			regs[i.a] = k[i.to]
		case lua.OP_LOADBOOL:
			regs[i.a] = lua.LBool(i.b != 0)
			if i.c != 0 {
				pc++
			}
		case lua.OP_LOADNIL:
			for r := int(i.a); r <= int(i.b); r++ {
				regs[r] = lua.LNil
			}
		case lua.OP_GETUPVAL:
			regs[i.a] = fn.Upvalues[i.b].Value()
		case lua.OP_SETUPVAL:
			fn.Upvalues[i.b].SetValue(regs[i.a])
		case lua.OP_GETGLOBAL:
			v := fn.Env.RawGetString(string(k[i.to].(lua.LString)))
			if v == lua.LNil && fn.Env.Metatable != lua.LNil {
				goto leave
			}
			regs[i.a] = v
		case lua.OP_GETTABLE, lua.OP_GETTABLEKS:
			v, ok := index(regs[i.b], rk(regs, k, i.c))
			if !ok {
				goto leave
			}
			regs[i.a] = v
		case lua.OP_SETTABLE, lua.OP_SETTABLEKS:
			if !Store(regs[i.a], rk(regs, k, i.b), rk(regs, k, i.c)) {
				goto leave
			}
		case lua.OP_SELF:
			if i.c < 0x100 {
				goto leave
			}
			self := regs[i.b]
			v, ok := m.Set.method(self, k[i.c-0x100].(lua.LString), &p.sites[i.to])
			if !ok {
				goto leave
			}
			regs[i.a+1], regs[i.a] = self, v
		case lua.OP_NEWTABLE:
			regs[i.a] = m.Set.L.CreateTable(int(i.b), int(i.c))
		case lua.OP_SETLIST:
			t := regs[i.a].(*lua.LTable)
			for j := 1; j <= int(i.b); j++ {
				t.RawSetInt((int(i.c)-1)*lua.FieldsPerFlush+j, regs[int(i.a)+j])
			}
		case lua.OP_ADD, lua.OP_SUB, lua.OP_MUL, lua.OP_DIV, lua.OP_MOD, lua.OP_POW:
			x, ok := rk(regs, k, i.b).(lua.LNumber)
			y, too := rk(regs, k, i.c).(lua.LNumber)
			if !ok || !too {
				goto leave
			}
			regs[i.a] = Number(arithmetic(int(i.op), x, y))
		case lua.OP_UNM:
			x, ok := regs[i.b].(lua.LNumber)
			if !ok {
				goto leave
			}
			if x == 0 {
				regs[i.a] = -x // Number would lose the sign, which gopher-lua keeps here
			} else {
				regs[i.a] = Number(-x)
			}
		case lua.OP_NOT:
			regs[i.a] = lua.LBool(!truth(regs[i.b]))
		case lua.OP_LEN:
			switch v := regs[i.b].(type) {
			case lua.LString:
				regs[i.a] = Number(lua.LNumber(len(v)))
			case *lua.LTable:
				if v.Metatable != lua.LNil {
					goto leave
				}
				regs[i.a] = Number(lua.LNumber(v.Len()))
			default:
				goto leave
			}
		case lua.OP_JMP:
			pc = int(i.to)
		case lua.OP_EQ:
			equal, ok := equals(rk(regs, k, i.b), rk(regs, k, i.c))
			if !ok {
				goto leave
			}
			if equal != (i.a != 0) {
				pc++
			}
		case lua.OP_LT, lua.OP_LE:
			x, ok := rk(regs, k, i.b).(lua.LNumber)
			y, too := rk(regs, k, i.c).(lua.LNumber)
			if !ok || !too {
				goto leave
			}
			if (x < y || x == y && int(i.op) == lua.OP_LE) != (i.a != 0) {
				pc++
			}
		case lua.OP_TEST:
			if truth(regs[i.a]) == (i.c == 0) {
				pc++
			}
		case lua.OP_TESTSET:
			if v := regs[i.b]; truth(v) != (i.c == 0) {
				regs[i.a] = v
			} else {
				pc++
			}
		case lua.OP_FORPREP:
			from, ok := regs[i.a].(lua.LNumber)
			by, too := regs[i.a+2].(lua.LNumber)
			if !ok || !too {
				goto leave
			}
			regs[i.a] = Number(from - by)
			pc = int(i.to)
		case lua.OP_FORLOOP:
			at, ok := regs[i.a].(lua.LNumber)
			end, too := regs[i.a+1].(lua.LNumber)
			by, three := regs[i.a+2].(lua.LNumber)
			if !ok || !too || !three {
				goto leave
			}
			at += by
			v := Number(at)
			regs[i.a] = v
			if by > 0 && at <= end || by <= 0 && at >= end {
				regs[i.a+3] = v
				pc = int(i.to)
			}
		case lua.OP_TFORLOOP:
			fn, isFunction := regs[i.a].(*lua.LFunction)
			if !isFunction {
				goto leave
			}
			site := &p.sites[i.to]
			if site.fn != fn {
				site.fn, site.native = fn, m.Set.steppers[fn]
			}
			if site.native == nil {
				goto leave
			}
			got := site.native(regs[i.a+1:i.a+3:i.a+3], &m.ret)
			if got < 0 {
				goto leave
			}
			r := regs[int(i.a)+3 : int(i.a)+3+int(i.c)]
			for j := copy(r, m.ret[:got]); j < len(r); j++ {
				r[j] = lua.LNil
			}
			if r[0] != lua.LNil {
				regs[i.a+2] = r[0]
			} else {
				pc++
			}
		case int(opStep):
			if left := m.Set.Steps; *left >= int64(i.c) {
				*left -= int64(i.c)
			} else if !m.Set.Refill(int(i.c)) {
				goto leave
			}
			pc = int(i.to)
		case lua.OP_CLOSE, lua.OP_NOP: // closures are made elsewhere, so none has registers of ours
		case lua.OP_CALL, lua.OP_TAILCALL:
			first, n := int(i.a)+1, int(i.b)-1
			if n < 0 {
				n = m.top - first
			}
			callee := regs[i.a]
			site := &p.sites[i.to]
			if !m.Set.calls(callee, site) {
				goto leave
			}
			if site.native == nil {
				f.PC = pc
				if !m.call(f, i, site, n) {
					goto leave
				}
				goto enter
			}
			if site.mt != nil { // an object that is called is its own first argument
				first, n = first-1, n+1
			}
			f.PC = pc
			switch got := site.native(regs[first:first+n:first+n], &m.ret); got {
			case Declines:
				goto leave
			case Waits:
				if len(m.frames) == 1 && IsLast(fn.Proto, pc-1) {
					return Last
				}
				return Waiting
			default:
				if int(i.op) == lua.OP_TAILCALL {
					if !m.give(m.ret[:got]) {
						return Returned
					}
					goto enter
				}
				if i.c == 2 && got == 1 { // as nearly always
					regs[i.a] = m.ret[0]
					m.top = int(i.a) + 1
					continue
				}
				m.take(f, i, m.ret[:got])
			}
		case lua.OP_RETURN:
			n := int(i.b) - 1
			if n < 0 {
				n = m.top - int(i.a)
			}
			if !m.give(regs[i.a : int(i.a)+n]) {
				return Returned
			}
			goto enter
		default:
			goto leave
		}
	}
leave:
	f.PC = pc - 1
	if !m.began.never {
		m.began.lefts++
	}
	if m.Set.OnLeft != nil {
		m.Set.OnLeft(f.Fn, f.PC)
	}
	return Left
}

// calls looks what a call of callee is here. False: it is not for here.
func (s *Set) calls(callee lua.LValue, at *site) bool {
	switch v := callee.(type) {
	case *lua.LFunction:
		if at.fn == v && at.mt == nil {
			return true
		}
		*at = site{fn: v}
		if v.IsG {
			at.native = s.natives[v]
		} else {
			at.prog = s.of(v.Proto)
		}
		if at.native == nil && at.prog == nil {
			at.fn = nil
			return false
		}
		return true
	case *lua.LUserData:
		mt, ok := v.Metatable.(*lua.LTable)
		if !ok {
			return false
		}
		if at.mt == mt && at.native != nil && !s.Changing {
			return true
		}
		fn, ok := mt.RawGetString("__call").(*lua.LFunction)
		if !ok || s.natives[fn] == nil {
			return false
		}
		*at = site{mt: mt, fn: fn, native: s.natives[fn]}
		return true
	}
	return false
}

// call makes a frame for the Lua function that i calls with n arguments. False: there is no room for it.
func (m *Machine) call(f *Frame, i *instruction, at *site, n int) bool {
	p := at.prog
	tail := int(i.op) == lua.OP_TAILCALL
	base := f.Base + int(i.a) + 1
	if tail {
		base = f.Base
	} else if len(m.frames) == maxFrames {
		return false
	}
	if !m.reserve(max(base, f.Base+int(i.a)+1) + max(p.used, n) + len(m.ret)) {
		return false
	}
	if tail {
		copy(m.stack[base-1:], m.stack[f.Base+int(i.a):f.Base+int(i.a)+1+n])
		f.Fn, f.prog, f.PC = at.fn, p, 0
		f.Tail++
	} else {
		m.frames = append(m.frames, Frame{Fn: at.fn, Base: base, prog: p})
	}
	r := m.stack[base : base+max(p.used, n)]
	for j := min(n, int(at.fn.Proto.NumParameters)); j < len(r); j++ {
		r[j] = lua.LNil
	}
	return true
}

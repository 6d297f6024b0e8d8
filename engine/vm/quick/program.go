// Programs: a function's instructions, decoded once.

package quick

import (
	"unsafe"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

// opStep stands for the eight instructions of a step of the budget (package source); opLeave for those that are not for here.
const (
	opStep  = uint8(lua.OP_NOP) + 1
	opLeave = opStep + 1
)

// instruction is one of a prototype's, at the same place.
type instruction struct {
	op, a uint8
	b, c  uint16
	to    int32 // where it may jump to, or which of the program's sites it is
}

// Program is what a Set knows of a prototype.
type Program struct {
	code  []instruction
	k     []lua.LValue
	sites []site
	used  int // registers

	asked, runs, lefts int
	never              bool // lefts are not counted
}

// site is an instruction that looks something up, and what it found the last time.
type site struct {
	mt     *lua.LTable    // whose method or __call
	fn     *lua.LFunction // that it was, or what is called
	native Native         // what fn is here; nil: none
	prog   *Program       // what fn is here, if it is Lua's; nil: none
}

// Of so many runs one may be left, but for a few: one that is left costs what four others save (BenchmarkWait).
const (
	mostLefts = 8
	fewLefts  = 8
	forgets   = 1 << 12 // requests, after which half of the runs are forgotten: what once left may do so no more
)

// fit reports whether it is worth trying, and counts that it was asked.
func (p *Program) fit() bool {
	if p.asked++; p.asked == forgets {
		p.asked, p.runs, p.lefts = 0, p.runs/2, p.lefts/2
	}
	if p.lefts >= fewLefts && p.lefts >= p.runs/mostLefts {
		return false
	}
	p.runs++
	return true
}

// program decodes p. Nil: it cannot run here.
func program(p *lua.FunctionProto) *Program {
	if p.IsVarArg != 0 || p.NumUsedRegisters > maxWindow {
		return nil
	}
	q := &Program{code: make([]instruction, len(p.Code)), k: p.Constants, used: int(p.NumUsedRegisters)}
	for pc, code := range p.Code {
		i := &q.code[pc]
		*i = instruction{op: uint8(code >> 26), a: uint8(code >> 18), b: uint16(code & 0x1ff), c: uint16(code >> 9 & 0x1ff)}
		switch int(i.op) {
		case lua.OP_JMP, lua.OP_FORLOOP, lua.OP_FORPREP:
			if int(i.op) != lua.OP_JMP {
				q.used = max(q.used, int(i.a)+4) // the loop's variable, which gopher-lua does not count
			}
			const zero = 1<<17 - 1 // gopher-lua's opMaxArgSbx
			i.to = int32(pc + 1 + int(code&0x3ffff) - zero)
		case lua.OP_SELF, lua.OP_CALL, lua.OP_TAILCALL, lua.OP_TFORLOOP:
			if int(i.op) == lua.OP_TFORLOOP {
				q.used = max(q.used, int(i.a)+3+max(int(i.c), 3)) // the same, and room for its call
			}
			i.to = int32(len(q.sites))
			q.sites = append(q.sites, site{})
		case lua.OP_LOADK, lua.OP_GETGLOBAL:
			i.to = int32(code & 0x3ffff) // which constant
		case lua.OP_MOVEN:
			i.op = uint8(lua.OP_MOVE) // those behind it that it would do at once are moves
		case lua.OP_SETLIST:
			if i.b == 0 || i.c == 0 {
				i.op = opLeave
			}
		case lua.OP_CLOSURE, lua.OP_VARARG, lua.OP_CONCAT, lua.OP_SETGLOBAL:
			i.op = opLeave
		}
	}
	for pc := range p.Code {
		if n, ok := step(p, pc); ok {
			i := &q.code[pc]
			i.op, i.c, i.to = opStep, uint16(n), int32(pc+stepLen)
		}
	}
	return q
}

const stepLen = 8

// step reports whether a step of the budget begins at pc, and of how many it is. It has to be exactly what package source makes:
//
//	GETUPVAL a count; SUB a a K(n); SETUPVAL a count; GETUPVAL a count; LT 0 a K(0); JMP +2; GETUPVAL a tick; CALL a 1 1
func step(p *lua.FunctionProto, pc int) (n int, ok bool) {
	if len(p.Code)-pc < stepLen {
		return 0, false
	}
	ops := [stepLen]int{lua.OP_GETUPVAL, lua.OP_SUB, lua.OP_SETUPVAL, lua.OP_GETUPVAL, lua.OP_LT, lua.OP_JMP, lua.OP_GETUPVAL, lua.OP_CALL}
	for i, op := range ops {
		if int(p.Code[pc+i]>>26) != op {
			return 0, false
		}
	}
	upvalue := func(at int) string { return p.DbgUpvalues[p.Code[pc+at]&0x1ff] }
	if upvalue(0) != source.Count || upvalue(2) != source.Count || upvalue(3) != source.Count || upvalue(6) != source.Tick {
		return 0, false
	}
	sub := p.Code[pc+1] >> 9 & 0x1ff
	if sub < 0x100 {
		return 0, false
	}
	v, isNumber := p.Constants[sub-0x100].(lua.LNumber)
	n = int(v)
	return n, isNumber && lua.LNumber(n) == v && n > 0 && n < 1<<16
}

// Set is what the functions of one Lua state are here, and is used with that state's lock held.
type Set struct {
	L *lua.LState // of the state, to make tables with
	// Steps are what is left of the budget, but for some that Refill knows of: it takes n steps when there are not as many here. False: there are none.
	Steps  *int64
	Refill func(n int) bool
	// Changing is that methods of the program's own objects may be replaced by scripts: they are looked up each time.
	Changing bool
	// Off has nothing run here, OnLeft is told where a machine leaves: for tests.
	Off    bool
	OnLeft func(fn *lua.LFunction, pc int)

	natives  map[*lua.LFunction]Native
	steppers map[*lua.LFunction]Native
	programs map[*lua.FunctionProto]*Program
	recent   [8]known
}

// mostPrograms are kept.
const mostPrograms = 4096

type known struct {
	of *lua.FunctionProto
	is *Program
}

// Native is what a Go function does when it is called here. args are the registers with its arguments and are not to be kept. It puts its
// results into ret and gives their number; or it has made the task wait, and what it waited for will be given to Resume: Waits; or, having done
// nothing at all, it has Lua call the function itself: Declines.
type Native func(args []lua.LValue, ret *Results) int

// Results are where a Native puts them. None may be nil: Lua's is lua.LNil.
type Results [6]lua.LValue

// What a Native gives other than a number of results.
const (
	Waits    = -1
	Declines = -2
)

// Add has calls of fn, which is a Go function, go to n. For an object that is called n is what its metatable's __call is, and has it as the first argument.
func (s *Set) Add(fn *lua.LFunction, n Native) {
	if s.natives == nil {
		s.natives = map[*lua.LFunction]Native{}
	}
	s.natives[fn] = n
}

// AddIterator is Add for what a loop over pairs or ipairs calls, which never waits.
func (s *Set) AddIterator(fn *lua.LFunction, n Native) {
	s.Add(fn, n)
	if s.steppers == nil {
		s.steppers = map[*lua.LFunction]Native{}
	}
	s.steppers[fn] = n
}

// of gives the program of a prototype; nil if there is none.
func (s *Set) of(p *lua.FunctionProto) *Program {
	at := &s.recent[uintptr(unsafe.Pointer(p))>>8%uintptr(len(s.recent))]
	if at.of == p {
		return at.is
	}
	q, ok := s.programs[p]
	if !ok {
		if s.programs == nil || len(s.programs) == mostPrograms { // scripts may make functions for ever, with load
			s.programs = map[*lua.FunctionProto]*Program{}
		}
		q = program(p)
		s.programs[p] = q
	}
	*at = known{p, q}
	return q
}

// Runs reports whether a machine should run fn.
func (s *Set) Runs(fn *lua.LFunction) bool {
	if fn.IsG || s.Off {
		return false
	}
	p := s.of(fn.Proto)
	return p != nil && p.fit()
}

// LeaveAt has machines leave before the instruction at pc from now on, and does not count that: for tests.
func (s *Set) LeaveAt(p *lua.FunctionProto, pc int) {
	if q := s.of(p); q != nil {
		q.code[pc].op = opLeave
		q.never = true
	}
}

// IsLast reports whether what the call at pc gives is what its function returns: `return f()`, or `local x = f() return x`.
func IsLast(p *lua.FunctionProto, pc int) bool {
	op := func(code uint32) int { return int(code >> 26) }
	if op(p.Code[pc]) == lua.OP_TAILCALL {
		return true
	}
	const register, one = 0xff << 18, 2    // one value, in both instructions
	call, next := p.Code[pc], p.Code[pc+1] // a function ends in a return, so there is one
	return op(call) == lua.OP_CALL && op(next) == lua.OP_RETURN && next&0x1ff == one && call>>9&0x1ff == one && call&register == next&register
}

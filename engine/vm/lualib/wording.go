// Wording: errors of instructions, which gopher-lua words in its own way, in Lua's words: "attempt to call a nil value (field 'x')".
//
// They are reworded where they are raised, because only there the operands are still in their registers: a coroutine's errors go through
// its Panic. gopher-lua sets that when a coroutine starts, and then enters its main loop, so that is where ours is put in its place; no
// instruction takes longer. What operands are called is known since the source was compiled (source.Operands).

package lualib

import (
	"strconv"
	"strings"
	"unsafe"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

// prepareWording makes what coroutines share.
func (h *Host) prepareWording() {
	h.loop = *loopOf(h.L)
	h.watched = func(L *lua.LState, base unsafe.Pointer) {
		if f := top(L); f.pc() == 0 && f.caller().none() { // it starts
			L.Panic = h.thrown
		}
		h.loop(L, base)
	}
	h.thrown = func(L *lua.LState) {
		panic(&lua.ApiError{Type: lua.ApiErrorRun, Object: h.reword(L, L.Get(-1))})
	}
}

// watch makes th's errors go through reword.
func (h *Host) watch(th *lua.LState) { *loopOf(th) = h.watched }

// What gopher-lua says, as far as it is not what Lua says.
const (
	theirCall    = "attempt to call a non-function object"
	theirIndex   = "attempt to index a non-table object("
	theirArith   = "cannot perform "
	theirMinus   = "__unm undefined"
	theirLength  = "__len undefined"
	theirCompare = "attempt to compare "
	theirFor     = "for statement "
)

// reword gives an error that was just raised in L in Lua's words. Others it leaves as they are: what a script or a builtin raises is not
// raised by an instruction.
func (h *Host) reword(L *lua.LState, v lua.LValue) lua.LValue {
	msg, ok := v.(lua.LString)
	f := top(L)
	if !ok || f.none() {
		return v
	}
	at, raiser := f, h.wordsOf
	if f.fn().IsG {
		if f.fn() != h.bound[source.Set].Value() {
			return v
		}
		if at, raiser = f.caller(), h.wordsOfSet; at.none() {
			return v
		}
	}
	code, ok := at.instruction()
	if !ok {
		return v
	}
	place := at.place()
	text, ok := strings.CutPrefix(string(msg), place)
	if !ok {
		return v
	}
	if words := raiser(L, at, code, text); words != "" {
		return lua.LString(place + words)
	}
	return v
}

// wordsOf is text, which the instruction at f has raised, in Lua's words; "" if they are the same.
func (h *Host) wordsOf(L *lua.LState, f frame, code uint32, text string) string {
	a, b, c := int(code>>18)&0xff, int(code)&0x1ff, int(code>>9)&0x1ff
	reg := func(n int) lua.LValue { return L.Get(n + 1) }
	bad := func(what string, v lua.LValue, operand int) string {
		return what + " a " + h.typeName(L, v) + " value" + f.called(operand)
	}
	op := opcode(code)
	switch {
	case text == theirCall && (op == lua.OP_CALL || op == lua.OP_TAILCALL || op == lua.OP_TFORLOOP):
		return bad("attempt to call", reg(a), 0)
	case strings.HasPrefix(text, theirIndex):
		switch op {
		case lua.OP_GETTABLE, lua.OP_GETTABLEKS, lua.OP_SELF:
			return h.indexed(L, f, reg(b), text)
		case lua.OP_SETTABLE, lua.OP_SETTABLEKS:
			return h.indexed(L, f, reg(a), text)
		}
	case strings.HasPrefix(text, theirArith) && op >= lua.OP_ADD && op <= lua.OP_POW:
		for i, n := range []int{b, c} {
			if n < 0x100 && reg(n).Type() != lua.LTNumber { // else it is a constant, which is a number
				return bad("attempt to perform arithmetic on", reg(n), i)
			}
		}
	case text == theirMinus && op == lua.OP_UNM:
		return bad("attempt to perform arithmetic on", reg(b), 0)
	case text == theirLength && op == lua.OP_LEN:
		return bad("attempt to get length of", reg(b), 0)
	case strings.HasPrefix(text, theirCompare):
		if one, other, _ := strings.Cut(text[len(theirCompare):], " with "); one == other {
			return theirCompare + "two " + one + " values"
		}
	case strings.HasPrefix(text, theirFor) && (op == lua.OP_FORPREP || op == lua.OP_FORLOOP):
		return h.badFor(L, reg(a), reg(a+1), reg(a+2))
	}
	return ""
}

// wordsOfSet is wordsOf for t[k] = v where compiled code calls (set)(t, k, v), which f does.
func (h *Host) wordsOfSet(L *lua.LState, f frame, _ uint32, text string) string {
	if !strings.HasPrefix(text, theirIndex) {
		return ""
	}
	return h.indexed(L, f, L.Get(1), text)
}

// indexed words the error of indexing v, or what v's __index or __newindex led to.
func (h *Host) indexed(L *lua.LState, f frame, v lua.LValue, text string) string {
	typ, _, _ := strings.Cut(text[len(theirIndex):], ")")
	if v.Type().String() != typ {
		return "attempt to index a " + typ + " value"
	}
	return "attempt to index a " + h.typeName(L, v) + " value" + f.called(0)
}

// badFor words the error of a loop over numbers.
func (h *Host) badFor(L *lua.LState, first, limit, step lua.LValue) string {
	for _, p := range []struct {
		what string
		v    lua.LValue
	}{{"limit", limit}, {"step", step}, {"initial value", first}} {
		if p.v.Type() != lua.LTNumber {
			return "bad 'for' " + p.what + " (number expected, got " + h.typeName(L, p.v) + ")"
		}
	}
	return ""
}

// place is where f stands, as gopher-lua puts it before a message.
func (f frame) place() string {
	return f.fn().Proto.SourceName + ":" + strconv.Itoa(f.line()) + ": "
}

// called is what the i-th operand of the instruction at f is called, as it is put behind a message: " (local 'x')". "" if it has no name.
func (f frame) called(i int) string {
	names := source.Operands(f.fn().Proto, f.pc()-1)
	if i >= len(names) || names[i] == "" {
		return ""
	}
	return " (" + names[i] + ")"
}

// argument is what the i-th argument of the running builtin, which is a helper that compiled code calls, is called there.
func (h *Host) argument(L *lua.LState, i int) string {
	f := top(L).caller()
	if f.none() {
		return ""
	}
	if code, ok := f.instruction(); !ok || opcode(code) != lua.OP_CALL {
		return ""
	}
	return f.called(i - 1)
}

// debug.*: tracebacks and the little of getinfo that libraries log with.

package lualib

import (
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

var debugLib = []entry{{"getinfo", debugGetInfo}, {"sethook", debugSetHook}, {"traceback", debugTraceback}}

// debugSetHook does nothing: there are no hooks. Libraries set one only to trace themselves.
func debugSetHook(*Host, *lua.LState) int { return 0 }

func debugTraceback(h *Host, L *lua.LState) int {
	th, arg := L, 1
	if other, ok := L.Get(1).(*lua.LState); ok {
		th, arg = other, 2
	}
	msg := L.Get(arg)
	if msg != lua.LNil && !plain(msg) {
		L.Push(msg)
		return 1
	}
	level := 0
	if th == L {
		level = 1
	}
	level = h.optInt(L, arg+1, level)
	text := ""
	if msg != lua.LNil {
		text = msg.String()
	}
	L.Push(lua.LString(h.Traceback(th, text, level)))
	return 1
}

// maxTrace is how many lines of a traceback are shown, half from each end.
const maxTrace = 22

// Traceback is L's stack as Lua prints it, from level on (0 is the innermost call), after message if there is one. It goes through
// pcalls, and works on a coroutine that died of an error, which has lost its innermost call.
func (h *Host) Traceback(L *lua.LState, message string, level int) string {
	var lines []string
	for f := (walk{h, L, top(L)}); !f.frame.none(); f = f.next() {
		if level--; level < 0 {
			lines = append(lines, h.traceLine(f.frame))
		}
	}
	if n := len(lines); n > maxTrace {
		lines = append(append(lines[:maxTrace/2:maxTrace/2], fmt.Sprintf("\t...\t(skipping %d levels)", n-maxTrace)), lines[n-maxTrace/2:]...)
	}
	if message != "" {
		message += "\n"
	}
	return strings.Join(append([]string{message + "stack traceback:"}, lines...), "\n")
}

// walk goes through a coroutine's frames, and those of the coroutine that it is a pcall of, without the prelude's.
type walk struct {
	h     *Host
	L     *lua.LState
	frame frame
}

func (w walk) next() walk {
	last := w.frame.fn()
	w.frame = w.frame.caller()
	for {
		switch {
		case !w.frame.none() && w.h.internal(w.frame.fn()):
			last = w.frame.fn()
			w.frame = w.frame.caller()
		case w.frame.none() && w.L.Parent != nil && w.h.isPcall(last):
			w.L = w.L.Parent
			w.frame = top(w.L)
		default:
			return w
		}
	}
}

func (h *Host) traceLine(f frame) string {
	fn, name := f.fn(), f.name()
	switch {
	case fn.IsG:
		if own, ok := h.names[fn]; ok {
			name = own
		}
		if name == "" {
			name = "?"
		}
		return "\t[Go]: in function '" + name + "'"
	case fn.Proto.LineDefined == 0:
		return fmt.Sprintf("\t%s:%d: in main chunk", fn.Proto.SourceName, f.line())
	case name == "":
		return fmt.Sprintf("\t%s:%d: in function <%s:%d>", fn.Proto.SourceName, f.line(), fn.Proto.SourceName, fn.Proto.LineDefined)
	}
	return fmt.Sprintf("\t%s:%d: in function '%s'", fn.Proto.SourceName, f.line(), name)
}

// debugGetInfo is getinfo(f or level): where a function is from, where it stands, what it is called.
func debugGetInfo(h *Host, L *lua.LState) int {
	var f frame
	fn, ok := L.Get(1).(*lua.LFunction)
	if !ok {
		w := walk{h, L, top(L)}
		for level := h.int(L, 1); level > 0 && !w.frame.none(); level-- {
			w = w.next()
		}
		if w.frame.none() {
			L.Push(lua.LNil)
			return 1
		}
		f, fn = w.frame, w.frame.fn()
	}
	t := L.NewTable()
	set := func(name string, v lua.LValue) { t.RawSetString(name, v) }
	set("currentline", lua.LNumber(-1))
	set("nups", lua.LNumber(len(fn.Upvalues)))
	set("namewhat", lua.LString(""))
	if !f.none() {
		if name := f.name(); name != "" {
			set("name", lua.LString(name))
			set("namewhat", lua.LString("function"))
		}
	}
	if fn.IsG {
		for name, s := range map[string]string{"source": "=[Go]", "short_src": "[Go]", "what": "C"} {
			set(name, lua.LString(s))
		}
		set("linedefined", lua.LNumber(-1))
		set("lastlinedefined", lua.LNumber(-1))
		L.Push(t)
		return 1
	}
	if !f.none() {
		set("currentline", lua.LNumber(f.line()))
	}
	what := "Lua"
	if fn.Proto.LineDefined == 0 {
		what = "main"
	}
	set("what", lua.LString(what))
	set("source", lua.LString("@"+fn.Proto.SourceName))
	set("short_src", lua.LString(fn.Proto.SourceName))
	set("linedefined", lua.LNumber(fn.Proto.LineDefined))
	set("lastlinedefined", lua.LNumber(fn.Proto.LastLineDefined))
	L.Push(t)
	return 1
}

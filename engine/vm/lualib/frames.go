// Frames: the one place, but for adopt.go, that looks inside gopher-lua. Whether a coroutine may be suspended, where an error was raised and how many
// values a suspended call wants are known only to the call frames, which gopher-lua does not show.

package lualib

import (
	"fmt"
	"reflect"
	"strconv"
	"unsafe"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

// layout holds the offsets of the fields used here. They are found by name and type when the program starts; a gopher-lua
// that has none of them makes Open fail.
var layout struct{ current, loop, fn, parent, pc, array, keys, places uintptr }

var errLayout = findLayout()

func findLayout() error {
	current, ok := reflect.TypeFor[lua.LState]().FieldByName("currentFrame")
	if !ok || current.Type.Kind() != reflect.Pointer || current.Type.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("cannot find LState.currentFrame in this gopher-lua")
	}
	layout.current = current.Offset
	loop, ok := reflect.TypeFor[lua.LState]().FieldByName("mainLoop")
	if !ok || loop.Type != reflect.FuncOf([]reflect.Type{reflect.TypeFor[*lua.LState](), current.Type}, nil, false) {
		return fmt.Errorf("cannot find LState.mainLoop in this gopher-lua")
	}
	layout.loop = loop.Offset
	frame := current.Type.Elem()
	for _, f := range []struct {
		name string
		typ  reflect.Type
		to   *uintptr
	}{
		{"Fn", reflect.TypeFor[*lua.LFunction](), &layout.fn},
		{"Parent", current.Type, &layout.parent},
		{"Pc", reflect.TypeFor[int](), &layout.pc},
	} {
		field, ok := frame.FieldByName(f.name)
		if !ok || field.Type != f.typ {
			return fmt.Errorf("cannot find callFrame.%s in this gopher-lua", f.name)
		}
		*f.to = field.Offset
	}
	for _, f := range []struct {
		name string
		typ  reflect.Type
		to   *uintptr
	}{
		{"array", reflect.TypeFor[[]lua.LValue](), &layout.array},
		{"keys", reflect.TypeFor[[]lua.LValue](), &layout.keys},
		{"k2i", reflect.TypeFor[map[lua.LValue]int](), &layout.places},
	} {
		field, ok := reflect.TypeFor[lua.LTable]().FieldByName(f.name)
		if !ok || field.Type != f.typ {
			return fmt.Errorf("cannot find LTable.%s in this gopher-lua", f.name)
		}
		*f.to = field.Offset
	}
	return nil
}

// mainLoop is what runs a coroutine from where it stands, or a function that Go calls. base is a call frame.
type mainLoop = func(L *lua.LState, base unsafe.Pointer)

func loopOf(L *lua.LState) *mainLoop {
	return (*mainLoop)(unsafe.Add(unsafe.Pointer(L), layout.loop))
}

// arrayLen is how many values t's array has, nils at its end included.
func arrayLen(t *lua.LTable) int {
	return len(*(*[]lua.LValue)(unsafe.Add(unsafe.Pointer(t), layout.array)))
}

// keyed is how many keys t has had outside its array, those that were removed included, and where k stands among them, -1
// if it does not.
func keyed(t *lua.LTable, k lua.LValue) (n, place int) {
	n = len(*(*[]lua.LValue)(unsafe.Add(unsafe.Pointer(t), layout.keys)))
	place, ok := (*(*map[lua.LValue]int)(unsafe.Add(unsafe.Pointer(t), layout.places)))[k]
	if !ok {
		place = -1
	}
	return n, place
}

// frame is one call on a coroutine's stack. It is valid only until that coroutine runs on.
type frame struct{ p unsafe.Pointer }

// top is the innermost call of L; none if L is not running anything.
func top(L *lua.LState) frame {
	return frame{*(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(L), layout.current))}
}

func (f frame) none() bool         { return f.p == nil }
func (f frame) fn() *lua.LFunction { return *(**lua.LFunction)(unsafe.Add(f.p, layout.fn)) }
func (f frame) caller() frame      { return frame{*(*unsafe.Pointer)(unsafe.Add(f.p, layout.parent))} }
func (f frame) pc() int            { return *(*int)(unsafe.Add(f.p, layout.pc)) }

// bottom is the outermost call of L's stack.
func bottom(L *lua.LState) frame {
	f := top(L)
	for !f.none() && !f.caller().none() {
		f = f.caller()
	}
	return f
}

// instruction is what a Lua function's frame is executing; ok is false for Go functions.
func (f frame) instruction() (code uint32, ok bool) {
	fn := f.fn()
	if fn.IsG || f.pc() == 0 {
		return 0, false
	}
	return fn.Proto.Code[f.pc()-1], true
}

func opcode(code uint32) int { return int(code >> 26) }

// wants is how many results the call in code takes, -1 for all.
func wants(code uint32) int { return int(code>>9)&0x1ff - 1 }

// register is where the results of the call in code begin, or what the return in it returns.
func register(code uint32) int { return int(code>>18) & 0xff }

// line is where a Lua function's frame stands, 0 for Go functions.
func (f frame) line() int {
	fn := f.fn()
	if fn.IsG || f.pc() == 0 {
		return 0
	}
	return fn.Proto.DbgSourcePositions[f.pc()-1]
}

// name is what f's caller called it, "" if it is not known.
func (f frame) name() string {
	c := f.caller()
	if c.none() || c.fn().IsG {
		return ""
	}
	for _, call := range c.fn().Proto.DbgCalls {
		if call.Pc == c.pc()-1 && call.Name != "?" && call.Name != "(anonymous)" && source.IsCallName(call.Name) {
			return call.Name
		}
	}
	return ""
}

// where is "file:line: " for the function at level: 1 is the one that called the running builtin. It is empty where Lua's is: for
// builtins, and beyond the coroutine's end.
func (h *Host) where(L *lua.LState, level int) string {
	f := top(L)
	for ; level > 0 && !f.none(); level-- {
		f = f.caller()
	}
	if f.none() || f.fn().IsG || h.internal(f.fn()) {
		return ""
	}
	return f.fn().Proto.SourceName + ":" + strconv.Itoa(f.line()) + ": "
}

// raise raises an error at the place of the Lua function that called the builtin.
func (h *Host) raise(L *lua.LState, format string, args ...any) {
	L.Error(lua.LString(h.where(L, 1)+fmt.Sprintf(format, args...)), 0)
}

// Lua's values as callers see them that need not know which Lua this is.

package vm

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/lualib"
	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

// Value is a Lua value of one state.
type Value = lua.LValue

// Proto is a compiled chunk. It is immutable and may be run in several states.
type Proto = lua.FunctionProto

// Nil is Lua's nil.
var Nil Value = lua.LNil

// String makes a Lua string.
func String(s string) Value { return lua.LString(s) }

// Number is v as a number, if it is one or a string that Lua's arithmetic takes for one.
func Number(v Value) (n float64, ok bool) { return lualib.Number(v) }

// Compile compiles a script's text; errors read "name:line: message".
func Compile(src []byte, name string) (*Proto, error) { return source.Compile(src, name) }

// CompileCovered is Compile, and has every statement tell Options.Covered that it is about to run: with what number gives for its line.
func CompileCovered(src []byte, name string, number func(line int) int) (*Proto, error) {
	return source.CompileCovered(src, name, number)
}

// Global gives a global variable, whatever metatable a script has given the globals.
func (s *State) Global(name string) Value { return s.L.G.Global.RawGetString(name) }

// SetGlobal sets one.
func (s *State) SetGlobal(name string, v Value) { s.L.G.Global.RawSetString(name, v) }

// Field gives a field of a table, Nil of anything else.
func Field(v Value, name string) Value {
	if t, ok := v.(*lua.LTable); ok {
		return t.RawGetString(name)
	}
	return Nil
}

// Defined is where a function is defined, "file:line"; "" for what is no function of a script.
func Defined(v Value) string {
	if fn, ok := v.(*lua.LFunction); ok && fn.Proto != nil {
		return fmt.Sprintf("%s:%d", fn.Proto.SourceName, fn.Proto.LineDefined)
	}
	return ""
}

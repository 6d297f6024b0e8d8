// What went wrong in a script, with its place and traceback.

package vm

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

// ScriptError is an error raised by a script or on its behalf.
type ScriptError struct {
	Message   string     // "file:line: what", or "what" if the raiser gave no place
	Traceback string     // Lua's stack, possibly empty
	Value     lua.LValue // the error value, nil when there was none
}

func (e *ScriptError) Error() string { return e.Message }

// Text is the error as memcached's proxy tells it to watchers: a value that is no string has none.
func (e *ScriptError) Text() string {
	switch e.Value.(type) {
	case nil, lua.LString, lua.LNumber:
		return e.Message
	}
	return "(null)"
}

var (
	errWaitInside   = &ScriptError{Message: "cannot wait inside a metamethod: call the pool outside and keep its answer"}
	errYieldOutside = &ScriptError{Message: "attempt to yield from outside a coroutine"}
)

// scriptError turns what gopher-lua returns into a ScriptError.
func scriptError(err error) error {
	var api *lua.ApiError
	if !errors.As(err, &api) {
		return err
	}
	e := &ScriptError{Value: api.Object, Traceback: strings.TrimSpace(api.StackTrace)}
	switch v := api.Object.(type) {
	case nil:
		e.Message = err.Error()
	case lua.LString, lua.LNumber:
		if e.Message = v.String(); e.Message == "lua callstack overflow" { // gopher-lua's word
			e.Message = overflow
		}
	case *lua.LNilType:
		e.Message = "error without a message"
	default:
		e.Message = fmt.Sprintf("(error object is a %s value)", v.Type())
		if s := tostring(v); s != "" {
			e.Message = s
		}
	}
	if len(e.Message) > maxMessage {
		e.Message = e.Message[:maxMessage] + "..."
	}
	return e
}

// overflow is Lua's word for calls that are nested too deep.
const overflow = "stack overflow"

// maxMessage is how many bytes of an error's text are kept: it is searched, and logged, and a script may raise any string.
const maxMessage = 4 << 10

// tostring is what a table's __tostring field says if it is a plain string; errors as objects often carry one.
func tostring(v lua.LValue) string {
	t, ok := v.(*lua.LTable)
	if !ok {
		return ""
	}
	for _, k := range []string{"message", "msg"} {
		if s, ok := t.RawGetString(k).(lua.LString); ok {
			return string(s)
		}
	}
	return ""
}

// recovered turns a panic into an error: a script's mistake never ends the process.
func recovered(r any) error {
	if err, ok := r.(error); ok {
		var api *lua.ApiError
		if errors.As(err, &api) {
			return scriptError(err)
		}
	}
	return &ScriptError{Message: fmt.Sprintf("internal error in a script call: %v", r), Traceback: string(debug.Stack())}
}

// traceback lists the frames that a failed thread still holds, innermost first.
func traceback(th *lua.LState) string {
	var b strings.Builder
	for level := 0; level < 40; level++ {
		d, ok := th.GetStack(level)
		if !ok {
			break
		}
		fn, err := th.GetInfo("nSlf", d, lua.LNil)
		if err != nil || d.What == "G" || fn == lua.LNil || d.Source == entryName {
			continue
		}
		name := d.Name
		if name == "" || name == "?" || !source.IsCallName(name) {
			name = "function"
		}
		fmt.Fprintf(&b, "\t%s:%d: in %s\n", d.Source, d.CurrentLine, name)
	}
	return strings.TrimRight(b.String(), "\n")
}

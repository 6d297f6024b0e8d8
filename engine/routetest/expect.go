// expect: what a test says should be so, and how it is told when it is not.

package routetest

import (
	"fmt"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// Failure is why a test failed.
type Failure struct {
	Place string   // file:line of the test, as far as it is known
	Text  string   // one or more lines
	From  []string // who called the function that stands there: file:line, innermost first
	Log   []string // errors and warnings that the proxy has logged and the test has not looked at
}

func (f *Failure) Error() string {
	text := f.Text
	if f.Place != "" {
		text = f.Place + ": " + text
	}
	if len(f.From) > 0 {
		text += "\nfrom " + strings.Join(f.From, "\nfrom ")
	}
	if len(f.Log) > 0 {
		text += "\nlogged: " + strings.Join(f.Log, "\nlogged: ")
	}
	return text
}

// fail raises a failure at the caller of the running function.
func (f *file) fail(L *lua.LState, format string, args ...any) int {
	x := &Failure{Place: place(L), Text: fmt.Sprintf(format, args...)}
	for level := 2; level < maxFrom; level++ {
		d, ok := L.GetStack(level)
		if !ok {
			break
		}
		fn, err := L.GetInfo("Slf", d, lua.LNil)
		if err != nil || d.CurrentLine < 0 || fn == lua.LNil || strings.HasPrefix(d.Source, "[") {
			continue
		}
		x.From = append(x.From, fmt.Sprintf("%s:%d", d.Source, d.CurrentLine))
	}
	L.Error(f.userdata(x, f.failureMT), 0)
	return 0
}

// maxFrom is how many calls are told.
const maxFrom = 20

func luaFail(f *file, L *lua.LState) int { return f.fail(L, "%s", L.OptString(1, "fail was called")) }

// expected is what expect has been given.
type expected struct{ v lua.LValue }

func luaExpect(f *file, L *lua.LState) int {
	if L.GetTop() == 0 {
		L.RaiseError("expect: want a value")
	}
	L.Push(f.userdata(&expected{L.Get(1)}, f.expectMT))
	return 1
}

var expectMethods = map[string]func(*file, *lua.LState) int{
	"equals": func(f *file, L *lua.LState) int {
		got, want := self[*expected](L).v, L.Get(2)
		if L.GetTop() < 2 {
			L.RaiseError("equals: want a value")
		}
		if !same(got, want, 0) {
			return f.fail(L, "%s", differ(got, want))
		}
		return 0
	},
	"contains": func(f *file, L *lua.LState) int {
		got, want := self[*expected](L).v, L.CheckAny(2)
		switch v := got.(type) {
		case lua.LString:
			text := L.CheckString(2)
			if !strings.Contains(string(v), text) {
				return f.fail(L, "want a text that contains %s, got\n%s", show(want), indent(lines(got), "    "))
			}
		case *lua.LTable:
			for i := 1; i <= v.Len(); i++ {
				if same(v.RawGetInt(i), want, 0) {
					return 0
				}
			}
			return f.fail(L, "want a list that contains %s, got\n%s", show(want), indent(lines(got), "    "))
		default:
			return f.fail(L, "want a text or list that contains %s, got %s", show(want), show(got))
		}
		return 0
	},
	"matches": func(f *file, L *lua.LState) int {
		got, pattern := self[*expected](L).v, L.CheckString(2)
		if _, ok := got.(lua.LString); !ok || !f.find(L, got, pattern) {
			return f.fail(L, "want a text that matches %s, got %s", show(lua.LString(pattern)), show(got))
		}
		return 0
	},
	"is_nil":   is("nil", func(v lua.LValue) bool { return v == lua.LNil }),
	"is_true":  is("true", func(v lua.LValue) bool { return v == lua.LTrue }),
	"is_false": is("false", func(v lua.LValue) bool { return v == lua.LFalse }),
	"near": func(f *file, L *lua.LState) int {
		want, within := float64(L.CheckNumber(2)), float64(L.CheckNumber(3))
		v := self[*expected](L).v
		if n, ok := v.(lua.LNumber); !ok || !(math.Abs(float64(n)-want) <= within) {
			return f.fail(L, "want %s, give or take %s, got %s", show(L.Get(2)), show(L.Get(3)), show(v))
		}
		return 0
	},
	"errors": func(f *file, L *lua.LState) int {
		fn, ok := self[*expected](L).v.(*lua.LFunction)
		if !ok {
			L.RaiseError("errors: give expect a function")
		}
		L.Push(f.state.Global("pcall"))
		L.Push(fn)
		L.Call(1, 2)
		done, got := L.Get(-2), L.Get(-1)
		L.Pop(2)
		if done == lua.LTrue {
			return f.fail(L, "want an error, got none")
		}
		if ud, ok := got.(*lua.LUserData); ok {
			if x, ok := ud.Value.(*Failure); ok { // an expectation within the function is not what is meant
				L.Error(f.userdata(x, f.failureMT), 0)
			}
		}
		if L.GetTop() < 2 {
			return 0
		}
		pattern := L.CheckString(2)
		if _, ok := got.(lua.LString); !ok || !f.find(L, got, pattern) {
			return f.fail(L, "want an error that matches %s, got %s", show(lua.LString(pattern)), show(got))
		}
		return 0
	},
}

func is(what string, ok func(lua.LValue) bool) func(*file, *lua.LState) int {
	return func(f *file, L *lua.LState) int {
		if v := self[*expected](L).v; !ok(v) {
			return f.fail(L, "want %s, got %s", what, show(v))
		}
		return 0
	}
}

// find reports whether s matches a Lua pattern.
func (f *file) find(L *lua.LState, s lua.LValue, pattern string) bool {
	L.Push(f.findFn)
	L.Push(s)
	L.Push(lua.LString(pattern))
	L.Call(2, 1)
	v := L.Get(-1)
	L.Pop(1)
	return v != lua.LNil
}

// maxDepth is how deep tables are looked into.
const maxDepth = 20

// same compares values, tables by what is in them.
func same(a, b lua.LValue, depth int) bool {
	x, ok := a.(*lua.LTable)
	y, also := b.(*lua.LTable)
	if !ok || !also || x == y || depth > maxDepth {
		return a == b
	}
	equal, n := true, 0
	x.ForEach(func(k, v lua.LValue) {
		n++
		equal = equal && same(v, y.RawGet(k), depth+1)
	})
	y.ForEach(func(lua.LValue, lua.LValue) { n-- })
	return equal && n == 0
}

package lualib

import (
	"fmt"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// waiter runs scripts as a host does: wait(x) suspends the request's coroutine, yields x, and returns what it is resumed with.
type waiter struct {
	t    testing.TB
	L    *lua.LState
	h    *Host
	base *lua.LState
}

func newWaiter(t testing.TB) *waiter {
	L, h, _ := newState(t, Options{})
	w := &waiter{t: t, L: L, h: h}
	L.SetGlobal("wait", L.NewFunction(func(L *lua.LState) int {
		if !h.CanYield(L, w.base) {
			L.RaiseError("cannot wait here")
		}
		return L.Yield(L.Get(1))
	}))
	entry, err := h.Load([]byte(`return function(f, ...) local r = f(...) return r end`), "entry.lua")
	if err != nil {
		t.Fatal(err)
	}
	if err := L.CallByParam(lua.P{Fn: entry, NRet: 1, Protect: true}); err != nil {
		t.Fatal(err)
	}
	L.SetGlobal("entry", L.Get(-1))
	L.Pop(1)
	return w
}

type resume func(th *lua.LState, fn *lua.LFunction, args ...lua.LValue) (lua.ResumeState, error, []lua.LValue)

// serve runs src as a request's route and answers every wait(x) with "<x>". It gives what was waited for, and the result or
// the error.
func (w *waiter) serve(src string, resume resume) string {
	w.t.Helper()
	fn, err := w.h.Load([]byte(src), "route.lua")
	if err != nil {
		w.t.Fatal(err)
	}
	w.h.Reset(1_000_000)
	w.base, _ = w.L.NewThread()
	var waits []string
	state, err, vals := resume(w.base, w.L.GetGlobal("entry").(*lua.LFunction), fn)
	for ; state == lua.ResumeYield; state, err, vals = resume(w.base, nil, lua.LString("<"+vals[0].String()+">")) {
		waits = append(waits, vals[0].String())
		if len(waits) > 100 {
			w.t.Fatal("waits for ever")
		}
	}
	result := fmt.Sprint(vals)
	if err != nil {
		result = "error: " + strings.SplitN(err.Error(), "\n", 2)[0]
	}
	if w.L.GetTop() != 0 {
		w.t.Errorf("%d values left on the main stack", w.L.GetTop())
	}
	return strings.Join(waits, " ") + " -> " + result
}

func (w *waiter) plain(th *lua.LState, fn *lua.LFunction, args ...lua.LValue) (lua.ResumeState, error, []lua.LValue) {
	return w.L.Resume(th, fn, args...)
}

func (w *waiter) fitted(th *lua.LState, fn *lua.LFunction, args ...lua.LValue) (lua.ResumeState, error, []lua.LValue) {
	return w.h.Resume(w.L, th, fn, args...)
}

// TestWaits waits in every position that LUA-COMPAT lists.
func TestWaits(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"in the route", `local x = wait("a") return x`, `a -> [<a>]`},
		{"tail call of the route", `return wait("a")`, `a -> [<a>]`},
		{"twice", `return wait("a") .. wait("b")`, `a b -> [<a><b>]`},
		{"as a statement", `wait("a") return "done"`, `a -> [done]`},
		{"as an argument", `return tostring(wait("a"))`, `a -> [<a>]`},
		{"in a function", `local function f(x) local r = wait(x) return r .. "!" end return f("a")`, `a -> [<a>!]`},
		{"tail call in a function", `local function f(x) return wait(x) end return f("a") .. f("b")`, `a b -> [<a><b>]`},
		{"tail calls down", `local function f(n) if n == 0 then return wait("deep") end return f(n - 1) end return f(20)`, `deep -> [<deep>]`},
		{"in a loop", `local s = "" for i = 1, 3 do s = s .. wait(i) end return s`, `1 2 3 -> [<1><2><3>]`},
		{"in while's condition", `local n = 0 while wait(n) ~= "<2>" do n = n + 1 end return n`, `0 1 2 -> [2]`},
		{"in a table constructor", `local t = {wait(1), wait(2), x = wait(3)} return t[1] .. t[2] .. t.x`, `1 2 3 -> [<1><2><3>]`},
		{"in a store", `local t = {} t[wait(1)] = wait(2) return t["<1>"]`, `1 2 -> [<2>]`},
		{"in two stores", `local t = {} t[wait(1)], t[wait(2)] = wait(3), wait(4) return t["<1>"] .. t["<2>"]`, `1 2 3 4 -> [<3><4>]`},
		{"in a computed constructor", `local t = {[wait(1)] = wait(2), wait(3)} return t["<1>"] .. t[1]`, `1 2 3 -> [<2><3>]`},
		{"with varargs", `local function f(...) return wait(...) .. wait((select(2, ...))) end return f("a", "b")`, `a b -> [<a><b>]`},
		{"in __newindex", `local x local t = setmetatable({}, {__newindex = function(_, k) x = pcall(wait, k) end}) t[1 + 1] = 5 return tostring(x)`, ` -> [false]`},
		{"in and, or", `return wait(1) and wait(2) or wait(3)`, `1 2 -> [<2>]`},
		{"loop over pairs", `local s = "" for k, v in pairs({"x", "y"}) do s = s .. wait(v) end return s`, `x y -> [<x><y>]`},
		{"in a for iterator", `local n = 0 local s = ""
			for v in function() n = n + 1 if n < 3 then return wait(n) end end do s = s .. v end return s`, `1 2 -> [<1><2>]`},
		{"in pcall", `local ok, v = pcall(function() local x = wait("a") return x end) return tostring(ok) .. v`, `a -> [true<a>]`},
		{"pcall's own function", `local ok, v = pcall(wait, "a") return tostring(ok) .. v`, `a -> [true<a>]`},
		{"tail call in pcall", `local ok, v = pcall(function() return wait("a") end) return tostring(ok) .. v`, `a -> [true<a>]`},
		{"pcall as tail call", `local function f() return pcall(wait, "a") end local ok, v = f() return tostring(ok) .. v`, `a -> [true<a>]`},
		{"pcall is the route's tail call", `return pcall(wait, "a")`, `a -> [true]`},
		{"in nested pcalls", `local ok, a, b = pcall(function() return pcall(function() return wait(1) .. wait(2) end) end)
			return tostring(ok) .. tostring(a) .. b`, `1 2 -> [truetrue<1><2>]`},
		{"pcalls between waits", `local s = wait(0) for i = 1, 3 do local ok, v = pcall(wait, i) s = s .. v end return s .. wait(4)`,
			`0 1 2 3 4 -> [<0><1><2><3><4>]`},
		{"error after a wait in pcall", `local ok, e = pcall(function() wait(1) error("oops", 0) end) return tostring(ok) .. e`,
			`1 -> [falseoops]`},
		{"wait after an error in pcall", `local ok, e = pcall(error, "oops") local ok2, v = pcall(wait, 1) return e .. v`,
			`1 -> [oops<1>]`},
		{"error through pcalls after waits", `local ok, e = pcall(function() local ok, e = pcall(function() wait(1) error("in", 0) end)
			wait(e) error("out" .. e, 0) end) return e`, `1 in -> [outin]`},
		{"in xpcall", `local ok, v = xpcall(function(x) return wait(x) end, print, "a") return tostring(ok) .. v`, `a -> [true<a>]`},
		{"error after a wait in xpcall", `local ok, v = xpcall(function() wait(1) local x = nil; x() end, function(e) return "handled" end)
			return tostring(ok) .. v`, `1 -> [falsehandled]`},
		{"fewer values than wanted", `local a, b, c = wait(1) return tostring(a) .. tostring(b) .. tostring(c)`, `1 -> [<1>nilnil]`},
		{"fewer, in pcall", `local ok, a = pcall(function() local a, b, c = wait(1) return tostring(a) .. tostring(b) .. tostring(c) end)
			return a`, `1 -> [<1>nilnil]`},
		{"uncaught error after a wait", `wait(1) error("oops")`, `1 -> error: route.lua:1: oops`},
		{"upvalues across waits", `local n = 0 local function f() n = n + 1 wait(n) n = n + 1 end
			pcall(f) f() return n`, `1 3 -> [4]`},
		{"varargs across waits", `local function f(...) wait(select("#", ...)) return ... end
			local a, b, c = f(1, nil, 3) return tostring(a) .. tostring(b) .. tostring(c)`, `3 -> [1nil3]`},
		{"budget across waits", `pcall(function() wait(1) while true do end end)`, `1 -> error: route.lua:1: step budget exhausted: the script ran too long`},
		{"in a block with <close>", `local out = "" do local x <close> = setmetatable({}, {__close = function() out = out .. wait("c") end})
			out = out .. wait("a") end return out`, `a c -> [<a><c>]`},
		{"returned through <close>", `local function f() local x <close> = setmetatable({}, {__close = function() wait("c") end}) return wait("a") end
			return f() .. wait("b")`, `a c b -> [<a><b>]`},
		{"error after a wait through <close>", `local ok, e = pcall(function() local x <close> = setmetatable({}, {__close = function(_, e) wait(e) end})
			wait("a") error("oops", 0) end) return e`, `a oops -> [oops]`},
		{"as operands of integers", `return (#wait(1) & 7) | #wait(22) // 3 << 4`, `1 22 -> [19]`},
		{"inside __idiv", `local t = setmetatable({}, {__idiv = function() return wait(1) end}) return t // 1`, ` -> error: route.lua:1: cannot wait here`},
		{"inside gsub", `return (("a"):gsub("a", function() return wait(1) end))`, ` -> error: route.lua:1: cannot wait here`},
		{"inside sort", `table.sort({1, 2}, function() wait(1) end)`, ` -> error: route.lua:1: cannot wait here`},
		{"inside __index", `local t = setmetatable({}, {__index = function() return wait(1) end}) return t.x`, ` -> error: route.lua:1: cannot wait here`},
		{"inside __add", `local t = setmetatable({}, {__add = function() return wait(1) end}) return t + 1`, ` -> error: route.lua:1: cannot wait here`},
		{"inside __concat", `local t = setmetatable({}, {__concat = function() return wait(1) end}) return t .. 1`, ` -> error: route.lua:1: cannot wait here`},
		{"inside __tostring", `return tostring(setmetatable({}, {__tostring = function() return wait(1) end}))`, ` -> error: route.lua:1: cannot wait here`},
		{"inside __call", `local t = setmetatable({}, {__call = function(_, x) return wait(x) end}) return t(1)`, `1 -> [<1>]`},
		{"inside a coroutine", `return coroutine.wrap(function() return wait(1) end)()`, ` -> error: route.lua:1: route.lua:1: cannot wait here`},
		{"inside load's reader", `return load(function() return wait(1) end)`, ` -> error: route.lua:1: cannot wait here`},
		{"pcall inside gsub", `return (("a"):gsub("a", function() local ok, e = pcall(wait, 1) return e end))`, ` -> [cannot wait here]`},
		{"yield outside a coroutine", `coroutine.yield(1)`, ` -> error: route.lua:1: attempt to yield from outside a coroutine`},
		{"yield in a callback", `return coroutine.wrap(function() ("a"):gsub("a", function() coroutine.yield(1) end) end)()`,
			` -> error: route.lua:1: route.lua:1: attempt to yield across a Go-call boundary`},
		{"after all that", `local s = wait(1) local co = coroutine.wrap(function() coroutine.yield(1) end) co() return s .. wait(2)`, `1 2 -> [<1><2>]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWaiter(t)
			got := w.serve(c.src, w.fitted)
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if c.name == "fewer values than wanted" { // the one that needs Host.Resume
				return
			}
			if again := w.serve(c.src, w.plain); again != c.want {
				t.Errorf("with L.Resume: got  %s\nwant %s", again, c.want)
			}
		})
	}
}

// TestWaitsInterleave has many requests in one state wait at once, inside pcalls, and ends them in another order.
func TestWaitsInterleave(t *testing.T) {
	w := newWaiter(t)
	fn, err := w.h.Load([]byte(`local n = ... local ok, v = pcall(function() local a = wait("first") n = n + 1
		local ok, b = pcall(wait, "second") return a .. b .. n end) return v`), "route.lua")
	if err != nil {
		t.Fatal(err)
	}
	const requests = 50
	var ths [requests]*lua.LState
	for round := range 3 {
		for i := range ths {
			if round == 0 {
				ths[i], _ = w.L.NewThread()
			}
			w.base = ths[i]
			w.base.Dead = false
			if state, err, _ := w.fitted(ths[i], w.L.GetGlobal("entry").(*lua.LFunction), fn, lua.LNumber(i)); state != lua.ResumeYield {
				t.Fatalf("request %d: %v %v", i, state, err)
			}
		}
		for i := range ths {
			k := (i*7 + 3) % requests
			w.base = ths[k]
			if state, err, vals := w.fitted(ths[k], nil, lua.LString("x")); state != lua.ResumeYield || vals[0].String() != "second" {
				t.Fatalf("request %d: %v %v %v", k, state, err, vals)
			}
		}
		for i := range ths {
			k := (i*11 + 5) % requests
			w.base = ths[k]
			state, err, vals := w.fitted(ths[k], nil, lua.LString("y"))
			if want := fmt.Sprintf("xy%d", k+1); state != lua.ResumeOK || vals[0].String() != want {
				t.Fatalf("request %d: %v %v %v, want %s", k, state, err, vals, want)
			}
		}
	}
	if n := len(w.h.protected.free); n != maxFree {
		t.Errorf("%d coroutines kept, want %d", n, maxFree)
	}
}

// TestPcallReusesCoroutines counts what pcalls leave behind.
func TestPcallReusesCoroutines(t *testing.T) {
	L, h, _ := newState(t, Options{})
	fn, err := h.Load([]byte(`for i = 1, 1000 do pcall(function() pcall(function() end) end) end`), "a.lua")
	if err != nil {
		t.Fatal(err)
	}
	if err := L.CallByParam(lua.P{Fn: fn, Protect: true}); err != nil {
		t.Fatal(err)
	}
	if n := len(h.protected.free); n != 2 {
		t.Errorf("%d coroutines made for 2000 pcalls, want 2", n)
	}
}

func TestRunningIsTheRequest(t *testing.T) {
	w := newWaiter(t)
	got := w.serve(`local a, main = coroutine.running() local _, b = pcall(coroutine.running)
		return tostring(a == b) .. tostring(main) .. coroutine.status(a)`, w.fitted)
	if got != " -> [truetruerunning]" {
		t.Error(got)
	}
	if got := w.serve(`local me = coroutine.running() local ok, e = coroutine.resume(me) return e`, w.fitted); !strings.Contains(got, "non-suspended") {
		t.Error(got)
	}
}

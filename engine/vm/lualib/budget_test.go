package lualib

import (
	"errors"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// TestBudgetCuts runs scripts that would run for ever, or nearly, or swallow the budget's error. Every one must end with it.
func TestBudgetCuts(t *testing.T) {
	for name, src := range map[string]string{
		"while":            `while true do end`,
		"repeat":           `repeat until false`,
		"for":              `for i = 1, math.huge do end`,
		"for-in":           `for _ in function() return 1 end do end`,
		"goto":             `::a:: goto a`,
		"goto out":         `do ::a:: end ::b:: if true then goto b end`,
		"goto closure":     `::a:: local x; local f = function() return x end; goto a`,
		"recursion":        `local function f() return f() end f()`,
		"mutual":           `local a, b; function a() return b() end function b() return a() end a()`,
		"exponential":      `local function f(n) if n == 0 then return 0 end return f(n-1) + f(n-1) end f(100)`,
		"metamethods":      `local t = setmetatable({}, {__index = function(t, k) return t end}) while t.x do end`,
		"continue":         `while true do goto continue; ::continue:: end`,
		"rep":              `local s = ("x"):rep(6e7) return s`,
		"doubling":         `local s = "x" while true do s = s .. s end`,
		"append":           `local s = "" while true do s = s .. "0123456789" end`,
		"append by call":   `local s = ("x"):rep(100000) for i = 1, 1e9 do s = s:sub(2) .. "y" end`,
		"lazy quantifiers": `local s = ("a"):rep(29) return s:find(".-.-.-.-.-.-.-.-b")`,
		"quadratic find":   `local s = ("a"):rep(100000) return s:find(".-b")`,
		"nested stars":     `local s = ("a"):rep(100) return s:match("a*a*a*a*a*a*b")`,
		"balance":          `local s = ("("):rep(100000) return s:find("%b()")`,
		"back reference":   `local s = ("a"):rep(30000) return s:find("(a+)%1b")`,
		"set":              `local s = ("a"):rep(3000) return s:find("[b-cd-ef-gh-ij-k]*[^a]*a*a*b")`,
		"gsub":             `local s = ("a"):rep(100000) while true do s:gsub("a", "b") end`,
		"gsub grows":       `local s = ("a"):rep(10000) s:gsub("a", ("b"):rep(10000))`,
		"gsub callback":    `("a"):rep(1000000):gsub("a", function() while true do end end)`,
		"gmatch":           `while true do for _ in ("abc"):rep(1000):gmatch(".") do end end`,
		"concat":           `local t = {} for i = 1, 1000 do t[i] = "0123456789" end while true do table.concat(t) end`,
		"sort":             `local t = {} for i = 1, 1e5 do t[i] = i end while true do table.sort(t) end`,
		"sort comparator":  `table.sort({3, 2, 1}, function() while true do end end)`,
		"unpack":           `local t = {} for i = 1, 1000 do t[i] = i end while true do table.unpack(t) end`,
		"move":             `local t = {} while true do table.move(t, 1, 1e6, 2) end`,
		"insert at front":  `local t = {} while true do table.insert(t, 1, 0) end`,
		"format":           `while true do string.format("%99d %99d", 1, 2) end`,
		"tostring":         `local t = setmetatable({}, {__tostring = function() while true do end end}) tostring(t)`,
		"load":             `while true do load("return 1") end`,
		"load big":         `local s = ("x = 1 "):rep(100000) load(s)`,
		"upper":            `local s = ("x"):rep(1e6) while true do s = s:upper() end`,
		"coroutines":       `while true do coroutine.wrap(function() coroutine.yield() end)() end`,
		"pcall":            `pcall(function() while true do end end)`,
		"pcall loop":       `while true do pcall(function() while true do end end) end`,
		"pcall recursion":  `local function f() pcall(f) return f() end f()`,
		"xpcall":           `xpcall(function() while true do end end, function() return "swallowed" end)`,
		"xpcall handler":   `xpcall(error, function() while true do end end)`,
		"resume":           `while true do coroutine.resume(coroutine.create(function() while true do end end)) end`,
		"wrap":             `pcall(coroutine.wrap(function() while true do end end))`,
		"deep":             `pcall(pcall, pcall, coroutine.wrap(function() pcall(function() while true do end end) end))`,
		"in a callback":    `pcall(string.gsub, "abc", ".", function() pcall(function() while true do end end) end)`,
		"in a metamethod":  `pcall(function() local t = setmetatable({}, {__add = function() while true do end end}) return t + t end)`,
		"in a closed loop": `pcall(function() for _ in coroutine.wrap(function() while true do pcall(coroutine.yield, 1) end end) do end end)`,
		"close":            `local x <close> = setmetatable({}, {__close = function() while true do end end})`,
		"closed block":     `while true do local x <close> = nil end`,
		"in closed block":  `local x <close> = setmetatable({}, {__close = function() error("swallowed") end}) while true do end`,
		"integers":         `local x = 1 while true do x = x << 1 & 0xff | x // 3 end`,
		"__band":           `local t = setmetatable({}, {__band = function() while true do end end}) return t & 1`,
		"pack":             `while true do string.pack("c1000000", "") end`,
		"unpack bytes":     `local s = ("x"):rep(1000) while true do string.unpack(("b"):rep(1000), s) end`,
		"packsize":         `local f = ("i4"):rep(1000) while true do string.packsize(f) end`,
		"utf8":             `local s = ("x"):rep(1e5) while true do utf8.len(s) end`,
		"error objects":    `while true do pcall(error, {}) end`,
	} {
		t.Run(name, func(t *testing.T) {
			L, h, _ := newState(t, Options{})
			fn, err := h.Load([]byte(src+"\n"), "loop.lua")
			if err != nil {
				t.Fatal(err)
			}
			h.Reset(200_000)
			L.Push(fn)
			err = L.PCall(0, 0, nil)
			if err == nil || !strings.Contains(err.Error(), "step budget exhausted") || !h.Cut() {
				t.Fatalf("not cut: error %v, Cut %v", err, h.Cut())
			}
			if h.Left() != 0 {
				t.Errorf("%d steps left", h.Left())
			}
			h.Reset(1000)
			if h.Cut() || h.Left() != 1000 {
				t.Fatalf("after Reset: Cut %v, Left %d", h.Cut(), h.Left())
			}
			ok, err := h.Load([]byte(`local ok, e = pcall(error, "usable") assert(not ok and e == "usable")`), "after.lua")
			if err != nil {
				t.Fatal(err)
			}
			L.Push(ok)
			if err := L.PCall(0, 0, nil); err != nil {
				t.Errorf("the state is not usable after it: %v", err)
			}
		})
	}
}

// TestBudgetPlace says that the error names the line that was running.
func TestBudgetPlace(t *testing.T) {
	L, h, _ := newState(t, Options{})
	fn, err := h.Load([]byte("local x = 1\n\nwhile true do\n x = x + 1\nend"), "loop.lua")
	if err != nil {
		t.Fatal(err)
	}
	h.Reset(10_000)
	L.Push(fn)
	err = L.PCall(0, 0, nil)
	var api *lua.ApiError
	if !errors.As(err, &api) || api.Object.String() != "loop.lua:3: step budget exhausted: the script ran too long" {
		t.Fatalf("got %v", err)
	}
}

// TestSteps counts: one for the chunk, one for each function entered, each turn, each jump back.
func TestSteps(t *testing.T) {
	for _, c := range []struct {
		src  string
		want int64
	}{
		{``, 1},
		{`for i = 1, 1000 do end`, 1001},
		{`local i = 0 while i < 300 do i = i + 1 end`, 301},
		{`local i = 0 repeat i = i + 1 until i == 300`, 301},
		{`local f = function() end for i = 1, 500 do f() end`, 1001},
		{`local i = 0 ::a:: i = i + 1 if i < 200 then goto a end`, 200},
		{`for i = 1, 200 do goto continue ::continue:: end`, 201},
		{`for _ in pairs({1, 2, 3}) do end`, 4},
		{`local n = 0 for _ in function() n = n + 1 if n < 4 then return n end end do end`, 8},
		{`local s = ("x"):rep(1600)`, 1 + 101},
	} {
		L, h, _ := newState(t, Options{})
		fn, err := h.Load([]byte(c.src), "steps.lua")
		if err != nil {
			t.Fatal(err)
		}
		h.Reset(100_000)
		L.Push(fn)
		if err := L.PCall(0, 0, nil); err != nil {
			t.Errorf("%s: %v", c.src, err)
		}
		if got := 100_000 - h.Left(); got != c.want {
			t.Errorf("%s: %d steps, want %d", c.src, got, c.want)
		}
	}
}

// TestBudgetIsExact lets a loop take exactly what there is.
func TestBudgetIsExact(t *testing.T) {
	for _, n := range []int64{1, 2, 127, 128, 129, 255, 256, 257, 1000} {
		L, h, _ := newState(t, Options{})
		fn, err := h.Load([]byte(`local n = ... for i = 1, n - 1 do end`), "exact.lua")
		if err != nil {
			t.Fatal(err)
		}
		h.Reset(n)
		if err := L.CallByParam(lua.P{Fn: fn, Protect: true}, lua.LNumber(n)); err != nil {
			t.Errorf("%d steps are not enough for %d: %v", n, n, err)
		}
		h.Reset(n - 1)
		if err := L.CallByParam(lua.P{Fn: fn, Protect: true}, lua.LNumber(n)); err == nil {
			t.Errorf("%d steps are enough for %d", n-1, n)
		}
	}
}

func TestCharge(t *testing.T) {
	L, h, _ := newState(t, Options{})
	for _, c := range []struct{ budget, charge, left int64 }{{100, 30, 70}, {100, 100, 0}, {1000, 900, 100}, {1000, 999, 1}, {500, 0, 500}} {
		h.Reset(c.budget)
		h.Charge(L, int(c.charge))
		if h.Left() != c.left {
			t.Errorf("%d - %d: %d left", c.budget, c.charge, h.Left())
		}
	}
	h.Reset(10)
	L.Push(L.NewFunction(func(L *lua.LState) int { h.Charge(L, 11); return 0 }))
	if err := L.PCall(0, 0, nil); err == nil || !h.Cut() {
		t.Errorf("charging more than is left: %v, Cut %v", err, h.Cut())
	}
}

// TestStepsAllocateNothing runs 10,000 steps; a boxed number each would show.
func TestStepsAllocateNothing(t *testing.T) {
	L, h, _ := newState(t, Options{})
	fn, err := h.Load([]byte(`for i = 1, 100 do for j = 1, 100 do end end`), "steps.lua")
	if err != nil {
		t.Fatal(err)
	}
	allocs := testing.AllocsPerRun(20, func() {
		h.Reset(1 << 40)
		if err := L.CallByParam(lua.P{Fn: fn, Protect: true}); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 5 {
		t.Errorf("%v allocations in 10,000 steps", allocs)
	}
}

// TestMatchAllocatesOnlyResults: string.match makes its captures and nothing else, string.find's positions are numbers.
func TestMatchAllocatesOnlyResults(t *testing.T) {
	L, h, _ := newState(t, Options{})
	fn, err := h.Load([]byte(`local m = string.match for i = 1, 100 do m("/foo/user:1", "^/(%a+)/(.-):%d*$") end`), "match.lua")
	if err != nil {
		t.Fatal(err)
	}
	allocs := testing.AllocsPerRun(20, func() {
		h.Reset(1 << 40)
		if err := L.CallByParam(lua.P{Fn: fn, Protect: true}); err != nil {
			t.Fatal(err)
		}
	})
	if perMatch := allocs / 100; perMatch > 2.1 {
		t.Errorf("%v allocations a match with two captures", perMatch)
	}
}

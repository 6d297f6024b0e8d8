package lualib

import (
	"runtime"
	"strings"
	"testing"
)

// TestBombs runs scripts that did unbounded work, or took unbounded memory, for a step. Within 300,000 steps none may
// allocate more than 512 MiB in all, and all must end with the budget.
func TestBombs(t *testing.T) {
	for name, src := range map[string]string{
		"move wraps around":     `pcall(table.move, {}, -2^63, 2^62, 1) pcall(table.move, {}, 1, 2, 2^63 - 1024) while true do end`,
		"negative length":       `local t = setmetatable({}, {__len = function() return -1e15 end}) pcall(table.sort, t) while true do end`,
		"negative insert":       `local t = setmetatable({}, {__len = function() return -2^60 end}) while true do pcall(table.insert, t, 1, 2) end`,
		"tables":                `local t = {} for i = 1, 1e6 do t[i] = {i = i} end`,
		"wide tables":           `local t = {} for i = 1, 1e6 do t[i] = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20} end`,
		"tables by a function":  `local function f() return {a = 1, b = {c = 2}} end local t = {} for i = 1, 1e6 do t[i] = f() end`,
		"tables in a for-in":    `local t = {} for i in function(_, i) return (i or 0) + 1 end do t[i] = {i = i} end`,
		"tables in a condition": `local t = {} local function put(x) t[#t + 1] = x return true end while put({a = 1, b = 2}) do end`,
		"tables by goto":        `local t = {} ::again:: t[#t + 1] = {a = 1, b = 2} goto again`,
		"sparse tables":         `local t = {} for i = 1, 1e6 do local s = {} s[1e6] = 1 t[i] = s end`,
		"sparse by two":         `local t = {} for i = 1, 1e6 do local a, b = {}, {} a[1e6], b[1e6] = i, i t[i] = {a, b} end`,
		"sparse, a key":         `local t = {} for i = 1, 1e6 do local s, k = {}, 1e6 s[k] = 1 t[i] = s end`,
		"sparse, raw":           `local t = {} for i = 1, 1e6 do t[i] = rawset({}, 1e6, 1) end`,
		"sparse moves":          `local t = {} for i = 1, 1e6 do t[i] = table.move({1}, 1, 1, 1e6, {}) end`,
		"sparse constructor":    `local t = {} for i = 1, 1e6 do t[i] = {[1e6] = 1} end`,
		"varargs": `local u = {} for i = 1, 30000 do u[i] = i end
			local function f(...) local t = {} for i = 1, 1e6 do t[i] = {...} end end f(table.unpack(u))`,
		"vararg copies": `local u = {} for i = 1, 30000 do u[i] = i end
			local function f(...) while true do select("#", ...) end end f(table.unpack(u))`,
		"vararg calls": `local u = {} for i = 1, 30000 do u[i] = i end
			local function g() end local function f(...) while true do g(...) end end f(table.unpack(u))`,
		"next over holes": `local t = {} for i = 1, 5e4 do t["k" .. i] = i end while true do while next(t) do t[next(t)] = nil end t.x = 1 end`,
		"popping":         `local t = {} while true do for i = 1, 1e5 do t[i] = i end while #t > 0 do t[#t] = nil end end`,
		"dates":           `local s = ("%c"):rep(1e6) while true do os.date(s) end`,
		"numerals":        `local s = ("1"):rep(3e6) while true do tonumber(s) end`,
		"plain patterns":  `local s = ("x"):rep(3e6) while true do ("a"):find(s) end`,
	} {
		t.Run(name, func(t *testing.T) {
			L, h, _ := newState(t, Options{})
			fn, err := h.Load([]byte(src), "bomb.lua")
			if err != nil {
				t.Fatal(err)
			}
			h.Reset(300_000)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = h.Call(L, fn)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), "step budget exhausted") {
				t.Errorf("not cut: %v", err)
			}
			if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 512 {
				t.Errorf("%d MiB were allocated", n)
			}
		})
	}
}

package lualib

import (
	"runtime"
	"strings"
	"testing"
)

// TestBombs runs scripts that did unbounded work, or took unbounded memory, for a step. Within a request's budget none may
// allocate more than a GiB in all, and all must end with the budget.
func TestBombs(t *testing.T) {
	for name, src := range map[string]string{
		"move wraps around": `pcall(table.move, {}, -2^63, 2^62, 1) pcall(table.move, {}, 1, 2, 2^63 - 1024) while true do end`,
		"negative length":   `local t = setmetatable({}, {__len = function() return -1e15 end}) pcall(table.sort, t) while true do end`,
		"negative insert":   `local t = setmetatable({}, {__len = function() return -2^60 end}) while true do pcall(table.insert, t, 1, 2) end`,
		"dates":             `local s = ("%c"):rep(3e6) while true do os.date(s) end`,
		"numerals":          `local s = ("1"):rep(8e6) while true do tonumber(s) end`,
		"plain patterns":    `local s = ("x"):rep(8e6) while true do ("a"):find(s) end`,
	} {
		t.Run(name, func(t *testing.T) {
			L, h, _ := newState(t, Options{})
			fn, err := h.Load([]byte(src), "bomb.lua")
			if err != nil {
				t.Fatal(err)
			}
			h.Reset(1_000_000)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = h.Call(L, fn)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), "step budget exhausted") {
				t.Errorf("not cut: %v", err)
			}
			if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 1024 {
				t.Errorf("%d MiB were allocated", n)
			}
		})
	}
}

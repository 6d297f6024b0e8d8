package lualib

import (
	"fmt"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// uncounted compiles src with gopher-lua alone: no steps, no repairs.
func uncounted(b *testing.B, L *lua.LState, src string) *lua.LFunction {
	chunk, err := parse.Parse(strings.NewReader(src), "bench.lua")
	if err != nil {
		b.Fatal(err)
	}
	proto, err := lua.Compile(chunk, "bench.lua")
	if err != nil {
		b.Fatal(err)
	}
	return L.NewFunctionFromProto(proto)
}

// BenchmarkSteps compares code with and without the count-down. n is the chunk's argument: an operation is a turn.
func BenchmarkSteps(b *testing.B) {
	for _, c := range []struct{ name, src string }{
		{"empty loop", `local n = ... for i = 1, n do end`},
		{"while", `local n = ... local i = 0 while i < n do i = i + 1 end`},
		{"small body", `local n = ... local t, s = {1, 2, 3, 4}, 0 for i = 1, n do s = s + t[i % 4 + 1] end`},
		{"function", `local n = ... local function f(a, b) return a + b end local s = 0 for i = 1, n do s = f(s, i) end`},
		{"route", `local n = ... local m = {get = function(self, k) return self.t[k] end, t = {a = 1}}
			local function route(k) local v = m:get(k) if v == 1 then return v end return nil end for i = 1, n do route("a") end`},
		{"pairs", `local n = ... local t = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10} for i = 1, n / 10 do for k, v in ipairs(t) do end end`},
		{"iterator", `local n = ... local function it(s, i) if i < s then return i + 1 end end for i in it, n, 0 do end`},
	} {
		for _, counted := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/counted=%v", strings.ReplaceAll(c.name, " ", "_"), counted), func(b *testing.B) {
				L, h, _ := newState(b, Options{})
				var fn *lua.LFunction
				if counted {
					var err error
					if fn, err = h.Load([]byte(c.src), "bench.lua"); err != nil {
						b.Fatal(err)
					}
				} else {
					fn = uncounted(b, L, c.src)
				}
				h.Reset(1 << 60)
				b.ReportAllocs()
				if err := L.CallByParam(lua.P{Fn: fn, Protect: true}, lua.LNumber(b.N)); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// benchmarkScript times one turn of a loop around body.
func benchmarkScript(b *testing.B, before, body string) {
	L, h, _ := newState(b, Options{})
	fn, err := h.Load([]byte("local n = ... "+before+" for i = 1, n do "+body+" end"), "bench.lua")
	if err != nil {
		b.Fatal(err)
	}
	h.Reset(1 << 60)
	b.ReportAllocs()
	b.ResetTimer()
	if err := L.CallByParam(lua.P{Fn: fn, Protect: true}, lua.LNumber(b.N)); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkMatchPrefix(b *testing.B) {
	benchmarkScript(b, `local match = string.match`, `local zone = match("/foo/user:12345678", "^/(%a+)/")`)
}

func BenchmarkFindPrefix(b *testing.B) {
	benchmarkScript(b, `local find = string.find`, `local s, e = find("/foo/user:12345678", "^/%a+/")`)
}

func BenchmarkPcall(b *testing.B) {
	benchmarkScript(b, `local function f(x) return x end`, `pcall(f, 1)`)
}

func BenchmarkPcallError(b *testing.B) { benchmarkScript(b, ``, `pcall(error, "x", 0)`) }

func BenchmarkConcat(b *testing.B) {
	benchmarkScript(b, `local k = "user:12345678"`, `local s = "/foo/" .. k .. ":x"`)
}

func BenchmarkFormat(b *testing.B) {
	benchmarkScript(b, `local f = string.format`, `local s = f("%s:%d", "key", 42)`)
}

func BenchmarkSub(b *testing.B) {
	benchmarkScript(b, `local s = "user:12345678"`, `local x = s:sub(6)`)
}

func BenchmarkCoroutineWrap(b *testing.B) {
	benchmarkScript(b, `local w = coroutine.wrap(function() while true do coroutine.yield(1) end end)`, `w()`)
}

// BenchmarkWait is a wait and its answer in a request's coroutine, without and within a pcall.
func BenchmarkWait(b *testing.B) {
	for name, src := range map[string]string{
		"plain": `while true do wait(1) end`, "pcall": `pcall(function() while true do wait(1) end end)`,
	} {
		b.Run(name, func(b *testing.B) {
			w := newWaiter(b)
			fn, err := w.h.Load([]byte(src), "bench.lua")
			if err != nil {
				b.Fatal(err)
			}
			w.h.Reset(1 << 60)
			w.base, _ = w.L.NewThread()
			w.fitted(w.base, w.L.GetGlobal("entry").(*lua.LFunction), fn)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if state, err, _ := w.fitted(w.base, nil, lua.LTrue); state != lua.ResumeYield {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCanYield(b *testing.B) {
	w := newWaiter(b)
	yes := 0
	w.L.SetGlobal("can", w.L.NewFunction(func(L *lua.LState) int {
		for range b.N {
			if w.h.CanYield(L, w.base) {
				yes++
			}
		}
		return 0
	}))
	w.serve(`local function f() can() end local function g() f() end g()`, w.fitted)
	if yes != b.N {
		b.Fatal(yes)
	}
}

func BenchmarkOpen(b *testing.B) {
	b.ReportAllocs()
	for range b.N {
		L := lua.NewState(StateOptions())
		h := &Host{}
		if err := Open(L, h, Options{}); err != nil {
			b.Fatal(err)
		}
		L.Close()
	}
}

func BenchmarkNewThread(b *testing.B) {
	L, _, _ := newState(b, Options{})
	b.ReportAllocs()
	for range b.N {
		L.NewThread()
	}
}

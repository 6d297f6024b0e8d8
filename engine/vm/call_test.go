// Functions that are called without a coroutine.

package vm

import (
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// Call does what Start does, without a coroutine; what waits otherwise than as its last act does so in place.
func TestCall(t *testing.T) {
	for _, d := range []struct {
		body string
		want Status
		in   int // blocking waits
		gets string
	}{
		{"return wait(r)", Returning, 0, "x"},
		{"local x = wait(r) return x", Returning, 0, "x"},
		{"if r == 'r' then return wait(r) end return 0", Returning, 0, "x"},
		{"return r", Finished, 0, "r"},
		{"return", Finished, 0, "nil"},
		{"local function f(r) return wait(r) end return f(r)", Returning, 0, "x"},
		{"local function f(r) local x = wait(r) return x .. x end return f(r)", Finished, 1, "xx"},
		{"return pcall(wait, r)", Finished, 1, "true"},
		{"return (wait(r)) .. r:len()", Finished, 1, "x1"},
		{"return setmetatable({}, { __index = function() return wait(r) end }).k", Finished, 1, "x"},
		{"return error('no')", Failed, 0, "no"},
		{"return r.x.y", Failed, 0, "r.lua:1: attempt to index a nil value (field 'x')"},
		{"while true do end", Failed, 0, "r.lua:1: step budget exhausted: the script ran too long"},
		{"return coroutine.yield(r)", Failed, 0, "r.lua:1: attempt to yield from outside a coroutine"},
		{"local function f(n) return 1 + f(n + 1) end return f(1)", Failed, 0, "r.lua:1: stack overflow"},
	} {
		b := newBench(t, Options{Steps: 1e6})
		fn := b.route(t, d.body)
		for range 3 {
			b.waits, b.blocked = 0, []lua.LValue{lua.LString("x")}
			task, told := b.NewTask(), stuck(0)
			task.Data = &told
			got := task.Call(fn, lua.LString("r"))
			gets := ""
			switch got {
			case Returning:
				task.Return(lua.LString("x"))
				gets = task.Result.String()
			case Finished:
				gets = task.Result.String()
			case Failed:
				gets = task.Err.Error()
			}
			if got != d.want || !strings.HasSuffix(gets, d.gets) || b.waits != d.in || int(told) != d.in {
				t.Errorf("%s: %v, %q after %d waits in place, of which %d were told", d.body, got, gets, b.waits, told)
			}
			if e, ok := task.Err.(*ScriptError); ok && strings.HasPrefix(e.Message, "r.lua:1:") && !strings.HasPrefix(e.Traceback, "\tr.lua:1: in f") {
				t.Errorf("%s: traceback %q", d.body, e.Traceback)
			}
			if running := b.L.G.CurrentThread; running != b.L {
				t.Fatalf("%s: leaves another thread running", d.body)
			}
			b.FreeTask(task)
			again := b.NewTask() // most likely the same, for what follows it
			if got := again.Start(b.route(t, "local x = wait(r) return x .. r"), lua.LString("r")); got != Waiting {
				t.Fatalf("%s: after it: %v %v", d.body, got, again.Err)
			}
			if got := again.Resume(lua.LString("y")); got != Finished || again.Result.String() != "yr" {
				t.Errorf("%s: after it: %v %v %v", d.body, got, again.Result, again.Err)
			}
			b.FreeTask(again)
			fn = b.route(t, d.body)
		}
	}
}

// stuck counts how often it is told.
type stuck int

func (n *stuck) Stuck() { *n++ }

func TestCallable(t *testing.T) {
	for body, want := range map[string]bool{
		"return ud(r)":                                        true,
		"return ud:get(r)":                                    true,
		"return ud(r.a or r.b, 1)":                            false, // what is called need not be what was put there last
		"local x = ud(r) return x":                            true,
		"if r.x then return ud(r) end return ud:get(r, 1)":    true,
		"return 1":                                            true,
		"while r.x do r.x = r.x - 1 end return ud(r)":         true,
		"pools[1] = 'a' .. r.k return ud(r)":                  true,
		"return last(r)":                                      true,
		"local x = last(r) return x":                          false, // a frame is left
		"return outer(r)":                                     false,
		"return middle(r)":                                    false,
		"return passed(ud, r)":                                false,
		"return nobody(r)":                                    false,
		"return global(r)":                                    false,
		"return pools.a(r)":                                   false,
		"return pools:a(r)":                                   false,
		"return (r.x and ud or middle)(r)":                    false,
		"return (r.x and middle or ud)(r)":                    false,
		"local t = ud if r.x then t = last end return t(r)":   false,
		"ud = r return ud(r)":                                 false,
		"local k = r:key() return ud(r)":                      false,
		"ud(r) return 1":                                      false,
		"local x = ud(r) n = x return x":                      false,
		"return (ud(r))":                                      false,
		"return ud(r), 1":                                     false,
		"last(r) return ud(r)":                                false,
		"for k in r do n = k end":                             false,
		"(function() return ud(r) end)() return 1":            false,
		"return pcall(ud, r)":                                 false,
		"return go(ud, r)":                                    false,
		"return again(r)":                                     false,
		strings.Repeat("if r.x then return ud(r) end ", 10):   true,
		strings.Repeat("if r.x then return last(r) end ", 20): false, // too many
	} {
		b := newBench(t, Options{})
		b.L.SetGlobal("given", b.L.NewUserData())
		if err := b.Run([]byte(`
			local ud, pools, go = given, { a = given }, pcall
			global = given
			local function last(r) return ud(r) end
			local function outer(r) local y = last(r) return y end
			local function middle(r) local x = ud(r) return x, 1 end
			local function passed(u, r) return u:get(r) end
			local again
			function again(r) return again(r) end
			function change() last = middle end
			function route(r) `+body+` end`), "r.lua"); err != nil {
			t.Fatal(err)
		}
		c := Callable(b.L.GetGlobal("route").(*lua.LFunction))
		if (c != nil) != want {
			t.Errorf("%s: %v", body, c != nil)
		}
		if c == nil {
			continue
		}
		if !c.Holds() {
			t.Errorf("%s: does not hold", body)
		}
		if _, err := b.Call(b.L.GetGlobal("change")); err != nil {
			t.Fatal(err)
		}
		if c.Holds() == (body == "return last(r)") {
			t.Errorf("%s: holds after a change: %v", body, c.Holds())
		}
	}
}

// One that waits in place leaves nothing behind that another, which ends later or earlier, would take for its own.
func TestCallsThatOverlapInPlace(t *testing.T) {
	b := newBench(t, Options{})
	release := map[string]chan struct{}{"one": make(chan struct{}), "two": make(chan struct{})}
	began := make(chan string)
	b.L.SetGlobal("hold", b.L.NewFunction(func(L *lua.LState) int {
		name := L.CheckString(1)
		return b.Wait(L, func() { began <- name; <-release[name] }, func() []lua.LValue { return []lua.LValue{lua.LString(name)} })
	}))
	fn, plain := b.route(t, "return (hold(r))"), b.route(t, "return wait(r)")
	done := make(chan *Task)
	b.Unlock()
	for _, name := range []string{"one", "two"} {
		go func() {
			b.Lock()
			task := b.NewTask()
			if got := task.Call(fn, lua.LString(name)); got != Finished || task.Result.String() != name {
				t.Errorf("%s: %v %v %v", name, got, task.Result, task.Err)
			}
			b.Unlock()
			done <- task
		}()
		<-began
	}
	for _, name := range []string{"one", "two"} {
		close(release[name])
		b.put(<-done)
	}
	b.Lock()
	if b.L.G.CurrentThread != b.L {
		t.Error("another thread runs")
	}
	for range 3 {
		task := b.NewTask()
		if got := task.Call(plain, lua.LNil); got != Returning {
			t.Fatal(got, task.Err)
		}
		task.Return(lua.LNil)
		again := b.NewTask()
		if got := again.Start(b.route(t, "local x = wait(r) return x .. r"), lua.LString("r")); got != Waiting {
			t.Fatal(got, again.Err)
		}
		b.FreeTask(task)
		if got := again.Resume(lua.LString("y")); got != Finished {
			t.Fatal(got, again.Err)
		}
		b.FreeTask(again)
	}
}

// put frees a task, as FreeTask does, with the lock.
func (b *bench) put(task *Task) {
	b.Lock()
	defer b.Unlock()
	b.FreeTask(task)
}

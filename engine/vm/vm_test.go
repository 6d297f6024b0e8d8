package vm

import (
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/lualib"
)

// bench is a state with one Go function: wait(x) waits and gives what it is resumed with.
type bench struct {
	*State
	blocked []lua.LValue // what blocking waits give, in turn
	waits   int
}

func newBench(t *testing.T, o Options) *bench {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{State: s}
	s.Lock()
	t.Cleanup(func() { s.Close(); s.Unlock() })
	s.L.SetGlobal("wait", s.L.NewFunction(func(L *lua.LState) int {
		return s.Wait(L, func() { b.waits++ }, func() []lua.LValue { v := b.blocked[:1]; b.blocked = b.blocked[1:]; return v })
	}))
	return b
}

// route compiles the body of function(r).
func (b *bench) route(t *testing.T, body string) *lua.LFunction {
	t.Helper()
	if err := b.Run([]byte("function route(r) "+body+"\nend"), "r.lua"); err != nil {
		t.Fatal(err)
	}
	return b.L.GetGlobal("route").(*lua.LFunction)
}

func TestTaskIsResumedWithWhatItWaitsFor(t *testing.T) {
	for _, body := range []string{
		"local a = wait(r) local b = wait(r) return a .. b",
		"return wait(r) .. wait(r)",
		"local function f() return wait(r) end return f() .. f()",
		"local ok, a = pcall(wait, r) local _, b = pcall(function() return wait(r) end) return a .. b",
		"local s = '' for x in function() if #s < 2 then return wait(r) end end do s = s .. x end return s",
		"local a, nothing = wait(r) assert(nothing == nil) return a .. wait(r)",
		"local _, a = xpcall(function() return wait(r) end, print) return a .. wait(r)",
	} {
		b := newBench(t, Options{})
		fn := b.route(t, body)
		for range 3 { // reused
			task := b.NewTask()
			if got := task.Start(fn, lua.LString("r")); got != Waiting {
				t.Fatalf("%s: started: %v %v", body, got, task.Err)
			}
			if got := task.Resume(lua.LString("x")); got != Waiting {
				t.Fatalf("%s: resumed: %v %v", body, got, task.Err)
			}
			if got := task.Resume(lua.LString("y")); got != Finished || task.Result.String() != "xy" {
				t.Fatalf("%s: ended: %v %v %v", body, got, task.Result, task.Err)
			}
			b.FreeTask(task)
		}
	}
}

func TestWaitBlocksWhereLuaCannotYield(t *testing.T) {
	for _, body := range []string{
		"local x string.gsub('a', 'a', function() x = wait(r) end) return x",
		"return coroutine.wrap(function() return wait(r) end)()",
		"return setmetatable({}, { __index = function() return wait(r) end }).k",
	} {
		b := newBench(t, Options{})
		b.blocked = []lua.LValue{lua.LString("x")}
		task := b.NewTask()
		if got := task.Start(b.route(t, body), lua.LNil); got != Finished || task.Result.String() != "x" || b.waits != 1 {
			t.Errorf("%s: %v %v %v, %d blocking waits", body, got, task.Result, task.Err, b.waits)
		}
	}
}

// A wait that is all that is left of a route ends it: the answer needs no Lua, and the thread serves others meanwhile.
func TestWaitAsTheLastAct(t *testing.T) {
	for _, d := range []struct {
		body string
		last bool
	}{
		{"return wait(r)", true},
		{"local x = wait(r) return x", true},
		{"if r then return wait(r) end return 0", true},
		{"local w = setmetatable({}, { __call = function(_, r) return r end }) w(r) return wait(r)", true},
		{"local function f() return wait(r) end return f()", true}, // a tail call leaves no frame
		{"return (wait(r))", false},
		{"local x, y = wait(r) return x", false},
		{"local x, y = 'no', wait(r) return y", true}, // the register that is returned
		{"local x, y = 'no', wait(r) return x or y", false},
		{"local x = wait(r) return x, x", false},
		{"local x = wait(r) n = x return x", false},
		{"local function f() return wait(r) end local x = f() return x", false},
		{"return pcall(wait, r)", false},
		{"return wait(r), 1", false},
	} {
		b := newBench(t, Options{})
		fn := b.route(t, d.body)
		for range 3 {
			task := b.NewTask()
			switch got := task.Start(fn, lua.LString("r")); {
			case got == Failed, got == Finished, d.last != (got == Returning), d.last != task.Returns():
				t.Fatalf("%s: started: %v %v", d.body, got, task.Err)
			case got == Returning:
				task.Return(lua.LString("x"))
				if task.Result != lua.LString("x") || task.Returns() {
					t.Errorf("%s: returned %v", d.body, task.Result)
				}
			default:
				if got := task.Resume(lua.LString("x")); got != Finished {
					t.Fatalf("%s: resumed: %v %v", d.body, got, task.Err)
				}
			}
			b.FreeTask(task)
		}
	}
}

func TestTasksThatReturnShareAThread(t *testing.T) {
	b := newBench(t, Options{})
	fn, other := b.route(t, "return wait(r)"), b.route(t, "local x = wait(r) n = x return x")
	var tasks []*Task
	for range 10 {
		task := b.NewTask()
		if got := task.Start(fn, lua.LNil); got != Returning {
			t.Fatal(got, task.Err)
		}
		tasks = append(tasks, task)
	}
	if len(b.spare) != 1 {
		t.Errorf("%d threads are spare, want the one that all used", len(b.spare))
	}
	waiting := b.NewTask()
	if got := waiting.Start(other, lua.LNil); got != Waiting || len(b.spare) != 0 {
		t.Fatalf("%v, %d threads are spare", got, len(b.spare))
	}
	for _, task := range tasks {
		b.DropTask(task) // given up while it waits
	}
	if got := waiting.Resume(lua.LNumber(7)); got != Finished || waiting.Result != lua.LNumber(7) {
		t.Errorf("%v %v %v", got, waiting.Result, waiting.Err)
	}
	again := b.NewTask()
	if got := again.Start(other, lua.LNil); got != Waiting || again.Returns() {
		t.Errorf("a task that was given up is used again: %v %v", got, again.Err)
	}
}

func TestTasksInterleave(t *testing.T) {
	b := newBench(t, Options{})
	fn := b.route(t, "n = (n or 0) + 1 local me = n wait(r) return me * 10 + n")
	var tasks []*Task
	for range 3 {
		task := b.NewTask()
		if task.Start(fn, lua.LNil) != Waiting {
			t.Fatal(task.Err)
		}
		tasks = append(tasks, task)
	}
	for i, task := range tasks {
		if task.Resume(lua.LNil) != Finished || task.Result != lua.LNumber((i+1)*10+3) {
			t.Errorf("task %d gives %v %v", i, task.Result, task.Err)
		}
	}
}

func TestFailures(t *testing.T) {
	for _, d := range []struct{ body, want, trace string }{
		{"\n\nerror('oh')", "r.lua:3: oh", "r.lua:3: in"},
		{"local function deep()\nerror('oh') end\nlocal x = deep() return x", "r.lua:2: oh", "r.lua:3: in"},
		{"error({ message = 'mine' })", "mine", ""},
		{"error()", "error without a message", ""},
		{"return r.x.y", "r.lua:1: attempt to index a nil value (field 'x')", "r.lua:1: "},
		{"local f = r.f\nreturn f(r)", "r.lua:2: attempt to call a nil value (local 'f')", "r.lua:2: "},
		{"while true do end", "step budget", ""},
		{"\nlocal function deep() return deep() + 1 end return deep()", "r.lua:2: stack overflow", "r.lua:2: in"},
		{"coroutine.yield()", "outside", ""},
	} {
		b := newBench(t, Options{Steps: 10_000})
		fn := b.route(t, d.body)
		task := b.NewTask()
		if got := task.Start(fn, b.L.NewTable()); got != Failed {
			t.Errorf("%s: %v", d.body, got)
			continue
		}
		var script *ScriptError
		if !errors.As(task.Err, &script) || !strings.Contains(script.Message, d.want) || !strings.Contains(script.Traceback, d.trace) {
			t.Errorf("%s: error %q, traceback %q; want %q and %q", d.body, task.Err, script.Traceback, d.want, d.trace)
		}
		b.FreeTask(task)
		again := b.NewTask() // the state is none the worse
		if got := again.Start(b.route(t, "return 5"), lua.LNil); got != Finished {
			t.Errorf("after %s: %v %v", d.body, got, again.Err)
		}
	}
}

// What an instruction's error is about is named after a wait too, and in a coroutine that is used again.
func TestFailuresNameWhatTheyAreAbout(t *testing.T) {
	b := newBench(t, Options{})
	fn := b.route(t, "local a = wait(r) if a then return pool(a) end return 5")
	for range 2 {
		task := b.NewTask()
		if task.Start(fn, lua.LNil) != Waiting || task.Resume(lua.LNil) != Finished {
			t.Fatal(task.Err)
		}
		b.FreeTask(task)
		task = b.NewTask()
		if task.Start(fn, lua.LNil) != Waiting || task.Resume(lua.LTrue) != Failed {
			t.Fatal(task.Result)
		}
		if want := "r.lua:1: attempt to call a nil value (global 'pool')"; task.Err.Error() != want {
			t.Errorf("%v, want %s", task.Err, want)
		}
		b.FreeTask(task)
	}
}

func TestBudgetIsPerTask(t *testing.T) {
	b := newBench(t, Options{Steps: 20_000})
	fn := b.route(t, "for i = 1, 15000 do end wait(r) for i = 1, 15000 do end return 1")
	greedy, modest := b.NewTask(), b.NewTask()
	if greedy.Start(fn, lua.LNil) != Waiting || modest.Start(b.route(t, "for i = 1, 15000 do end return 1"), lua.LNil) != Finished {
		t.Fatal(greedy.Err, modest.Err)
	}
	if got := greedy.Resume(lua.LNil); got != Failed {
		t.Errorf("30,000 steps of 20,000: %v", got)
	}
}

func TestDroppedTaskIsNotResumed(t *testing.T) {
	b := newBench(t, Options{})
	task := b.NewTask()
	if task.Start(b.route(t, "wait(r) return 1"), lua.LNil) != Waiting {
		t.Fatal(task.Err)
	}
	b.DropTask(task)
	again := b.NewTask()
	if got := again.Start(b.route(t, "return 2"), lua.LNil); got != Finished || again.Result != lua.LNumber(2) {
		t.Errorf("%v %v", got, again.Result)
	}
}

// waits are routes that wait once: as their last act, and in the middle.
var waits = map[string]string{"last": "return wait(r)", "middle": "local x = wait(r) n = x return x"}

func serveOnce(s *State, fn *lua.LFunction, arg lua.LValue) {
	task := s.NewTask()
	if task.Start(fn, arg) == Returning {
		task.Return(arg)
	} else {
		task.Resume(arg)
	}
	s.FreeTask(task)
}

// gopher-lua's Resume allocates its result; nothing else on the way does.
func TestAllocations(t *testing.T) {
	for name, want := range map[string]float64{"last": 1, "middle": 2} {
		b := newBench(t, Options{})
		fn, arg := b.route(t, waits[name]), b.L.NewUserData()
		if allocs := testing.AllocsPerRun(1000, func() { serveOnce(b.State, fn, arg) }); allocs > want {
			t.Errorf("%s: %v allocations for a route that waits once, want %v", name, allocs, want)
		}
	}
}

func BenchmarkRouteThatWaits(b *testing.B) {
	for name, body := range waits {
		b.Run(name, func(b *testing.B) {
			s, err := New(Options{})
			if err != nil {
				b.Fatal(err)
			}
			s.Lock()
			s.L.SetGlobal("wait", s.L.NewFunction(func(L *lua.LState) int { return s.Wait(L, nil, nil) }))
			if err := s.Run([]byte("function route(r) "+body+" end"), "r.lua"); err != nil {
				b.Fatal(err)
			}
			fn, arg := s.L.GetGlobal("route").(*lua.LFunction), s.L.NewUserData()
			b.ReportAllocs()
			for b.Loop() {
				serveOnce(s, fn, arg)
			}
		})
	}
}

// Coroutines and pcalls inside each other are counted for each request, not over all that wait in place at once.
func TestManyWaitInPlace(t *testing.T) {
	b := newBench(t, Options{})
	release := make(chan struct{})
	b.L.SetGlobal("hold", b.L.NewFunction(func(L *lua.LState) int {
		return b.Wait(L, func() { <-release }, func() []lua.LValue { return []lua.LValue{lua.LTrue} })
	}))
	fn := b.route(t, "return coroutine.wrap(function() return hold() end)()")
	const many = 300
	done := make(chan Status, many)
	b.Unlock()
	defer b.Lock()
	for range many {
		go func() {
			b.Lock()
			defer b.Unlock()
			task := b.NewTask()
			status := task.Start(fn, lua.LNil)
			b.FreeTask(task)
			done <- status
		}()
	}
	b.Lock()
	ok := b.route(t, "return select(2, pcall(coroutine.wrap(function() return 5 end)))")
	b.Unlock()
	for i := range many {
		b.Lock()
		task := b.NewTask()
		if status := task.Start(ok, lua.LNil); status != Finished || task.Result != lua.LNumber(5) {
			t.Errorf("with about %d requests waiting: %v %v %v", i, status, task.Result, task.Err)
			i = many
		}
		b.FreeTask(task)
		b.Unlock()
		if t.Failed() {
			break
		}
	}
	close(release)
	for range many {
		if status := <-done; status != Finished {
			t.Errorf("a request that waited: %v", status)
		}
	}
}

// What overflows while a coroutine hands over its results leaves the state as it was.
func TestOverflowsLeaveNothing(t *testing.T) {
	b := newBench(t, Options{})
	over := b.route(t, `local u = {} for i = 1, 20000 do u[i] = i end
		local function f(...) return pcall(function(...) return ... end, ...) end
		local function g(...) local x = { f(...) } return #x end
		return g(table.unpack(u))`)
	task := b.NewTask()
	if status := task.Start(over, lua.LNil); status != Failed || !strings.Contains(task.Err.Error(), "registry overflow") {
		t.Fatalf("%v %v %v", status, task.Result, task.Err)
	}
	if p := b.Host.Leave(); p != (lualib.Place{}) { // 190 such requests, and no pcall would have worked any more
		t.Errorf("the state believes to be at %+v", p)
	}
}

// A state that is closed is not kept by one that was made after it, and that has what gopher-lua keeps of stacks.
func TestClosedStatesAreCollected(t *testing.T) {
	const states = 20
	var gone atomic.Int64
	var living []*State
	state := func() *State {
		s, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for range states {
		s := state()
		s.Lock()
		if err := s.Run([]byte("local function deep(n) return n > 0 and 1 + deep(n - 1) or 0 end deep(50)"), "deep.lua"); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s.Unlock()
		runtime.AddCleanup(s, func(int) { gone.Add(1) }, 0)
		living = append(living, state())
	}
	for deadline := time.Now().Add(10 * time.Second); gone.Load() < states; time.Sleep(time.Millisecond) {
		if runtime.GC(); time.Now().After(deadline) {
			t.Fatalf("%d of %d closed states are collected", gone.Load(), states)
		}
	}
	runtime.KeepAlive(living)
}

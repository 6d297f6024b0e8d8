package quick_test

import (
	"fmt"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm"
)

// A task that is given up while its machine waits is a task like others for the next request.
func TestDropped(t *testing.T) {
	x := newState(t)
	fn := x.load(t, prelude+"local s = '' for i = 1, 3 do s = s .. wait(between(i)) end return s\nend")
	for i := range 10 {
		task := x.NewTask()
		status := task.Start(fn, lua.LString("r"))
		for range i % 5 {
			status = task.Resume(x.answer())
		}
		if status != vm.Waiting || x.left > 0 {
			t.Fatal(status, task.Err)
		}
		x.DropTask(task)
	}
	if o := x.serve(t, fn); o.err != "" || o.waited != "1 <1>1 2 <2>2 3 <3>3" {
		t.Errorf("%+v", o)
	}
}

// Functions that leave often are not tried again; those that seldom do are.
func TestLeavesAreCounted(t *testing.T) {
	x := newState(t)
	for body, most := range map[string]int{"return slow(r)": 10, "n = n + 1 if n % 20 == 0 then slow(r) end return n": 50} {
		fn := x.load(t, prelude+body+"\nend")
		lefts := 0
		for range 1000 {
			x.serve(t, fn)
			lefts += x.left
		}
		if lefts > most || lefts < most/2 {
			t.Errorf("%s: left %d times", body, lefts)
		}
	}
}

// It is the function that a request began with whose lefts are counted, and not for ever.
func TestLeavesAreForgotten(t *testing.T) {
	x := newState(t)
	fn := x.load(t, prelude+"if up == 1 then return vary(r) end return slow and none(r)\nend\nfunction mend() up = 2 end")
	lefts := 0
	for range 100 {
		x.serve(t, fn)
		lefts += x.left
	}
	if lefts != 8 {
		t.Errorf("left %d times", lefts)
	}
	if _, err := x.Call(x.L.GetGlobal("mend")); err != nil {
		t.Fatal(err)
	}
	quickly := 0
	for range 20000 {
		if o := x.serve(t, fn); o.err == "" && x.left == 0 && x.Host.Quick.Runs(fn) {
			quickly++
		}
	}
	if quickly < 10000 {
		t.Errorf("after that tried %d times", quickly)
	}
}

// Functions with many registers that call each other, so that the stack is full at any point, and then a native gives several results.
func TestFullStack(t *testing.T) {
	x := newState(t)
	for leaf := 125; leaf < 150; leaf++ {
		for d := 80; d < 95; d += 2 {
			var b strings.Builder
			b.WriteString("local function nop() return 1 end\n")
			prev, arg := "nop", "string.match('abcdef', '(.)(.)(.)(.)(.)(.)')"
			for i, n := range []int{leaf, 190, d, 190, 190, 190} {
				fmt.Fprintf(&b, "local function f%d(a) local a0%s local t = %s(%s) return t end\n", i, strings.Repeat(", a1", n-1), prev, arg)
				prev, arg = fmt.Sprintf("f%d", i), "1"
			}
			b.WriteString("function route(r) return (" + prev + "(1)) end")
			if o := x.serve(t, x.load(t, b.String())); o.result != `number "1"` {
				t.Fatalf("%d %d: %+v", leaf, d, o)
			}
		}
	}
}

// Two functions at one place, and methods of two kinds of objects: what was found there before is not taken for what is there now.
func TestSitesFollow(t *testing.T) {
	x := newState(t)
	fn := x.load(t, prelude+`
		local fs, s = { pair, none, swap, waits, wait, function(v) return v end }, ""
		for i = 1, 12 do s = s .. tostring((fs[i % 6 + 1](i, r))) end
		local os = { object, r, ud, Class.make("second"), { twice = none } }
		for i = 1, 10 do
			local o = os[i % 5 + 1]
			local f = o == r and o.len or o == ud and o.get or o.twice
			s = s .. tostring((f(o, 2)))
			if o ~= r and o ~= ud then s = s .. tostring((o:twice(i))) end
		end
		return s
	end`)
	x.Host.Quick.Off = true
	want := x.serve(t, fn)
	x.Host.Quick.Off = false
	for range 2 {
		if got := x.serve(t, fn); got != want || want.err != "" {
			t.Errorf("%+v, want\n%+v", got, want)
		}
	}
}

func TestAllocMachine(t *testing.T) {
	x := newState(t)
	fn, arg, answer := x.load(t, prelude+"local a, b = sum(1, 2) for i = 1, 3 do b = wait(r) end return b\nend"), lua.LString("r"), lua.LValue(lua.LString("x"))
	native := x.L.NewFunction(func(L *lua.LState) int { return x.Wait(L, nil, nil) })
	x.Host.Quick.Add(native, x.Host.Native(native.GFunction))
	x.L.SetGlobal("wait", native)
	if allocs := testing.AllocsPerRun(1000, func() {
		task := x.NewTask()
		for status := task.Start(fn, arg); status != vm.Finished; status = task.Resume(answer) {
			if status != vm.Waiting {
				t.Fatal(task.Err)
			}
		}
		x.FreeTask(task)
	}); allocs > 0 {
		t.Errorf("%v allocations for a function that waits three times", allocs)
	}
}

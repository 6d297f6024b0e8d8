package quick_test

import (
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm"
)

// What a wait costs on a machine, on a coroutine, and where a machine has left for one before it.
func BenchmarkWait(b *testing.B) {
	for _, d := range []struct {
		name string
		off  bool
		left bool
	}{{"machine", false, false}, {"coroutine", true, false}, {"left", false, true}} {
		b.Run(d.name, func(b *testing.B) {
			x := newState(b)
			fn := x.load(b, prelude+"local a = between and wait(r) return a, sum(1)\nend")
			native := x.L.NewFunction(func(L *lua.LState) int { return x.Wait(L, nil, nil) })
			x.Host.Quick.Add(native, x.Host.Native(native.GFunction))
			x.L.SetGlobal("wait", native)
			x.Host.Quick.Off, x.Host.Quick.OnLeft = d.off, nil
			if d.left {
				x.Host.Quick.LeaveAt(fn.Proto, 8)
			}
			arg, answer := lua.LString("r"), lua.LValue(lua.LString("x"))
			b.ReportAllocs()
			for b.Loop() {
				task := x.NewTask()
				if task.Start(fn, arg) != vm.Waiting || task.Resume(answer) != vm.Finished {
					b.Fatal(task.Err)
				}
				x.FreeTask(task)
			}
		})
	}
}

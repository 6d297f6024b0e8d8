// Generators that a script makes and forgets, in stats proxyfuncs.

package luaapi

import (
	"runtime"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/vm"
)

func TestForgottenGeneratorsStayCounted(t *testing.T) {
	st, err := vm.New(vm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st.Lock()
	defer st.Unlock()
	defer st.Close()
	w := &idleWorker{}
	Open(st, Options{Stage: StageRoutes, Worker: w})
	load := func(src string) {
		if err := st.Run([]byte(src), "f.lua"); err != nil {
			t.Fatal(err)
		}
	}
	const one = `mcp.funcgen_new():ready{ f = function() return function() end end }`
	load("for i = 1, 3 do " + one + " end")
	for range 20 {
		runtime.GC()
	}
	if f, s := w.count.Funcs.Load(), w.count.Slots.Load(); f != 3 || s != 3 {
		t.Errorf("three that were forgotten are counted as %d with %d slots", f, s)
	}
	load("for i = 1, 300 do " + one + " end")
	for range 100 {
		if runtime.GC(); w.count.Funcs.Load() <= maxForgotten {
			break
		}
	}
	if f, s := w.count.Funcs.Load(), w.count.Slots.Load(); f > maxForgotten || s > maxForgotten {
		t.Errorf("of hundreds that were forgotten %d are counted, with %d slots", f, s)
	}
}

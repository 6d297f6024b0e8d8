// What pooled calls keep of the requests that they served.

package luaapi

import (
	"runtime"
	"sync/atomic"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/vm"
)

// A pooled call does not keep the connection's buffer in which its last request lay.
func TestPooledCallsLetGoOfTheRequest(t *testing.T) {
	st, err := vm.New(vm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st.Lock()
	defer st.Unlock()
	defer st.Close()
	a, caller := Open(st, Options{Stage: StageRoutes, Worker: &idleWorker{}}), &oneCaller{}
	if err := st.Run([]byte(`function route(r) r:ltrimkey(1) return r:key() end`), "r.lua"); err != nil {
		t.Fatal(err)
	}
	g := a.plainFunc(st.Global("route").(*lua.LFunction))
	var gone atomic.Bool
	func() {
		buf := new([64 << 10]byte)
		runtime.AddCleanup(buf, func(int) { gone.Store(true) }, 0)
		n := copy(buf[:], "set /a 0 0 1\r\nx\r\n")
		var r mc.Request
		var p mc.Parser
		if _, _, err := p.Next(buf[:n], &mc.Rules{Routed: true, MaxValue: 1 << 20}, &r); err != nil || r.Bad != mc.BadNone {
			t.Fatal(err, r.Bad)
		}
		if _, err := a.Begin(caller, 0, g, &r, 0); err != nil {
			t.Fatal(err)
		}
		if len(caller.ans) != 1 || caller.ans[0].Text != "a" {
			t.Fatal(caller.ans)
		}
	}()
	for range 100 {
		if runtime.GC(); gone.Load() {
			return
		}
	}
	t.Error("the buffer is still held")
}

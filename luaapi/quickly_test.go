package luaapi

import (
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm"
)

// Every function that machines may call is there, under that name.
func TestQuicklyNamesFunctions(t *testing.T) {
	st, err := vm.New(vm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st.Lock()
	defer st.Unlock()
	a := Open(st, Options{Stage: StageRoutes, Worker: &idleWorker{}})
	objects := map[string]*lua.LTable{
		"mcp.request": a.requestMT, "mcp.response": a.responseMT, "mcp.rcontext": a.rctxMT, "mcp.counter": a.counterMT, "mcp.meter": a.meterMT,
		"mcp.turnstile": a.turnstileMT, "mcp.flights": a.flightsMT, "mcp.pool": a.poolMT, "mcp.inspector": a.inspectorMT, "mcp.mutator": a.mutatorMT,
		"mcp.ratelim_tbf": a.limiterMT, "mcp.sharder": a.sharderMT, "mcp.store": a.storeMT, "mcp.hotkeys": a.hotkeysMT, "mcp.gate": a.gateMT,
	}
	for name := range quickly {
		object, method, isMethod := strings.Cut(name, ":")
		var fn lua.LValue
		switch {
		case isMethod && objects[object] != nil:
			fn = objects[object].RawGetString("__index").(*lua.LTable).RawGetString(method)
		case strings.HasSuffix(name, "()") && objects[strings.TrimSuffix(name, "()")] != nil:
			fn = objects[strings.TrimSuffix(name, "()")].RawGetString("__call")
		case !isMethod:
			fn = a.mcp.RawGetString(strings.TrimPrefix(name, "mcp."))
		}
		if f, ok := fn.(*lua.LFunction); !ok || !f.IsG {
			t.Errorf("%s: there is no such function, but %v", name, fn)
		}
	}
}

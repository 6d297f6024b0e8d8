package luaapi

import (
	"strings"
	"sync/atomic"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/stat"
)

// Both stages have counters, and a copy of one is the same counter.
func TestCounterIsCopiedAsItIs(t *testing.T) {
	var now atomic.Int64
	_, pools := limited(t, StagePools, &now, `c = mcp.counter("a"); c:add(2)`)
	a, routes := limited(t, StageRoutes, &now, "")
	v, err := a.Copy(pools.Global("c"))
	if err != nil {
		t.Fatal(err)
	}
	routes.SetGlobal("c", v)
	if err := routes.Run([]byte("c:add(3); c:add(); c:add(0); other = mcp.counter('b')"), "s.lua"); err != nil {
		t.Fatal(err)
	}
	if n := counterOf(t, pools.Global("c")).Value(); n != 6 {
		t.Errorf("the counter has %d, want 6", n)
	}
	if n := counterOf(t, routes.Global("other")).Value(); n != 0 {
		t.Errorf("the other has %d, want 0", n)
	}
}

func TestCounterRefusals(t *testing.T) {
	var now atomic.Int64
	for script, want := range map[string]string{
		"mcp.counter('')":                         "mcp.counter: want a name",
		"mcp.counter('a b')":                      "mcp.counter: stat cannot contain spaces or newlines",
		"mcp.counter('a\\n')":                     "mcp.counter: stat cannot contain spaces or newlines",
		"mcp.counter(string.rep('x', 123))":       "mcp.counter: stat name too long: xxx",
		"mcp.counter()":                           "string expected",
		"mcp.counter('a'):add(-1)":                "whole numbers that are not negative, got -1",
		"mcp.counter('a'):add(0.5)":               "whole numbers that are not negative, got 0.5",
		"mcp.counter('a'):add(0/0)":               "whole numbers that are not negative, got nan",
		"mcp.counter('a'):add('1')":               "a counter can be added numbers, got a string",
		"local c = mcp.counter('a'); c.add(1)":    "add: want a counter, got number",
		"mcp.counter('a').add(mcp.ratelim_tbf{})": "add: want a counter, got another object",
	} {
		_, st := limited(t, StageRoutes, &now, "")
		if err := st.Run([]byte(script), "s.lua"); err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
			t.Errorf("%s: %v, want %q", script, err, want)
		}
	}
}

// Adding costs no memory: handlers count each request.
func TestAllocCounter(t *testing.T) {
	var now atomic.Int64
	_, st := limited(t, StageRoutes, &now, `local c = mcp.counter("a"); function run() for _ = 1, 100 do c:add(1) end end`)
	run := st.Global("run")
	if n := testing.AllocsPerRun(20, func() {
		if _, err := st.Call(run); err != nil {
			t.Fatal(err)
		}
	}); n > 30 {
		t.Errorf("100 calls of add allocate %v times", n)
	}
}

func counterOf(t *testing.T, v lua.LValue) *stat.Counter {
	t.Helper()
	ud, _ := v.(*lua.LUserData)
	if ud == nil {
		t.Fatalf("%v is no counter", v)
	}
	return ud.Value.(*stat.Counter)
}

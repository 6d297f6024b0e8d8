package luaapi

import (
	"sync"
	"sync/atomic"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm"
)

// limited is a state with an API of a stage, whose clock stands at *now nanoseconds.
func limited(t *testing.T, stage Stage, now *atomic.Int64, script string) (*API, *vm.State) {
	t.Helper()
	st, err := vm.New(vm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	st.Lock()
	t.Cleanup(st.Close)
	a := Open(st, Options{Stage: stage, Worker: &idleWorker{}, Now: now.Load})
	if err := st.Run([]byte(script), "r.lua"); err != nil {
		t.Fatal(err)
	}
	return a, st
}

func TestLimiterRefills(t *testing.T) {
	type step struct {
		after int64 // milliseconds since the step before
		take  string
		want  bool
	}
	for _, d := range []struct {
		name, args string
		steps      []step
	}{
		{"it starts full and keeps one", "limit = 50, fillrate = 4, tickrate = 500", []step{{0, "15", true}, {0, "15", true}, {0, "15", true}, {0, "15", false}, {0, "4", true}, {0, "1", false}}},
		{"a tick has to be over", "limit = 10, fillrate = 4, tickrate = 500", []step{{0, "9", true}, {500, "1", false}, {1, "4", true}, {0, "1", false}}},
		{"whole ticks only, and the rest is kept", "limit = 100, fillrate = 4, tickrate = 500", []step{{0, "99", true}, {1300, "8", true}, {0, "1", false}, {201, "4", true}}},
		{"no more than limit", "limit = 10, fillrate = 4, tickrate = 500", []step{{0, "5", true}, {1 << 40, "10", false}, {0, "9", true}}},
		{"one token each millisecond without more words", "limit = 10", []step{{0, "9", true}, {5, "6", false}, {0, "5", true}}},
		{"nothing without a limit", "fillrate = 5", []step{{100, "0", false}}},
		{"part of a token is one", "limit = 3", []step{{0, "1.5", true}, {0, "1", false}}},
		{"none is not there either when it is empty", "limit = 2, tickrate = 1000", []step{{0, "0", true}, {0, "1", true}, {0, "0", true}}},
		{"strings that read like numbers", "limit = '50', fillrate = '4', tickrate = ' 5e2 '", []step{{0, "49", true}, {501, "4", true}, {0, "1", false}}},
		{"less than none", "limit = 10", []step{{0, "-1", false}, {0, "0/0", false}, {0, "1e300", false}}},
		{"a long tick", "limit = 4294967294, fillrate = 4294967294, tickrate = 4294967294", []step{{0, "4294967293", true}, {4294967294, "1", false}, {1, "4294967293", true}}},
	} {
		t.Run(d.name, func(t *testing.T) {
			var now atomic.Int64
			now.Store(12345678)
			_, st := limited(t, StageRoutes, &now, "l = mcp.ratelim_tbf{"+d.args+"}")
			for i, s := range d.steps {
				now.Add(s.after * 1e6)
				if err := st.Run([]byte("got = l("+s.take+")"), "s.lua"); err != nil {
					t.Fatal(err)
				}
				if got := st.Global("got") == lua.LTrue; got != s.want {
					t.Errorf("step %d: %v, want %v", i, got, s.want)
				}
			}
		})
	}
}

// A limiter of mcp_config_pools is one for all workers that it is copied to, and is called only there.
func TestGlobalLimiterIsShared(t *testing.T) {
	var now atomic.Int64
	_, config := limited(t, StagePools, &now, "l = mcp.ratelim_global_tbf{ limit = 1001, tickrate = 1000 }")
	if err := config.Run([]byte("l(1)"), "c.lua"); err == nil {
		t.Error("a limiter can be called while the configuration is made")
	}
	var wg sync.WaitGroup
	var taken atomic.Int64
	for range 4 {
		a, st := limited(t, StageRoutes, &now, "taken = 0 function take() for i = 1, 500 do if l(1) then taken = taken + 1 end end end")
		l, err := a.Copy(config.Global("l"))
		if err != nil {
			t.Fatal(err)
		}
		st.SetGlobal("l", l)
		wg.Go(func() {
			if _, err := st.Call(st.Global("take")); err != nil {
				t.Error(err)
			}
			taken.Add(int64(st.Global("taken").(lua.LNumber)))
		})
	}
	if wg.Wait(); taken.Load() != 1000 {
		t.Errorf("%d tokens were taken of 1000", taken.Load())
	}
}

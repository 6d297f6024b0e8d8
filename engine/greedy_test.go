// Routes that want too much: the budget ends them before they take the proxy's memory or its backends.

package engine

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// counted is instant, and counts.
type counted struct {
	instant
	n *atomic.Int64
}

func (b counted) Send(r *mc.Request, p *backend.Pending) {
	b.n.Add(1)
	b.instant.Send(r, p)
}

// store counts what it is asked, and knows nothing.
type store struct{ n *atomic.Int64 }

func (s store) Exec(r *mc.Request, dst []byte) []byte {
	s.n.Add(1)
	if r.Cmd == mc.CmdMN {
		return append(dst, "MN\r\n"...)
	}
	return append(dst, "END\r\n"...)
}

// Each answer lives until its request ends: a route that asks for ever must be cut while there are few.
func TestRoutesThatAskForEver(t *testing.T) {
	for _, route := range []string{
		`while not mcp.internal(r):ok() or true do end`,
		`while true do p(r) end`,
		`while true do pcall(p, r) end`,
		`while true do mcp.await(r, { p, p, p }) end`,
		`while true do mcp.await(r, { p, p, p }, 1, mcp.AWAIT_BACKGROUND) end`,
		`local all = {} for i = 1, 1000 do all[i] = p end while true do mcp.await(r, all, 1, mcp.AWAIT_BACKGROUND) end`,
	} {
		var n atomic.Int64
		p := startProxy(t, writeConfig(t, strings.Replace(instantConfig, "ROUTE", "function(r) "+route+" end", 1)), func(o *Options) {
			o.NewLeaf = func(pools.Spec, func(backend.Event)) (backend.Backend, error) { return counted{n: &n}, nil }
			o.Local = store{&n}
		})
		c := dial(t, p)
		c.says("get a\r\n")
		c.sees(lineLuaFailure)
		if got := n.Load(); got < 10_000 || got > 100_000 {
			t.Errorf("%s: asked %d times before it was cut", route, got)
		}
	}
}

// What a script copies out of requests and answers is charged by its length.
func TestRoutesThatCopyForEver(t *testing.T) {
	value := strings.Repeat("x", 100<<10)
	for _, route := range []string{
		`local t = {} while true do t[#t + 1] = r:raw_value() end`,
		`local t = {} while true do t[#t + 1] = mcp.request("set a 0 0 102400\r\n", r) end`,
		`local a = mcp.internal(mcp.request("get a\r\n")) local t = {} while true do t[#t + 1] = a:raw_string() end`,
		`while true do mcp.internal(mcp.request("get a\r\n")) end`,
		`while true do mcp.log(r:raw_value()) end`,
		`local k = string.rep("k", 240) while true do r:token(2, k) end`,
		`local q, o = mcp.request("mg " .. string.rep("k", 240) .. " v\r\n"), string.rep("o", 200) while true do q:flag_set("O", o) end`,
		`while true do mcp.request("mg " .. string.rep("k", 240) .. " v\r\n") end`,
	} {
		c, _ := scripted(t, `mcp.attach(mcp.CMD_SET, function(r)
            mcp.internal(r)
            `+route+`
        end)`)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c.says("set a 0 0 102400\r\n" + value + "\r\n")
		c.sees(lineLuaFailure)
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 1024 {
			t.Errorf("%s: %d MiB were allocated", route, n)
		}
	}
}

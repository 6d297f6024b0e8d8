// What a request costs in allocations, and in time without its system calls.

package engine

import (
	"io"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// instant is a backend that answers within Send.
type instant struct{}

func (instant) Send(r *mc.Request, p *backend.Pending) {
	p.Buf = append(p.Buf[:0], "VALUE key 0 5\r\nhello\r\nEND\r\n"...)
	if _, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil {
		panic(err)
	}
	p.End = backend.Now()
	if p.Waiter.Done(p) {
		p.Waiter.Wake()
	}
}
func (instant) Name() string           { return "instant" }
func (instant) Status() backend.Status { return backend.Status{Up: true} }
func (instant) Close() error           { return nil }

const instantConfig = `
function mcp_config_pools() return mcp.pool({ mcp.backend("nats://127.0.0.1:1") }, { name = "p" }) end
function mcp_config_routes(p) mcp.attach(mcp.CMD_ANY_STORAGE, ROUTE) end
`

func instantLeaf(o *Options) {
	o.NewLeaf = func(pools.Spec, func(backend.Event)) (backend.Backend, error) { return instant{}, nil }
}

// serving gives a function that serves one batch of n gets through route.
func serving(t testing.TB, route string, n int) func() {
	p := startProxy(t, writeConfig(t, strings.Replace(instantConfig, "ROUTE", route, 1)), instantLeaf)
	s := p.Open(server.ConnInfo{ID: 1})
	t.Cleanup(s.Close)
	b := server.NewBatch(io.Discard)
	b.Rules = s.Rules()
	b.Reqs = make([]mc.Request, n)
	var parser mc.Parser
	for i := range b.Reqs {
		if _, _, err := parser.Next([]byte("get key\r\n"), &b.Rules, &b.Reqs[i]); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		b.Out = b.Out[:0]
		if err := s.Serve(b); err != nil {
			t.Fatal(err)
		}
		if len(b.Out) != n*len("VALUE key 0 5\r\nhello\r\nEND\r\n") {
			t.Fatalf("%d bytes of answers", len(b.Out))
		}
	}
}

const (
	poolRoute = "p"
	luaClosed = "function(r) return p(r) end"
	generated = `(function()
        local g = mcp.funcgen_new()
        local h = g:new_handle(p)
        g:ready{ f = function(rctx) return function(r) return rctx:enqueue_and_wait(r, h) end end }
        return g
    end)()`
	nested = `(function()
        local function gen(target)
            local g = mcp.funcgen_new()
            local h = g:new_handle(target)
            g:ready{ f = function(rctx) return function(r) return rctx:enqueue_and_wait(r, h) end end }
            return g
        end
        return gen(gen(p))
    end)()`
	failover = `(function()
        local g = mcp.funcgen_new()
        local handles = { g:new_handle(p), g:new_handle(p) }
        g:ready{ f = function(rctx) return function(r)
            local res
            for i = 1, #handles do
                res = rctx:enqueue_and_wait(r, handles[i])
                if res:ok() then return res end
            end
            return res
        end end }
        return g
    end)()`
	library = `require "routes.failover"{ children = { p, p } }`
	mutated = `(function()
        local ask = mcp.req_inspector_new({ t = "sepkey", map = { key = 1 } }, { t = "keyis", str = "key" }, { t = "flagis", flag = "O", str = "x" })
        local request = mcp.req_mutator_new({ t = "cmdcopy", idx = 1 }, { t = "keycopy", idx = 1 })
        local response = mcp.res_mutator_new({ t = "rescodeset", val = "VALUE key 0" }, { t = "valcopy", idx = 1 })
        local limit = mcp.ratelim_tbf{ limit = 4000000000 }
        local g = mcp.funcgen_new()
        local h = g:new_handle(p)
        g:ready{ u = 2, f = function(rctx)
            local q, s = rctx:request_new(), rctx:response_new()
            return function(r)
                if ask(r) ~= 1 or not limit(1) then return "no" end
                request(q, r)
                response(s, rctx:enqueue_and_wait(q, h))
                return s
            end
        end }
        return g
    end)()`
)

func TestAllocationsPerRequest(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates: make check runs this without it")
	}
	for _, d := range []struct {
		route string
		most  float64 // for each request
	}{
		{poolRoute, 0},
		{"mcp.router_new{ map = { x = p }, default = p }", 0},
		{luaClosed, 0},
		{generated, 0},
		{nested, 0},
		{failover, 0},
		{mutated, 0},
		{`function(r) local ask = function() return p(r) end return ask() end`, 4}, // a closure, and gopher-lua's Resume: not on a machine
		{`require "routes.direct"{ child = p }`, 0},
		{library, 0},
		{`require "routes.sharded"{ children = { p, p } }`, 0},
		{`require "routes.log"{ child = p }`, 0},
		{`require "routes.latency"{ child = p }`, 0},
		{`require "routes.random"{ children = { p, p } }`, 1}, // a number that is no small one takes 8 bytes
		{`require "routes.split"{ child_a = p, child_b = p }`, 1},
		{`require "routes.allinitial"{ children = { p, p } }`, 1},
		{`require "routes.allsync"{ children = { p, p } }`, 0},
		{`require "routes.allfastest"{ children = { p, p } }`, 1},
		{`require "routes.allmajority"{ children = { p, p, p } }`, 2},
	} {
		const n = 16
		serve := serving(t, d.route, n)
		serve()
		if got := testing.AllocsPerRun(200, serve) / n; got > d.most {
			t.Errorf("%s: %.2f allocations a request, want at most %v", d.route, got, d.most)
		}
	}
}

func BenchmarkServe(b *testing.B) {
	for name, route := range map[string]string{"pool": poolRoute, "lua": luaClosed, "funcgen": generated, "nested": nested, "failover": failover, "library": library} {
		b.Run(name, func(b *testing.B) {
			const n = 16
			serve := serving(b, route, n)
			b.ReportAllocs()
			for i := 0; i < b.N; i += n {
				serve()
			}
		})
	}
}

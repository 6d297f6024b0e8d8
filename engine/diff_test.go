// Diff: which routes count as another, and where keys go that routes place.

package engine

import (
	"log/slog"
	"strings"
	"testing"
)

// differing runs Diff over two route stages, with pools a and b before them.
func differing(t *testing.T, before, after string) *Difference {
	t.Helper()
	config := func(routes string) Options {
		return Options{Files: []string{writeConfig(t, `
function mcp_config_pools()
    return { a = mcp.pool({ mcp.backend("a1", "10.0.0.1", 1) }, { name = "a" }), b = mcp.pool({ mcp.backend("b1", "10.0.0.2", 1) }, { name = "b" }) }
end
function mcp_config_routes(p)
`+routes+`
end`)}, Log: slog.New(slog.DiscardHandler)}
	}
	d, err := Diff(config(before), config(after), DiffOptions{Sample: 100})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A route is another one when its code is, or anything that it was made with; not when it stands elsewhere.
func TestDiffTellsRoutesApart(t *testing.T) {
	f := func(before, after, want string) {
		t.Helper()
		d := differing(t, before, after)
		var got []string
		for _, r := range d.Routes {
			got = append(got, strings.Join(append(append([]string{}, r.Commands...), r.Where, r.Why), "|"))
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s\n%s\n%q, want %q", before, after, got, want)
		}
	}
	const code = "its code differs, or the values that it was made with"
	attach := func(f string) string { return "mcp.attach(mcp.CMD_GET, " + f + ")" }
	f(attach("p.a"), "\n\n"+attach("p.a"), "")
	f(attach("p.a"), attach("p.b"), "get||")
	f(attach("p.a"), "", "get||")
	f(attach("p.a"), attach("function(r) return p.a(r) end"), "get||")
	f(attach("function(r) return p.a(r) end"), "\n-- moved\n"+attach("function(q) return p.a(q) end"), "")
	f(attach("function(r) return p.a(r) end"), attach("function(r) return p.b(r) end"), "get||"+code)
	f(attach("function(r) return 'x\\r\\n' end"), attach("function(r) return 'y\\r\\n' end"), "get||"+code)
	f("local n = 1 "+attach("function(r) return n .. '\\r\\n' end"), "local n = 2 "+attach("function(r) return n .. '\\r\\n' end"), "get||"+code)
	f("local t = { x = { 1, 2 } } t.t = t "+attach("function(r) return t.x[1] end"), "local t = { x = { 1, 3 } } t.t = t "+attach("function(r) return t.x[1] end"), "get||"+code)
	f("local t = { x = { 1, 2 } } t.t = t "+attach("function(r) return t.x[1] end"), "local t = { x = { 1, 2 } } t.t = t "+attach("function(r) return t.x[1] end"), "")
	f("function helper() return 1 end "+attach("function(r) return helper() end"), "function helper() return 2 end "+attach("function(r) return helper() end"), "get||"+code)
	f("local l = mcp.ratelim_tbf{ limit = 5 } "+attach("function(r) return l(1) end"), "local l = mcp.ratelim_tbf{ limit = 6 } "+attach("function(r) return l(1) end"), "get||"+code)
	f("local i = mcp.req_inspector_new({ t = 'keyis', str = 'x' }) "+attach("function(r) return i(r) end"),
		"local i = mcp.req_inspector_new({ t = 'keyis', str = 'y' }) "+attach("function(r) return i(r) end"), "get||"+code)

	generator := func(targets, a string) string {
		return "local g = mcp.funcgen_new() local h = {} for i, t in ipairs{" + targets + "} do h[i] = g:new_handle(t) end " +
			"g:ready{ n = 'gen', a = " + a + ", f = function(rctx, a) return function(r) return rctx:enqueue_and_wait(r, a) end end } " + attach("g")
	}
	f(generator("p.a", "0"), "\n"+generator("p.a", "0"), "")
	f(generator("p.a", "0"), generator("p.b", "0"), "get||handle 0: pool a, now pool b")
	f(generator("p.a, p.a", "0"), generator("p.a", "0"), "get||handles: 2, now 1")
	f(generator("p.a, p.b", "0"), generator("p.a, p.b", "1"), "get||"+code)

	library := func(name, fields string) string {
		return "local h = require 'routes." + name + "' " + attach("h{ "+fields+" }")
	}
	for _, name := range []string{"failover", "hedged", "allsync"} {
		f(library(name, "children = { p.a, p.b }"), "\n"+library(name, "\nchildren = { p.a, p.b }"), "")
		f(library(name, "children = { p.a, p.b }"), library(name, "children = { p.b, p.a }"), "get||handle 0: pool a, now pool b")
	}
	f(library("near", "child = p.a"), "\n"+library("near", "\nchild = p.a"), "")
	f(library("near", "child = p.a, promote = 5"), library("near", "child = p.a, promote = 6"), "get||"+code)
	f(library("failover", "children = { p.a, p.b }, miss = true"), library("failover", "children = { p.a, p.b }, miss = false"), "get||"+code)

	router := func(fields string) string { return attach("mcp.router_new{ " + fields + " }") }
	f(router("map = { x = p.a, y = p.b }, default = p.a"), router("map = { x = p.a, y = p.a }, default = p.a"), `get|prefix "y"|`)
	f(router("map = { x = p.a, y = p.b }, default = p.a"), router("map = { x = p.a }, default = p.a"), `get|prefix "y"|`)
	f(router("map = { x = p.a }, default = p.a"), router("map = { x = p.a }, default = p.b"), "get|other keys|")
	f(router("map = { x = p.b }, default = p.a"), attach("p.a"), `get|prefix "x"|`)
	f(router("map = { x = p.a }, default = p.a, stop = '/'"), router("map = { x = p.a }, default = p.a, stop = ':'"), "get|router|")
	f(router("map = { x = { [mcp.CMD_GET] = p.a, [mcp.CMD_SET] = p.b } }, default = p.a"),
		router("map = { x = { [mcp.CMD_GET] = p.b, [mcp.CMD_SET] = p.b } }, default = p.a"), `get|prefix "x"|`)
	f("mcp.attach(mcp.CMD_ANY_STORAGE, p.a)", "mcp.attach(mcp.CMD_ANY_STORAGE, p.a) mcp.attach(mcp.CMD_SET, p.b) mcp.attach(mcp.CMD_ADD, p.b)", "set|add||")
}

// A route that waits for time, or asks the proxy's own store, is placed all the same.
func TestDiffPlacesWhatWaits(t *testing.T) {
	generator := func(body string) string {
		return "local g = mcp.funcgen_new() local a, b = g:new_handle(p.a), g:new_handle(p.b) " +
			"g:ready{ f = function(rctx) return function(r) " + body + " end end } mcp.attach(mcp.CMD_GET, g)"
	}
	d := differing(t, generator("rctx:sleep(3600) return rctx:enqueue_and_wait(r, a)"), generator("mcp.internal(r) return rctx:enqueue_and_wait(r, a)"))
	if d.Keys.Moved != 0 { // what the proxy's own store has is not elsewhere because of that
		t.Errorf("%d keys move, want none: %+v", d.Keys.Moved, d.Keys.Pools)
	}
	d = differing(t, generator("return mcp.internal(r)"), "local web = mcp.http{ url = 'http://127.0.0.1:1/' } "+generator("return web(r)"))
	if d.Keys.Moved != 100 || len(d.Keys.Pools) != 4 { // own store, a, b, the URL
		t.Errorf("%d keys move, want 100: %+v", d.Keys.Moved, d.Keys.Pools)
	}
	d = differing(t, generator("rctx:enqueue(r, { a, b }) rctx:wait_cond(1) return rctx:res_any(a)"), generator("return rctx:enqueue_and_wait(r, a)"))
	for _, p := range d.Keys.Pools {
		if want := (Moves{100, 100, 0, 0}); p.Pool == "a" && p.Moves != want {
			t.Errorf("pool a: %+v, want %+v", p.Moves, want)
		}
		if want := (Moves{100, 0, 0, 100}); p.Pool == "b" && p.Moves != want {
			t.Errorf("pool b: %+v, want %+v", p.Moves, want)
		}
	}
}

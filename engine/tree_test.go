// The declarative format with a tree of routes, in routelib's words.

package engine

import (
	"os"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/leaf"
)

func TestTree(t *testing.T) {
	a, b, z1, z2 := newFakeBackend(t), newFakeBackend(t), newFakeBackend(t), newFakeBackend(t)
	addrs := []string{a.addr(), b.addr(), z1.addr(), z2.addr()}
	p := startProxy(t, writeConfig(t, `
local_zone("z1")
settings{ backend_read_timeout = 2, pool_options = { hash = "crc32" }, backend_options = { retrytimeout = 1 } }
pools{
    a = { backends = { "$1 label" }, options = { hash_tag = "{}" } },
    b = { backends = { "$2" }, backend_options = { connecttimeout = 1 } },
}
pools{ set_z = { z1 = { backends = { "$3" } }, z2 = { backends = { "$4" } } } }
routes{
    map = {
        foo = route_direct{ child = "a" },
        bar = cmdmap{ set = route_direct{ child = route_direct{ child = "b" } }, all = "a" },
    },
    default = route_direct{ child = "b" },
}
routes{ tag = "t", conf = { mode = "anchor", start = "+", stop = ":" }, map = { x = "a" }, cmap = { get = "b" } }
routes{ tag = "d", default = "b" }
`, addrs...), func(o *Options) {
		o.Listen = []string{"127.0.0.1:0", "tag_t_:127.0.0.1:0", "tag_d_:127.0.0.1:0"}
	})
	for _, d := range []struct {
		listener int
		to       *fakeBackend
		line     string
	}{
		{0, a, "get foo/a"}, {0, b, "get baz/a"}, {0, b, "delete a"}, {0, a, "get bar/a"}, {0, a, "touch bar/a 0"},
		{1, a, "get +x:a"}, {1, b, "get a"}, {2, b, "mg x v"},
	} {
		c := dialAddr(t, p.Addrs()[d.listener])
		c.says(d.line + "\r\n")
		d.to.sees(d.line + "\r\n")
		d.to.says("SERVER_ERROR seen\r\n")
		c.sees("SERVER_ERROR seen\r\n")
	}
	c := dial(t, p)
	c.says("set bar/a 0 0 1\r\nx\r\n")
	b.sees("set bar/a 0 0 1\r\nx\r\n")
	b.says("STORED\r\n")
	c.sees("STORED\r\n")
}

// A tree is loaded again as it was loaded first: nothing is left of what the words have said.
func TestReloadOfATree(t *testing.T) {
	a, b := newFakeBackend(t), newFakeBackend(t)
	path := writeConfig(t, `
local_zone("z1")
pools{ a = { backends = { "$1" } }, old = { backends = { "$2" } } }
routes{ default = route_zfailover{ children = { z1 = "a", z2 = "old" } } }
routes{ tag = "t", default = "old" }
`, a.addr(), b.addr())
	p := startProxy(t, path)
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	rewrite := func(text string) error {
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "$1", a.addr())), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := p.Reload()
		return err
	}
	err := rewrite(`pools{ a = { backends = { "$1" } } } routes{ default = route_zfailover{ children = { z1 = "a" } } }`)
	if err == nil || !strings.Contains(err.Error(), "zone") {
		t.Errorf("the zone of the load before is not forgotten: %v", err)
	}
	if err := rewrite(`pools{ a = { backends = { "$1" } } } routes{ default = "old" }`); err == nil || !strings.Contains(err.Error(), `no pool "old"`) {
		t.Errorf("the pool of the load before is not forgotten: %v", err)
	}
	if err := rewrite(`pools{ a = { backends = { "$1" } } } routes{ default = "a" }`); err != nil {
		t.Fatal(err)
	}
	c := dial(t, p)
	c.says("get a\r\n")
	a.sees("get a\r\n")
	a.says("END\r\n")
	c.sees("END\r\n")
	if pools := p.Config().Pools; len(pools) != 1 {
		t.Errorf("there are pools %v, want a alone", pools)
	}
}

// pool{ route = }: the handler's child is the pool, unless it says otherwise.
func TestPoolWithARoute(t *testing.T) {
	a := newFakeBackend(t)
	p := startProxy(t, writeConfig(t, `
pool{ name = "foo", backends = { "$1" }, route = route_direct{ child = route_direct{ child = function(r) return "SERVER_ERROR mine\r\n" end } } }
pool{ name = "bar", backends = { "$1" }, route = route_direct{} }
`, a.addr()))
	c := dial(t, p)
	c.says("get /foo/a\r\n")
	c.sees("SERVER_ERROR mine\r\n")
	c.says("get /bar/a\r\n")
	a.sees("get      a\r\n")
	a.says("END\r\n")
	c.sees("END\r\n")
}

// Handlers in routelib's form may stand in a file of their own, in front of the configuration; all workers have them, after a reload too.
func TestRegisteredHandlersInAFileOfTheirOwn(t *testing.T) {
	a := newFakeBackend(t)
	lib, conf := writeConfig(t, `
register_route_handlers{ "hello" }
function route_hello_conf(t, ctx)
    t.id = ctx:get_stats_id("hellos")
    t.msg = t.msg .. " " .. ctx:label()
    return t
end
function route_hello_start(t, ctx, fgen)
    local h = fgen:new_handle(t.child)
    fgen:ready{ n = ctx:label(), f = function(rctx)
        return function(r)
            mcp.stat(t.id, 1)
            local res = rctx:enqueue_and_wait(r, h)
            return res:hit() and res or "SERVER_ERROR " .. t.msg .. "\r\n"
        end
    end }
end
`), writeConfig(t, `
pools{ a = { backends = { "$1" } } }
routes{ map = { foo = route_hello{ child = "a", msg = "hello," } } }
`, a.addr())
	p := startProxy(t, conf, func(o *Options) { o.Files = []string{lib, conf} })
	for range 2 {
		for range 3 {
			c := dial(t, p)
			c.says("get foo/a\r\n")
			a.sees("get foo/a\r\n")
			a.says("END\r\n")
			c.sees("SERVER_ERROR hello, foo\r\n")
		}
		if _, err := p.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	c := dial(t, p)
	c.says("stats proxy\r\n")
	if text := c.until("END\r\n"); !strings.Contains(text, "STAT user_hellos 6\r\n") {
		t.Errorf("%q", text)
	}
}

func TestBadTrees(t *testing.T) {
	local, err := leaf.NewLocal(leaf.Options{Memory: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	const good = `pools{ a = { backends = { "127.0.0.1:1" } }, set_z = { { backends = { "127.0.0.1:2" } } } }
routes{ map = { foo = route_direct{ child = "a" }, bar = cmdmap{ set = "a" } }, default = "a" }
settings{ backend_read_timeout = 1 }
`
	for _, d := range []struct{ from, to, want string }{
		{``, ``, ""},
		{`route_direct{ child`, `route_direct{ chld`, `:2: direct: there is no field "chld"; did you mean "child"?`},
		{`{ child = "a" }`, `{ child = "b" }`, `:2: routes.map.foo: direct.child: there is no pool "b"; did you mean "a"?`},
		{`{ child = "a" }`, `{ child = route_direct{ child = "set_z" } }`, `:2: routes.map.foo: direct.child: direct.child: "set_z" is a set of pools: want one`},
		{`{ child = "a" }`, `{ child = 5 }`, `:2: direct.child: want a pool, a pool's name or a route, got 5`},
		{`{ child = "a" }`, `{ }`, `:2: routes.map.foo: direct.child: is missing: want a pool, a pool's name or a route`},
		{`route_direct`, `route_drect`, `:2: there is no "route_drect"; did you mean "route_direct"?`},
		{`route_direct`, `route_myhello`, `:2: there is no "route_myhello"; there are route_allasync, route_allfastest, route_allinitial, route_allmajority, route_allsync, route_bigvalue, `},
		{`settings{`, `register_route_handlers{ 7 }`, `:3: register_route_handlers[1]: want handlers (what handler.define gives) and names, got a number`},
		{`route_direct`, `route_handler`, `:2: there is no "route_handler"; there are route_allasync, `},
		{`settings{`, `verbose(1)`, `:3: verbose: want true or false, got a number`},
		{`set = "a"`, `sett = "a"`, `:2: cmdmap: there is no command "sett"; did you mean "set"?`},
		{`set = "a"`, `set = "b"`, `:2: routes.map.bar.set: there is no pool "b"; did you mean "a"?`},
		{`default = "a"`, `default = 1`, `:2: routes.default: want a route or the name of a pool, got a number`},
		{`default =`, `defalt =`, `:2: routes: there is no field "defalt"; did you mean "default"?`},
		{`map = {`, `map = 1, conf = {`, `:2: routes.map: want a table, got a number`},
		{`"127.0.0.1:1"`, ``, `:1: pools.a.backends: the list is empty`},
		{`"127.0.0.1:1"`, `"nowhere"`, `:1: pools.a: cannot read backend address "nowhere"`},
		{`"127.0.0.1:1"`, `{ port = 1 }`, `:1: pools.a.backends[1].host: is missing`},
		{`"127.0.0.1:1" }`, `"127.0.0.1:1" }, options = { dist = "x" }`, `:1: pools.a: `},
		{`a = {`, `internal = {`, `:1: pools.internal: that is the name of the proxy's own store`},
		{`set_z = {`, `set_z = { { {} },`, `:1: pools.set_z[1]: there is no field "1"`},
		{`settings{`, `pools{ a = { backends = { "127.0.0.1:1" } } }`, `:3: pools.a: there is another pool of this name, at `},
		{`settings{`, `routes{ default = "a" }`, `:3: routes: there is another one without a tag, at `},
		{`settings{`, `pool{ name = "x", backends = { "127.0.0.1:1" } }`, `:3: pool{}, router{} and my_zone() make one form`},
		{`backend_read_timeout`, `backend_red_timeout`, `:3: settings: there is no field "backend_red_timeout"; did you mean "backend_read_timeout"?`},
		{`= 1 }`, `= "x" }`, `:3: settings.backend_read_timeout: want a number, got a string`},
		{`settings{`, `local_zone(1)`, `:3: local_zone: want the name of a zone, got a number`},
		{`settings{`, `local_zone_from_file("/nowhere")`, `:3: local_zone_from_file: `},
		{`settings{`, `local_zone_from_env("TIDEPOOL_NO_SUCH")`, `:3: local_zone_from_env: there is no 'TIDEPOOL_NO_SUCH' in the environment`},
	} {
		t.Run(d.to, func(t *testing.T) {
			config := strings.Replace(good, d.from, d.to, 1)
			if strings.HasPrefix(d.from, "settings") { // the line is another word
				config = config[:strings.Index(config, d.to)+len(d.to)]
			}
			path := writeConfig(t, config)
			err := Check(Options{Files: []string{path}, Local: local})
			if d.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), path+d.want) {
				t.Errorf("error is %q,\nwant %q", err, path+d.want)
			}
		})
	}
}

// What a configuration can be, and what is said of one that cannot be.

package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/leaf"
)

func TestBadConfigurationsNameTheirPlace(t *testing.T) {
	local, err := leaf.NewLocal(leaf.Options{Memory: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	const script = "function mcp_config_pools()\nPOOLS\nend\nfunction mcp_config_routes(c)\nROUTES\nend\n"
	pools := func(s string) string { return strings.Replace(strings.Replace(script, "POOLS", s, 1), "ROUTES", "", 1) }
	routes := func(s string) string { return strings.Replace(strings.Replace(script, "POOLS", "", 1), "ROUTES", s, 1) }
	for _, d := range []struct{ name, config, want string }{
		{"syntax", "x = = 1", ":1: unexpected symbol near '='"},
		{"empty", "", ": the configuration declares no pool{} and defines no mcp_config_pools"},
		{"half a script", "function mcp_config_pools() end", ": mcp_config_pools is defined, but not mcp_config_routes"},
		{"the other half", "function mcp_config_routes() end", ": mcp_config_routes is defined, but not mcp_config_pools"},
		{"runtime error", "\nerror('oh')", ":2: oh"},
		{"mixed", "\npool{ name = 'a', backends = { '127.0.0.1:1' } }\n" + pools(""), ":2: a file that defines mcp_config_pools cannot use the declarative words"},

		{"no name", "\npool{ backends = { '127.0.0.1:1' } }", ":2: pool: name is missing"},
		{"wrong field", "pool{ name = 'a', backend = { '127.0.0.1:1' } }", ":1: pool: unknown field 'backend'; there are backends, discover, distributor, name, route, zone_distributors, zones"},
		{"wrong type", "pool{ name = 'a', backends = 'x' }", ":1: pool: backends: want a table, got string"},
		{"no backends", "pool{ name = 'a' }", ":1: pool 'a': backends is missing"},
		{"empty backends", "pool{ name = 'a', backends = {} }", ":1: pool 'a': backends: the list is empty"},
		{"no address", "pool{ name = 'a', backends = { 1 } }", ":1: pool 'a': backends[1]: want an address"},
		{"bad address", "\npool{ name = 'a', backends = { '127.0.0.1:1', 'nowhere' } }", ":2: pool 'a': backends: "},
		{"bad address quoted", "pool{ name = 'a', backends = { 'nowhere' } }", `"nowhere"`},
		{"twice", "pool{ name = 'a', backends = { '127.0.0.1:1' } }\npool{ name = 'a', backends = { '127.0.0.1:1' } }", ":2: pool 'a': name: there is another pool of this name"},
		{"unknown default", "pool{ name = 'a', backends = { '127.0.0.1:1' } }\nrouter{ default_pool = 'b' }", ":2: router: default_pool: there is no pool 'b'; there are a"},
		{"flat without default", "pool{ name = 'a', backends = { '127.0.0.1:1' } }\nrouter{ router_type = 'flat' }", ":2: router: router_type 'flat' wants a pool named 'default'"},
		{"router type", "router{ router_type = 'x' }", ":1: router: router_type: want 'keyprefix' or 'flat', got 'x'"},
		{"pattern", "router{ match_prefix = '(' }", ":1: router: match_prefix: '(' is no Lua pattern"},
		{"late pattern", "router{ match_prefix = '/(%a+' }", ":1: router: match_prefix: '/(%a+' is no Lua pattern"},
		{"no such zone", "my_zone('z9')\npool{ name = 'a', zones = { z1 = { '127.0.0.1:1' } } }", ":2: pool 'a': zones: there is no zone 'z9', which my_zone() names; there are z1"},
		{"zones without my_zone", "pool{ name = 'a', zones = { z1 = { '127.0.0.1:1' } } }", ":1: pool 'a': backends is missing: zones are used only with my_zone()"},

		{"pool of nothing", pools("return mcp.pool({ 1 })"), ":2: mcp.pool: backends[1]: want a backend, got number"},
		{"backend without host", pools("mcp.backend{ label = 'a' }"), ":2: backend must have a host argument"},
		{"backend option", pools("mcp.backend{ label = 'a', host = 'h', port = 1, connections = 9 }"), `:2: backend connections argument must be <= 8`},
		{"bad filter", pools("return mcp.pool({}, { filter = 'x', filter_conf = '{}' })"), ":2: unknown hash filter specified: x"},
		{"bad omode", pools("return mcp.pool({ mcp.backend('a', '127.0.0.1', 1) }, { dist = mcp.dist_ring_hash, omode = 'x' })"), ":2: ring_hash: bad omode argument"},
		{"stat index", pools("mcp.add_stat(0, 'x')"), ":2: stat index must be 1 or higher"},
		{"the other stage", pools("mcp.attach(mcp.CMD_GET, print)"), ":2: mcp.attach is only there in mcp_config_routes"},
		{"the other stage", routes("mcp.pool({})"), ":5: mcp.pool is only there in mcp_config_pools"},
		{"attach nothing", routes("mcp.attach(mcp.CMD_GET, nil)"), ":5: mcp.attach: must pass a function"},
		{"long tag", routes("mcp.attach(mcp.CMD_GET, print, 'toolongatag')"), ":5: mcp.attach: tag must be 1 to 8 characters"},
		{"wait while loading", "POOL = nil\n" + strings.Replace(routes("c(mcp.request('get a\\r\\n'))"), "function mcp_config_pools()\n", "function mcp_config_pools() return mcp.pool({}) \n", 1), "there is no request to wait in while the configuration is loading"},
		{"function in the configuration", pools("return { f = print }"), ":1: cannot copy what mcp_config_pools returned: unhandled data type in configuration table"},
		{"endless", "while true do end", "step budget"},
	} {
		t.Run(d.name, func(t *testing.T) {
			path := writeConfig(t, d.config)
			err := Check(Options{Files: []string{path}, Local: local})
			if err == nil {
				t.Fatal("the configuration is accepted")
			}
			got := err.Error()
			if strings.HasPrefix(d.want, ":") && !strings.HasPrefix(got, path+d.want) {
				t.Errorf("error is %q,\nwant %q", got, path+d.want)
			}
			if !strings.Contains(got, d.want) {
				t.Errorf("error is %q,\nwant %q in it", got, d.want)
			}
		})
	}
}

func TestScriptGlobalsSurviveReload(t *testing.T) {
	p := startProxy(t, writeConfig(t, `
function mcp_config_pools()
    loads = (loads or 0) + 1
    return loads
end
function mcp_config_routes(n)
    mcp.attach(mcp.CMD_GET, function() return "n" .. n .. "\r\n" end)
end`))
	c := dial(t, p)
	c.says("get a\r\n")
	c.sees("n1\r\n")
	if n, err := p.Reload(); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	c.says("get a\r\n")
	c.sees("n2\r\n")
}

// What scripts find beside Lua's own library, which lualib's golden file lists: these globals, a route_ word for each handler, and no others.
func TestGlobalsOfTheConfigurationState(t *testing.T) {
	p := startProxy(t, writeConfig(t, `
before = ...
local names = {}
for k in pairs(_G) do
    if string.sub(k, 1, 6) ~= "route_" then names[#names + 1] = k end
end
table.sort(names)
function mcp_config_pools() return table.concat(names, " ") end
function mcp_config_routes(all) mcp.attach(mcp.CMD_GET, function() return all .. "\r\n" end) end`))
	c := dial(t, p)
	c.says("get a\r\n")
	c.sees("_G _VERSION assert cmdmap collectgarbage coroutine debug dofile error getmetatable io ipairs load loadfile " +
		"local_zone local_zone_from_env local_zone_from_file math mcp my_zone next os package pairs pcall pool pools print rawequal rawget rawlen rawset " +
		"register_route_handlers require router routes select setmetatable settings string table tonumber tostring type utf8 verbose warn xpcall\r\n")
}

// A module that the configuration requires is read again with it, in the configuration state as in the workers.
func TestReloadReadsModulesAgain(t *testing.T) {
	path := writeConfig(t, `
local m = require "answers"
function mcp_config_pools() return m.text end
function mcp_config_routes(text) mcp.attach(mcp.CMD_GET, function() return text .. m.text .. "\r\n" end) end`)
	module := filepath.Join(filepath.Dir(path), "answers.lua")
	write := func(text string) {
		if err := os.WriteFile(module, []byte(`return { text = "`+text+`" }`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	p := startProxy(t, path)
	c := dial(t, p)
	c.says("get a\r\n")
	c.sees("oldold\r\n")
	write("new")
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	c.says("get a\r\n")
	c.sees("newnew\r\n")
}

// What no option, and no setting, can mean.

package engine

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/leaf"
)

// complaints are what each of these expressions is refused with, in the pools stage of one configuration; "" is nothing.
func complaints(t *testing.T, opts Options, expressions []string) []string {
	t.Helper()
	var stage strings.Builder
	stage.WriteString("local said, ok, problem = {}\n local b = mcp.backend('h:1')\n")
	for i, e := range expressions {
		fmt.Fprintf(&stage, "ok, problem = pcall(function() return %s end) said[%d] = ok and '' or problem\n", e, i+1)
	}
	stage.WriteString("error('\\n' .. table.concat(said, '\\n'), 0)\n")
	path := writeConfig(t, "function mcp_config_pools()\n"+stage.String()+"end\nfunction mcp_config_routes() end")
	opts.Files = []string{path}
	err := Check(opts)
	if err == nil {
		t.Fatal("the configuration is accepted")
	}
	_, lines, _ := strings.Cut(err.Error(), "\n")
	return strings.Split(lines, "\n")
}

func TestOptionsThatMeanNothing(t *testing.T) {
	local, err := leaf.NewLocal(leaf.Options{Memory: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	opts := Options{Local: local, Log: slog.New(slog.DiscardHandler)}

	var expressions, wants []string
	f := func(expression, want string) {
		expressions, wants = append(expressions, expression), append(wants, want)
	}
	named := func(fields, want string) { f("mcp.backend{ label = 'b', "+fields+" }", want) }
	option := func(option, want string) { named("host = 'h', port = 11211, "+option, want) }

	const some, from = "want a number of seconds, 0.000001 or more, got ", "want a number of seconds from 0 on, got "
	for _, name := range []string{"connecttimeout", "readtimeout", "flapbackoffmax"} {
		for value, shown := range map[string]string{"-1": "-1", "0": "0", "0/0": "NaN", "1/0": "+Inf", "-1/0": "-Inf", "1e-7": "1e-07", "'-0.5'": "-0.5"} {
			option(name+" = "+value, "mcp.backend: "+name+": "+some+shown)
		}
		option(name+" = 'x'", "mcp.backend: "+name+`: want a number, got "x"`)
		for _, value := range []string{"0.000001", "0.25", "3", "'3'", "1e12"} {
			option(name+" = "+value, "")
		}
	}
	for _, name := range []string{"retrywaittime", "retrytimeout", "flaptime"} {
		for value, shown := range map[string]string{"-1": "-1", "-0.1": "-0.1", "0/0": "NaN", "1/0": "+Inf"} {
			option(name+" = "+value, "mcp.backend: "+name+": "+from+shown)
		}
		for _, value := range []string{"0", "0.25", "3", "1e12"} {
			option(name+" = "+value, "")
		}
	}
	for value, shown := range map[string]string{"-1": "-1", "0/0": "NaN", "1/0": "+Inf"} {
		option("flapbackofframp = "+value, "mcp.backend: flapbackofframp: want a factor from 0 on, got "+shown)
	}
	option("flapbackofframp = 0", "")
	for _, name := range []string{"failurelimit", "depthlimit", "connections"} {
		for value, shown := range map[string]string{"1.5": "1.5", "'0.5'": "0.5", "0/0": "NaN", "1/0": "+Inf", "1e300": "1e+300"} {
			option(name+" = "+value, "mcp.backend: "+name+": want a whole number, got "+shown)
		}
		option(name+" = 2", "")
		option(name+" = '2'", "")
	}
	for _, name := range []string{"tcpkeepalive", "flush_on_return", "down", "tls", "tls_verify", "multiget"} {
		for value, shown := range map[string]string{"'x'": `"x"`, "0": "0", "{}": "table"} {
			option(name+" = "+value, "mcp.backend: "+name+": want true or false, got "+shown)
		}
		option(name+" = false", "")
	}
	option("weight = 0/0", "mcp.backend: weight: want a number from 0 on, got NaN")
	option("address = 'h:1'", "mcp.backend: want an address, or host and port, not both")
	option("address = {}", "mcp.backend: address: want a string, got table")
	named("host = true, port = 1", "mcp.backend: host: want a string, got true")
	named("host = 'h', port = {}", "mcp.backend: port: want a string, got table")
	named("host = 'h', port = 11211.5", "mcp.backend: port: want a whole number from 1 to 65535, got 11211.5")
	named("host = 'h', port = 1e300", "mcp.backend: port: want a whole number from 1 to 65535, got 1e+300")
	named("host = 'h', port = '11211'", "")
	named("host = 7, port = 7", "")
	f("mcp.backend('b', 'h', 1.5)", "mcp.backend: port: want a whole number from 1 to 65535, got 1.5")

	const list = "mcp.pool: backends: want a list without holes, got a field "
	for args, want := range map[string]string{
		"{ b }, { iothread = 'x' }":     `mcp.pool: iothread: want true or false, got "x"`,
		"{ b }, { iothread = 0 }":       "mcp.pool: iothread: want true or false, got 0",
		"{ b }, { obuckets = 1.5 }":     "ring_hash: option argument must be a positive integer",
		"{ b }, nil":                    "",
		"{ x = b }":                     list + `"x"`,
		"{ x = 'h:1' }":                 list + `"x"`,
		"{ b, x = b }":                  list + `"x"`,
		"{ [1] = b, [3] = b }":          list + "3",
		"{ b, what = 'of no account' }": "", // memcached's proxy does not look at it
		"{}":                            "",
	} {
		f("mcp.pool("+args+")", want)
	}

	for _, name := range []string{"backend_connect_timeout", "backend_read_timeout", "backend_flap_backoff_max"} {
		for value, shown := range map[string]string{"-1": "-1", "0": "0", "0/0": "NaN", "1/0": "+Inf"} {
			f("mcp."+name+"("+value+")", "mcp."+name+": "+some+shown)
		}
		f("mcp."+name+"(0.5)", "")
	}
	for _, name := range []string{"backend_retry_waittime", "backend_retry_timeout", "backend_flap_time"} {
		for value, shown := range map[string]string{"-1": "-1", "0/0": "NaN", "1/0": "+Inf"} {
			f("mcp."+name+"("+value+")", "mcp."+name+": "+from+shown)
		}
		f("mcp."+name+"(0)", "")
	}
	f("mcp.backend_flap_backoff_ramp(0/0)", "mcp.backend_flap_backoff_ramp: want a factor from 0 on, got NaN")
	f("mcp.luagc_ratio(-1)", "mcp.luagc_ratio: want a factor from 0 on, got -1")
	for _, name := range []string{"backend_failure_limit", "backend_depth_limit", "active_req_limit", "buffer_memory_limit", "stat_limit"} {
		for value, shown := range map[string]string{"1.5": "1.5", "0/0": "NaN", "1/0": "+Inf"} {
			f("mcp."+name+"("+value+")", "mcp."+name+": want a whole number, got "+shown)
		}
		f("mcp."+name+"(-1)", name+" must be >= 0")
		f("mcp."+name+"(0)", "")
	}
	f("mcp.buffer_memory_limit(2^60)", "buffer_memory_limit must be 9007199254740991 or less")
	f("mcp.add_stat(1.5, 'x')", "mcp.add_stat: want a whole number, got 1.5")

	const several = 16 // in one configuration, whose errors are cut somewhere
	for len(expressions) > 0 {
		n := min(several, len(expressions))
		got := complaints(t, opts, expressions[:n])
		for i := range n {
			if i >= len(got) || got[i] != wants[i] {
				t.Errorf("%s:\n%q, want\n%q", expressions[i], got[min(i, len(got)-1)], wants[i])
			}
		}
		expressions, wants = expressions[n:], wants[n:]
	}
}

func TestDeclarationsThatMeanNothing(t *testing.T) {
	local, err := leaf.NewLocal(leaf.Options{Memory: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	const a = " pools{ a = { backends = { 'h:1' } } } routes{ default = 'a' }"
	for _, d := range []struct{ config, want string }{
		{"\nsettings{\n backend_read_timeout = -1 }" + a, ":2: settings: mcp.backend_read_timeout: want a number of seconds, 0.000001 or more, got -1"},
		{"settings{ active_req_limit = 1 }\nsettings{ active_request_limit = 1.5 }" + a, ":2: settings: mcp.active_req_limit: want a whole number, got 1.5"},
		{"\nfunction mcp_config_pools()\n mcp.backend{ label = 'b', host = 'h', port = 1, tls = 'x' } end function mcp_config_routes() end",
			`:3: mcp.backend: tls: want true or false, got "x"`},
		{"function mcp_config_pools()\n mcp.pool({}, 5) end function mcp_config_routes() end", ":2: bad argument #2 to pool (table expected, got number)"},
		{"settings{ buffer_memory_limit = -1 }" + a, ":1: settings: buffer_memory_limit must be >= 0"},
		{"\npools{ a = { backends = { { host = 'h', readtimeout = 0 } } } } routes{ default = 'a' }",
			":2: pools.a.backends[1]: mcp.backend: readtimeout: want a number of seconds, 0.000001 or more, got 0"},
		{"pools{ a = { backends = { 'h:1', x = 'h:2' } } } routes{ default = 'a' }", `:1: pools.a.backends: want a list, got a field "x"`},
		{"pools{ a = { backends = { 'h:1', [3] = 'h:2' } } } routes{ default = 'a' }", ":1: pools.a.backends: the list has holes"},
		{"pools{ a = { backends = { [0] = 'h:2' } } } routes{ default = 'a' }", ":1: pools.a.backends: the list has holes"},
		{"pools{ a = { backends = {} } } routes{ default = 'a' }", ":1: pools.a.backends: the list is empty"},
		{"\npool{ name = 'x', backends = { 'h:1' }, zones = {} }", ":2: pool 'x': zones: the table is empty"},
		{"pool{ name = 'x', discover = true, zones = {} } my_zone('z')", ":1: pool 'x': zones: the table is empty"},
		{"pool{ name = 'x', backends = { 'h:1' }, zones = { z = { 'h:2' } } }", ""},
		{"pool{ name = 'x', backends = { 'h:1' }, zone_distributors = { z = {} } }", ":1: pool 'x': zone_distributors: there is no zone 'z' among its zones"},
		{"pool{ name = 'x', zones = { z = { 'h:1' } }, zone_distributors = { z = 5 } } my_zone('z')", ":1: pool 'x': zone_distributors.z: want a table, got number"},
		{"pool{ name = 'x', discover = true, zones = { 'z' }, zone_distributors = { z = {} } } my_zone('z')",
			":1: pool 'x': zone_distributors: discovered zones have one distributor"},
	} {
		path := writeConfig(t, d.config)
		err := Check(Options{Files: []string{path}, Local: local})
		switch {
		case d.want == "" && err != nil:
			t.Errorf("%s: %v", d.config, err)
		case d.want != "" && (err == nil || err.Error() != path+d.want):
			t.Errorf("%s:\n%v, want\n%s", d.config, err, path+d.want)
		}
	}
}

// What memcached's proxy takes without a word is logged, where it cannot be meant so.
func TestOptionsThatAreIgnoredAreLogged(t *testing.T) {
	local, err := leaf.NewLocal(leaf.Options{Memory: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	var log strings.Builder
	path := writeConfig(t, `function mcp_config_pools()
    local b = mcp.backend{ label = "b", host = "h", port = 1, unheard_of = 1, log = { dead_line = 5 } }
    mcp.pool({ b }, { omode = "ketama" })
    mcp.pool({ b }, { dist = mcp.dist_rendezvous, obuckets = 40 })
    mcp.pool({ b }, { filter_conf = "{}" })
    mcp.pool({ b }, { dist = mcp.dist_ring_hash, omode = "ketama", obuckets = 40, filter = "tags", filter_conf = "{}" })
end
function mcp_config_routes() end`)
	if err := Check(Options{Files: []string{path}, Local: local, Log: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`mcp.backend: unknown option \"unheard_of\" is ignored`, `mcp.backend: log: unknown option \"dead_line\" is ignored`,
		`mcp.pool: option \"omode\" is ignored: it wants dist = mcp.dist_ring_hash`,
		`mcp.pool: option \"obuckets\" is ignored: it wants dist = mcp.dist_ring_hash`,
		`mcp.pool: option \"filter_conf\" is ignored: it wants a filter`,
	} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("want once %s in\n%s", want, log.String())
		}
	}
}

// Discovered pools in declarative files.

package engine

import (
	"strings"
	"testing"
)

// TestDiscoveredWords: each way of saying it asks the topology for what it says, and sends requests where that leads.
func TestDiscoveredWords(t *testing.T) {
	for _, d := range []struct{ config, ref, name, get string }{
		{`pool{ name = "users", discover = true }`, "users", "users", "/users/x"},
		{`pool{ name = "users", discover = "dns://x:1" }`, "dns://x:1#users", "users", "/users/x"},
		{`pool{ name = "u", discover = { pool = "users", zone = "z" } }`, "users", "u", "/u/x"},
		{`pool{ name = "users", discover = true, zones = { "z" } } my_zone("z")`, "users", "users.z", "/users/x"},
		{`pool{ name = "users", discover = true, route = route_log{} }`, "users", "users", "/users/x"},
		{`pools{ users = { discover = true } } routes{ default = route_direct{ child = "users" } }`, "users", "users", "x"},
		{`pools{ u = { discover = { from = "dns://x:1", pool = "users" }, options = { hash = "fnv1a_64" } } } routes{ default = route_direct{ child = "u" } }`, "dns://x:1#users", "u", "x"},
		{`pools{ set_users = { z = { discover = true } } } local_zone("z") routes{ default = route_zoned{ zones = "set_users" } }`, "users", "set_users.z", "x"},
	} {
		b, f := newFakeBackend(t), newFakeSource()
		f.is(d.ref, 1, "b="+b.addr()+" z")
		p := startProxy(t, writeConfig(t, d.config), func(o *Options) { o.Topology, o.FirstNews = f, 1 })
		c := dial(t, p)
		c.says("set " + d.get + " 0 0 1\r\nv\r\n")
		b.sees("set ")
		if line, err := b.r.ReadString('v'); err != nil || !strings.Contains(line, "x 0 0 1") {
			t.Errorf("%s: the backend sees %q (%v)", d.config, line, err)
		}
		b.says("STORED\r\n")
		c.sees("STORED\r\n")
		if v := p.Config().Pools[0]; v.Name != d.name || v.Discovered == nil {
			t.Errorf("%s: the pool is %+v", d.config, v)
		}
	}
}

func TestDiscoveredWordsAreChecked(t *testing.T) {
	for config, want := range map[string]string{
		`pool{ name = "a", discover = 7 }`:                                                `:1: pool 'a': discover: want true, a string such as`,
		`pool{ name = "a", discover = true, backends = { "h:1" } }`:                       `:1: pool 'a': want backends or discover, not both`,
		`pool{ name = "a", discover = { form = "x" } }`:                                   `:1: pool 'a': discover: there is no field "form"`,
		`pool{ name = "a", discover = "x://" }`:                                           `:1: pool 'a': mcp.discover: "a": cannot discover from "x://"`,
		`pool{ name = "a", discover = true, zones = { z = { "h:1" } } } my_zone("z")`:     `:1: pool 'a': zones: want the names of zones in a list`,
		`pool{ name = "a", discover = true, zones = { "y" } } my_zone("z")`:               `:1: pool 'a': zones: there is no zone 'z', which my_zone() names; there are y`,
		`pool{ name = "a", discover = true, route = route_failover{} }`:                   `:1: pool 'a': route: it asks several children`,
		`pools{ a = { discover = true, backends = { "h:1" } } }`:                          `:1: pools.a: want backends or discover, not both`,
		`pools{ a = { discover = "x" } } routes{ default = route_direct{ child = "a" } }`: `:1: pools.a: mcp.discover: "a": cannot discover from "x"`,
		`pools{ a = { discover = { zone = 7 } } }`:                                        `:1: pools.a.discover.zone: want a string`,
	} {
		err := Check(Options{Files: []string{writeConfig(t, config)}, Local: store{}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n gives %v\n want %s", config, err, want)
		}
	}
}

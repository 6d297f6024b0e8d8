// Configurations that must fail, or load, without taking the process along.

package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/leaf"
)

// What a configuration can ask for that no machine can give is an error of the configuration.
func TestConfigurationBombs(t *testing.T) {
	const empty = "function mcp_config_pools()\nPOOLS\nend\nfunction mcp_config_routes(c)\nROUTES\nend\n"
	for _, d := range []struct{ name, pools, routes, want string }{
		{"huge stat_limit", `mcp.stat_limit(1e15)`, "", ":2: stat_limit must be 1048576 or less"},
		{"shared tables", "local t = {} for i = 1, 60 do t = { t, t } end return t", "", "configuration table too large"},
		{"cycle", "local t = {} t.t = t return t", "", ":1: cannot copy what mcp_config_pools returned: configuration error: table recursion too deep"},
		{"endless recursion", "local function f() return f() + 1 end f()", "", ":2: stack overflow"},
		{"command that is no integer", "", "mcp.attach(mcp.CMD_GET, mcp.router_new{ cmap = { [1.5] = print } })",
			":5: Non integer key in router command map in router_new"},
	} {
		t.Run(d.name, func(t *testing.T) {
			local, err := leaf.NewLocal(leaf.Options{Memory: 4 << 20})
			if err != nil {
				t.Fatal(err)
			}
			defer local.Close()
			path := writeConfig(t, strings.Replace(strings.Replace(empty, "POOLS", d.pools, 1), "ROUTES", d.routes, 1))
			failed := make(chan error, 1)
			go func() { // a panic here would be the process's end
				defer func() {
					if r := recover(); r != nil {
						failed <- fmt.Errorf("panic: %v", r)
					}
				}()
				failed <- Check(Options{Files: []string{path}, Local: local})
			}()
			select {
			case err := <-failed:
				if err == nil || !strings.Contains(err.Error(), d.want) || strings.HasPrefix(d.want, ":") && !strings.HasPrefix(err.Error(), path) {
					t.Errorf("error is %v, want %q", err, d.want)
				}
			case <-time.After(patience):
				t.Fatal("loading takes for ever")
			}
		})
	}
}

// A limit that is set after a counter above it has been named leaves that counter be.
func TestStatLimitBelowACounter(t *testing.T) {
	p := startProxy(t, writeConfig(t, `
function mcp_config_pools() mcp.add_stat(1000, "x") mcp.stat_limit(10) end
function mcp_config_routes() mcp.attach(mcp.CMD_GET, function() mcp.stat(1000, 2) return "ok\r\n" end) end`))
	c := dial(t, p)
	c.says("get a\r\nstats proxy\r\n")
	c.sees("ok\r\nSTAT user_x 2\r\n")
}

// Routes count on while a reload makes room for more counters.
func TestCountersAreNotLostWhenTheyGrow(t *testing.T) {
	var u userStats
	u.name(map[int]string{1: "x"}, 1)
	const n = 200_000
	done := make(chan error)
	go func() {
		var err error
		for range n {
			err = errors.Join(err, u.add(1, 1))
		}
		done <- err
	}()
	for limit := 2; limit < 2000; limit++ {
		u.name(map[int]string{1: "x"}, limit)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	u.each(func(name string, v uint64) {
		if v != n {
			t.Errorf("%s is %d, want %d", name, v, n)
		}
	})
}

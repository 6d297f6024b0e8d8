// What the proxy tells of itself.

package engine

import (
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tidepool-proxy/tidepool/engine/stat"
)

// lines reads an answer up to END.
func (c *client) lines() map[string]string {
	c.t.Helper()
	m := map[string]string{}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		f := strings.Fields(line)
		if f[0] == "END" {
			return m
		}
		if len(f) < 2 || f[0] != "STAT" {
			c.t.Fatalf("sees %q among the statistics", line)
		}
		m[f[1]] = strings.Join(f[2:], " ")
	}
}

func TestStats(t *testing.T) {
	b := newFakeBackend(t)
	p := startProxy(t, writeConfig(t, `
function mcp_config_pools()
    mcp.add_stat(2, "two")
    mcp.add_stat(1, "one")
    mcp.add_stat(3, "")
    mcp.active_req_limit(500)
    return { p = mcp.pool({ mcp.backend("b", "127.0.0.1", "$1") }), gone = mcp.pool({ mcp.backend{ label = "gone", host = "127.0.0.1", port = 1, failurelimit = 0 } }) }
end
function mcp_config_routes(c)
    mcp.attach(mcp.CMD_GET, function(r) mcp.stat(2, 5) mcp.stat(1, 1) mcp.stat(1, -2) return c.p(r) end)
    mcp.attach(mcp.CMD_SET, function(r) return c.gone(r) end)
    mcp.attach(mcp.CMD_TOUCH, function(r) mcp.stat(9999, 1) end)
end`, port(b.addr())))
	c := dial(t, p)
	c.says("get a\r\n")
	b.sees("get a\r\n")
	b.says("END\r\n")
	c.sees("END\r\n")
	c.says("set a 0 0 1\r\nx\r\ntouch a 1\r\n")
	c.sees(lineBackendFailure + lineLuaFailure)
	want := func(command string, stats map[string]string) {
		t.Helper()
		c.says(command + "\r\n")
		got := c.lines()
		for name, value := range stats {
			if got[name] != value {
				t.Errorf("%s: %s is %q, want %q", command, name, got[name], value)
			}
		}
	}
	want("stats proxy", map[string]string{
		"user_one": "18446744073709551615", "user_two": "5", "active_req_limit": "500",
		"cmd_get": "1", "cmd_set": "1", "cmd_touch": "1", "cmd_mg": "0", "buffer_memory_used": "0",
	})
	want("stats", map[string]string{
		"proxy_config_reloads": "1", "proxy_config_reload_fails": "0", "proxy_backend_total": "2", "proxy_backend_marked_bad": "1",
		"curr_connections": "1", "rejected_connections": "0",
	})
	want("stats proxybe", map[string]string{"bad_gone": "1", "bad_b": ""})
	want("stats settings", map[string]string{"proxy_enabled": "yes"})
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	want("stats proxy", map[string]string{"user_two": "5"}) // the same name keeps its value
}

func TestFlushAllReachesEveryBackendIfItMay(t *testing.T) {
	b, other := newFakeBackend(t), newFakeBackend(t)
	p := startProxy(t, writeConfig(t, `
pool{ name = "foo", backends = { "$1" } }
pool{ name = "bar", backends = { "$1", "$2" } }
router{ default_pool = "foo" }`, b.addr(), other.addr()), func(o *Options) { o.AllowFlush = true })
	c := dial(t, p)
	c.says("flush_all\r\n")
	b.sees("flush_all\r\n") // once, though two pools have it
	other.sees("flush_all\r\n")
	b.says("OK\r\n")
	other.says("OK\r\n")
	c.sees("OK\r\n")
	c.says("flush_all\r\n")
	b.sees("flush_all\r\n")
	other.sees("flush_all\r\n")
	b.says("OK\r\n")
	other.says("SERVER_ERROR no\r\n")
	c.sees(lineBackendFailure)
	c.silence()
	for says, sent := range map[string]string{"flush_all noreply\r\n": "flush_all 0      \r\n", "flush_all 10 noreply\r\n": "flush_all 10 0      \r\n"} {
		c.says(says)
		b.sees(sent) // memcached takes no other word there: noreplY would flush nothing
		other.sees(sent)
		b.says("OK\r\n")
		other.says("OK\r\n")
		c.silence()
	}
}

func TestReadyWithPoolsWantsABackend(t *testing.T) {
	_, b, p := routed(t, "mcp.attach(mcp.CMD_GET, p)")
	if err := p.Ready(false); err != nil {
		t.Error(err)
	}
	c := dial(t, p)
	c.says("get a\r\n")
	b.sees("get a\r\n") // so the backend is up
	if err := p.Ready(true); err != nil {
		t.Error(err)
	}
	b.says("END\r\n")
	c.sees("END\r\n")
	none := startProxy(t, writeConfig(t, `pool{ name = "lost", backends = { "127.0.0.1:1" } }`))
	if err := none.Ready(true); err == nil || !strings.Contains(err.Error(), `pool "lost" has no backend that is up`) {
		t.Errorf("ready: %v", err)
	}
}

// TestBadResponsesAreLogged: what a route returned that nobody can be sent, and whose function that was.
func TestBadResponsesAreLogged(t *testing.T) {
	out := &logged{}
	path := writeConfig(t, `
function mcp_config_pools()
    return mcp.pool({ mcp.backend{ label = "gone", host = "127.0.0.1", port = 1, down = true } })
end
local kept
function mcp_config_routes(pool)
    local function generator(name, answer, ...)
        local g = mcp.funcgen_new()
        local handle = ... and g:new_handle(...)
        g:ready{ n = name, f = function(rctx) return function(r) -- line 10
            return answer(rctx, r, handle)
        end end }
        return g
    end
    local inner = generator("inner", function() return 5 end)
    local outer = generator("outer", function(rctx, r, handle)
        rctx:enqueue_and_wait(r, handle)
        return "END\r\n"
    end, inner)
    mcp.attach(mcp.CMD_GET, function(r) end) -- line 20
    mcp.attach(mcp.CMD_GETS, function(r) return r end)
    mcp.attach(mcp.CMD_TOUCH, function(r) return pool end)
    mcp.attach(mcp.CMD_DELETE, generator("table", function() return {} end))
    mcp.attach(mcp.CMD_MG, outer)
    mcp.attach(mcp.CMD_SET, function(r) kept = kept or pool(r) return kept end, "other")
end`)
	p := startProxy(t, path, func(o *Options) {
		o.Listen = []string{"127.0.0.1:0", "tag_other_:127.0.0.1:0"}
		o.Log = slog.New(slog.NewTextHandler(out, nil))
		o.Workers = 1
	})
	c, other := dial(t, p), dialAddr(t, p.Addrs()[1])
	f := func(c *client, request, answer, want string) {
		t.Helper()
		c.says(request + "\r\n")
		c.sees(answer)
		if got := strings.ReplaceAll(out.text(), path+":", ""); want != "" && !strings.Contains(got, want) {
			t.Errorf("%q logs\n%swant %s", request, got, want)
		}
		out.reset()
	}
	f(c, "get a", lineBadResponse,
		`level=ERROR msg="route failed" err="20: the function returned nil, want a response or a string" route=20 tag="" cmd=get key=a dropped=0`)
	f(c, "gets b", lineBadResponse, `err="21: the function returned a request, want a response or a string"`)
	f(c, "touch c 1", lineBadResponse, `err="22: the function returned a pool, want`)
	f(c, "delete d", lineBadResponse, `err="10: the function returned a table, want a response or a string" route=table tag="" cmd=delete key=d`)
	f(c, "mg e", "END\r\n", `err="10: the function returned a number, want a response or a string" route=inner tag="" cmd=mg key=e`)
	f(other, "set f 0 0 1\r\nx", lineBackendFailure, "")
	f(other, "set f 0 0 1\r\nx", lineBadResponse, `err="25: the function returned a response of a request that has ended, want a response or a string" route=25 tag=other cmd=set`)
	if n := p.stats.scriptErrors.Load(); n != 6 {
		t.Errorf("%d script errors are counted, want 6", n)
	}
}

// TestFailuresAreCounted: by why a backend did not answer, whatever a route makes of it.
func TestFailuresAreCounted(t *testing.T) {
	p := startProxy(t, writeConfig(t, `
function mcp_config_pools()
    return { down = mcp.pool({ mcp.backend{ label = "b", host = "127.0.0.1", port = 1, down = true } }), none = mcp.pool({}) }
end
function mcp_config_routes(c)
    mcp.attach(mcp.CMD_GET, c.down)
    mcp.attach(mcp.CMD_SET, function(r) c.none(r) return c.down(r) end)
end`))
	c := dial(t, p)
	c.says("get a\r\nset a 0 0 1\r\nx\r\n")
	c.sees(lineBackendFailure + lineBackendFailure)
	got := map[string]float64{}
	p.collect(func(m prometheus.Metric) {
		var d dto.Metric
		if err := m.Write(&d); err != nil {
			t.Error(err)
		}
		if m.Desc() == stat.BackendFailures {
			got[d.GetLabel()[0].GetValue()] = d.GetCounter().GetValue()
		}
	})
	if want := map[string]float64{"down": 2, "no_backend": 1}; !maps.Equal(got, want) {
		t.Errorf("counted are %v, want %v", got, want)
	}
}

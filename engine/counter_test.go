package engine

import (
	"os"
	"testing"
)

// A counter of mcp.counter is one for all workers and stages, is told beside those of add_stat, and outlives a reload.
func TestCountersByName(t *testing.T) {
	path := writeConfig(t, `
local start = mcp.counter("loads")
function mcp_config_pools()
    mcp.add_stat(1, "both")
    start:add()
    return { shared = mcp.counter("shared") }
end
function mcp_config_routes(c)
    local mine, both, shared = mcp.counter("mine"), mcp.counter("both"), c.shared
    mcp.attach(mcp.CMD_GET, function(r)
        mine:add(1) shared:add(10) both:add(5) mcp.stat(1, 2)
        mcp.counter("late_" .. r:key()):add(1)
        return "END\r\n"
    end)
end`)
	p := startProxy(t, path, func(o *Options) { o.Workers = 3 })
	clients := []*client{dial(t, p), dial(t, p), dial(t, p)}
	want := func(stats map[string]string) {
		t.Helper()
		clients[0].says("stats proxy\r\n")
		got := clients[0].lines()
		for name, value := range stats {
			if got[name] != value {
				t.Errorf("%s is %q, want %q", name, got[name], value)
			}
		}
	}
	want(map[string]string{"user_mine": "0", "user_shared": "0", "user_both": "0", "user_loads": "1", "user_late_k": ""})
	for _, c := range clients {
		c.says("get k\r\n")
		c.sees("END\r\n")
	}
	want(map[string]string{"user_mine": "3", "user_shared": "30", "user_both": "21", "user_late_k": "3"})
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	clients[1].says("get k\r\n")
	clients[1].sees("END\r\n")
	want(map[string]string{"user_mine": "4", "user_shared": "40", "user_both": "28", "user_late_k": "4", "user_loads": "2"})

	// What a load that fails has named is given up, unless it was there.
	if err := os.WriteFile(path, []byte(`
function mcp_config_pools() mcp.counter("gone") mcp.counter("mine") end
function mcp_config_routes() mcp.counter("gone_too") error("no") end`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Reload(); err == nil {
		t.Fatal("the load succeeds")
	}
	want(map[string]string{"user_gone": "", "user_gone_too": "", "user_mine": "4"})
}

// The names that routes make up while they serve are bounded.
func TestCountersAreBounded(t *testing.T) {
	var u userStats
	for i := range maxCounters {
		if _, err := u.Counter(string(rune('a'+i%26))+string(rune(0x4e00+i)), false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := u.Counter("more", false); err == nil {
		t.Error("there is no end of counters")
	}
	if _, err := u.Counter("a\u4e00", false); err != nil {
		t.Errorf("one that is there: %v", err)
	}
}

// Crons: when they run, what they may do, and what a load does to them.

package engine

import (
	"strings"
	"testing"
)

// later is a time at which every cron of these tests has been due for long.
const later = 1_000_000

// cronned starts a proxy whose mcp_config_pools is body.
func cronned(t *testing.T, body string) (p *Proxy, path string, w *client) {
	t.Helper()
	path = writeConfig(t, cronConfig(body))
	p = startProxy(t, path)
	return p, path, watcher(t, p, "proxyuser proxyevents")
}

func cronConfig(body string) string {
	return "function mcp_config_pools() " + body + " end function mcp_config_routes() end"
}

func (c *client) told(lines ...string) {
	c.t.Helper()
	for _, l := range lines {
		c.line(head + `type=proxy_` + l)
	}
}

func TestCronsRunWhenDue(t *testing.T) {
	p, _, w := cronned(t, `
    mcp.register_cron("often", { every = 1000, func = function() mcp.log("often") end })
    mcp.register_cron("seldom", { every = 3000, func = function() mcp.log("seldom") end })
    mcp.register_cron("once", { every = 1000, rerun = false, func = function() mcp.log("once") end })`)
	p.runCrons(999)
	p.runCrons(1010)
	p.runCrons(1500)
	p.runCrons(2011)
	p.runCrons(3500)
	w.told("user msg=often", "user msg=once", "user msg=often", "user msg=often", "user msg=seldom")
	if runs, fails := p.stats.cronRuns.Load(), p.stats.cronFails.Load(); runs != 5 || fails != 0 {
		t.Errorf("%d runs, %d failed", runs, fails)
	}
}

func TestCronMistakesAreCounted(t *testing.T) {
	p, _, w := cronned(t, `
    mcp.register_cron("bad", { every = 1000, func = function() error("no") end })
    mcp.register_cron("endless", { every = 1000, func = function() while true do end end })
    mcp.register_cron("pool", { every = 1000, func = function() mcp.pool({ mcp.backend("b", "127.0.0.1", 1) }) end })
    mcp.register_cron("stat", { every = 1000, func = function() mcp.add_stat(1, "x") end })
    mcp.register_cron("good", { every = 1000, func = function() mcp.log("good") end })`)
	p.runCrons(later)
	w.told(`error msg=\S+conf.lua:2: no`, `error msg=.*`, `error msg=.*while the configuration loads.*`, `error msg=.*while the configuration loads.*`, "user msg=good")
	if runs, fails := p.stats.cronRuns.Load(), p.stats.cronFails.Load(); runs != 5 || fails != 4 {
		t.Errorf("%d runs, %d failed", runs, fails)
	}
	c := dial(t, p)
	c.says("stats\r\n")
	if s := c.lines(); s["proxy_config_cron_runs"] != "5" || s["proxy_config_cron_fails"] != "4" {
		t.Errorf("stats say %s runs, %s failed", s["proxy_config_cron_runs"], s["proxy_config_cron_fails"])
	}
}

func TestCronsAreStagedWithTheLoad(t *testing.T) {
	register := func(name, every string) string {
		return `mcp.register_cron("` + name + `", { every = ` + every + `, func = function() mcp.log("` + name + ` ` + every + `") end }) `
	}
	p, path, w := cronned(t, register("kept", "1000")+register("gone", "1000"))
	p.runCrons(1500) // both are due at 2500 next
	w.told("user msg=kept 1000", "user msg=gone 1000")

	rewrite(t, path, cronConfig(register("kept", "7")+register("new", "1")+`error("refused")`))
	if _, err := p.Reload(); err == nil {
		t.Fatal("loaded")
	}
	w.told("error msg=.*refused", "conf status=failed")
	p.runCrons(2400) // what was refused changed nothing
	p.runCrons(2600)
	w.told("user msg=kept 1000", "user msg=gone 1000")

	rewrite(t, path, cronConfig(register("kept", "1000")+register("new", "100")))
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	w.told("conf status=start", "conf status=done")
	p.runCrons(3500) // kept has its phase, gone is gone
	p.runCrons(3601)
	w.told("user msg=new 100", "user msg=kept 1000", "user msg=new 100")
}

func TestCronsScheduleReloads(t *testing.T) {
	p, _, w := cronned(t, `
    mcp.schedule_config_reload() -- while loading it means nothing
    loads = (loads or 0) + 1
    mcp.register_cron("again", { every = 1000, func = function() mcp.log("cron " .. loads) mcp.schedule_config_reload() end })
    mcp.register_cron("other", { every = 1000, func = function() mcp.log("other " .. loads) end })`)
	p.runCrons(later)
	w.told("user msg=cron 1", "user msg=other 1", "conf status=start", "conf status=done")
	p.runCrons(2 * later)
	w.told("user msg=cron 2", "user msg=other 2", "conf status=start", "conf status=done")
	if g := p.Generation(); g != 3 {
		t.Errorf("generation %d, want 3", g)
	}
}

func TestCronsRunByThemselves(t *testing.T) {
	_, _, w := cronned(t, `mcp.register_cron("soon", { every = 1, func = function() mcp.log("soon") end })`)
	w.told("user msg=soon", "user msg=soon")
}

func TestCronArguments(t *testing.T) {
	for args, want := range map[string]string{
		`"a", { every = 1 }`:                             "proxy cron entry missing 'func' field",
		`"a", { func = print }`:                          "proxy cron entry missing 'every' field",
		`"a", { func = print, every = 0 }`:               "proxy cron entry 'every' must be > 0",
		`"a", { func = print, every = 0.5 }`:             "proxy cron entry 'every' must be > 0",
		`"a", { func = print, every = 0/0 }`:             "proxy cron entry 'every' must be > 0",
		`"a", { func = print, every = "1" }`:             "proxy cron entry 'every' must be a number, got string",
		`"a", { func = 1, every = 1 }`:                   "proxy cron entry 'func' must be a function, got number",
		`"a"`:                                            "table expected",
		`"a", { func = print, every = 1e300 }`:           "",
		`"a", { func = print, every = 1, rerun = false}`: "",
	} {
		err := Check(Options{Files: []string{writeConfig(t, cronConfig("mcp.register_cron("+args+")"))}, Local: store{}})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

func TestServerStats(t *testing.T) {
	p, _, w := cronned(t, `
    mcp.add_stat(1, "mine")
    local first = mcp.server_stats("proxy") -- while the first configuration loads, too
    assert(first.active_req_limit == "0")
    mcp.register_cron("stats", { every = 1000, func = function()
        local function has(sub, ...)
            local t = mcp.server_stats(sub)
            for _, name in ipairs({...}) do assert(type(t[name]) == "string", tostring(sub) .. " has no " .. name) end
            return t
        end
        has(nil, "pid", "curr_connections", "proxy_config_reloads")
        has("settings", "maxbytes", "proxy_enabled")
        assert(has("proxy", "user_mine", "cmd_mg").user_mine == "0")
        has("proxyfuncs") has("proxybe") has("extstore") has("slabs", "active_slabs")
        local addr
        for fd, conn in pairs(mcp.server_stats("conns")) do assert(type(fd) == "number") addr = conn.addr end
        assert(type(addr) == "string")
        assert(tonumber(mcp.server_stats("items")[1].number) == 1)
        assert(mcp.server_stats("slabs")[1].used_chunks == "1")
        for _, bad in ipairs({ "nothing", "", "reset", "detail on", "proxy\r\nflush_all" }) do
            local ok, err = pcall(mcp.server_stats, bad)
            assert(not ok and err == "unknown subcommand passed to server_stats", bad)
        end
        mcp.counter("cronned"):add(2)
        assert(has("proxy", "user_cronned").user_cronned == "2")
        mcp.log("well")
    end })`)
	c := dial(t, p)
	c.says("set a 0 0 1\r\nx\r\n")
	c.sees("STORED\r\n")
	p.runCrons(later)
	w.told("user msg=well")
}

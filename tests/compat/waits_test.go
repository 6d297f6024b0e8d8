// Routes that wait, made by chance: which requests they enqueue, how many answers of which kind they want, what they look at. The servers'
// answers arrive in an order that is chance, too.

package compat

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// waitsConfig wants routes in the place of ROUTES, each of which is a function of handles that has its place in a table routes.
const waitsConfig = `
function mcp_config_pools()
    local pools = {}
    for i = 1, 3 do
        pools[i] = mcp.pool({ mcp.backend("b" .. i, "127.0.0.1", 11700 + i) })
    end
    return pools
end

-- look describes a response, or what is there in its place.
local function look(res)
    if type(res) ~= "userdata" then
        return tostring(res)
    end
    return res:code() .. (res:ok() and "o" or "x") .. (res:hit() and "h" or "m") .. res:vlen()
end

local function list(t)
    local all = {}
    for i, res in ipairs(t) do
        all[i] = look(res)
    end
    return "[" .. table.concat(all, ",") .. "]"
end

local function tell(out)
    return "SERVER_ERROR " .. table.concat(out, " ") .. "\r\n"
end

-- sub is a generator behind a handle: it asks two servers, one after the other, and gives what finish makes of the second answer.
local function sub(a, b, finish)
    local g = mcp.funcgen_new()
    local one, two = g:new_handle(a), g:new_handle(b)
    g:ready{ n = "sub", f = function(rctx)
        return function(r)
            local first = rctx:enqueue_and_wait(r, one)
            if first:hit() then
                return first
            end
            return finish(rctx:enqueue_and_wait(r, two))
        end
    end }
    return g
end

function mcp_config_routes(pools)
    local targets = {
        pools[1], pools[2], pools[3],
        sub(pools[1], pools[2], function(res) return res end),
        sub(pools[3], pools[1], function(res) return "SERVER_ERROR sub\r\n" end),
        sub(pools[2], pools[3], function(res) error("sub") end),
    }
    local map = {}
    local function route(name, make)
        local g = mcp.funcgen_new()
        local h = {}
        for i, target in ipairs(targets) do
            h[i] = g:new_handle(target)
        end
        g:ready{ n = name, f = function(rctx) return make(rctx, h) end }
        map[name] = g
    end
ROUTES
    mcp.attach(mcp.CMD_MG, mcp.router_new{ map = map })
OLDER
end
`

// olderRoutes are attached beside the others: plain functions that call pools and mcp.await, and each other.
const olderRoutes = `
    local modes = {}
    for _, name in ipairs{ "GOOD", "ANY", "OK", "FIRST", "FASTGOOD", "BACKGROUND" } do
        modes[name] = mcp["AWAIT_" .. name]
    end
    local function await(r)
        local mode, n, which = string.match(r:key(), "^await/(%u+)/(%d)/(%d+)")
        local some = {}
        for i in string.gmatch(which, "%d") do
            some[#some + 1] = pools[tonumber(i)]
        end
        return list(mcp.await(r, some, tonumber(n), modes[mode]))
    end
    local function failover(r)
        local res = pools[2](r)
        if not res:hit() then
            local others = mcp.await(r, { pools[1], pools[3] }, 1)
            return others[1]
        end
        return res
    end
    mcp.attach(mcp.CMD_GET, function(r)
        if string.find(r:key(), "^await") then
            return "SERVER_ERROR " .. await(r) .. "\r\n"
        elseif string.find(r:key(), "^twice") then
            local res = failover(r)
            return "SERVER_ERROR " .. look(res) .. look(pools[1](mcp.request("mg again v\r\n"))) .. "\r\n"
        end
        return failover(r)
    end)
`

// waitRoutes makes n routes, of what an older memcached has.
func waitRoutes(rnd *rand.Rand, n int, older bool) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "route(\"r%d\", function(rctx, h)\n", i)
		for h := 1; h <= 6; h++ {
			if rnd.IntN(6) == 0 {
				fmt.Fprintf(&b, "rctx:handle_set_cb(h[%d], function(res, req) %s end)\n", h, callback(rnd))
			}
		}
		b.WriteString("return function(r)\nlocal out, n, res, tag = {}\n")
		b.WriteString(waitBody(rnd, older))
		b.WriteString("end\nend)\n")
	}
	return b.String()
}

func callback(rnd *rand.Rand) string {
	return []string{
		"return mcp.WAIT_GOOD",
		"return mcp.WAIT_OK",
		"return mcp.WAIT_ANY",
		"if res:hit() then return mcp.WAIT_OK end",
		"if not res:hit() then return mcp.WAIT_ANY, mcp.WAIT_RESUME end",
		"if res:ok() then return mcp.WAIT_GOOD, mcp.WAIT_RESUME end",
		"if req:key() == '' then error('no key') end",
		"error('callback')",
	}[rnd.IntN(8)]
}

// waitBody is what a route does. A wait that may leave a handle done that it has not counted is the last one: memcached's next wait would
// take that for what it waits for if nothing else is under way then, see docs/compat.md.
func waitBody(rnd *rand.Rand, older bool) string {
	var b strings.Builder
	idle := rnd.Perm(6) // handles that have not been enqueued
	var fresh []int     // those that have been since the last wait
	last := false
	take := func(n int) []int { // n idle ones
		got := idle[:min(n, len(idle))]
		idle = idle[len(got):]
		return got
	}
	handles := func(list []int) string {
		var s []string
		for _, h := range list {
			s = append(s, fmt.Sprintf("h[%d]", h+1))
		}
		return "{ " + strings.Join(s, ", ") + " }"
	}
	mode := func() string { return "mcp.WAIT_" + []string{"ANY", "OK", "GOOD", "FASTGOOD"}[rnd.IntN(4)] }
	for range 2 + rnd.IntN(5) {
		what := rnd.IntN(8)
		if last && what < 6 {
			continue
		}
		switch what {
		case 0, 1:
			if got := take(1 + rnd.IntN(3)); len(got) > 0 {
				fmt.Fprintf(&b, "rctx:enqueue(r, %s)\n", handles(got))
				fresh = append(fresh, got...)
			}
		case 2, 3:
			if len(fresh) > 0 {
				m := mode()
				fmt.Fprintf(&b, "n = rctx:wait_cond(%d, %s) out[#out+1] = \"n\" .. n\n", rnd.IntN(len(fresh)+2), m)
				last = last || m != "mcp.WAIT_ANY"
				fresh = nil
			}
		case 4:
			if got := take(1); len(got) > 0 {
				fmt.Fprintf(&b, "res = rctx:enqueue_and_wait(r, h[%d]) out[#out+1] = \"w\" .. look(res)\n", got[0]+1)
				last = len(idle) < 5
				fresh = nil
			}
		case 5:
			if len(fresh) > 0 {
				fmt.Fprintf(&b, "res = rctx:wait_handle(h[%d]) out[#out+1] = \"h\" .. look(res)\n", fresh[rnd.IntN(len(fresh))]+1)
				last = len(idle) < 5
				fresh = nil
			}
		case 6:
			if !older { // it came with 1.6.35
				fmt.Fprintf(&b, "res, tag = rctx:%s_result%s out[#out+1] = \"b\" .. look(res) .. \"/\" .. tostring(tag)\n",
					[]string{"best", "worst"}[rnd.IntN(2)], handles(rnd.Perm(6)[:1+rnd.IntN(4)]))
			}
		case 7:
			h := 1 + rnd.IntN(6)
			fmt.Fprintf(&b, "out[#out+1] = look(rctx:res_good(h[%d])) .. look(rctx:res_ok(h[%d])) .. look(rctx:res_any(h[%d]))\n", h, h, h)
			fmt.Fprintf(&b, "res, tag = rctx:result(h[%d]) out[#out+1] = \"r\" .. look(res) .. \"/\" .. tostring(tag)\n", h)
		}
	}
	switch rnd.IntN(6) {
	case 0:
		b.WriteString("do return res end\n")
	case 1:
		b.WriteString("if res then return res end\n")
	}
	b.WriteString("return tell(out)\n")
	return b.String()
}

func awaitMode(rnd *rand.Rand) string {
	return []string{"GOOD", "ANY", "OK", "FIRST", "FASTGOOD", "BACKGROUND"}[rnd.IntN(6)]
}

func TestWaitsAsMemcached(t *testing.T) {
	peer, ours := os.Getenv("PEER_MEMCACHED"), os.Getenv("TIDEPOOL")
	if peer == "" || ours == "" {
		t.Skip("SKIPPED: PEER_MEMCACHED (a memcached with its proxy) and TIDEPOOL (bin/tidepool) are not both set")
	}
	compareWaits(t, peer, ours, false)
}

func TestOlderWaitsAsMemcached(t *testing.T) {
	peer, _, ours := olderPeer(t)
	compareWaits(t, peer, ours, true)
}

func compareWaits(t *testing.T, peer, ours string, older bool) {
	const routes = 40
	s := seed(t)
	rnd := rand.New(rand.NewPCG(s, 4))
	text := waitRoutes(rnd, routes, older)
	p := &plan{addrs: []string{"127.0.0.1:11701", "127.0.0.1:11702", "127.0.0.1:11703"}, config: filepath.Join(t.TempDir(), "waits.lua")}
	if dir := os.Getenv("COMPAT_KEEP"); dir != "" {
		p.config = filepath.Join(dir, "waits.lua")
	}
	more := ""
	if older {
		more = olderRoutes
	}
	if err := os.WriteFile(p.config, []byte(strings.NewReplacer("ROUTES", text, "OLDER", more).Replace(waitsConfig)), 0o600); err != nil {
		t.Fatal(err)
	}
	one := func(i int) string { return fmt.Sprintf("mg r%d/%d v\r\n", rnd.IntN(routes), i) }
	old := func(i int) string {
		if rnd.IntN(4) == 0 {
			return fmt.Sprintf("get %s%d\r\n", []string{"k", "twice"}[rnd.IntN(2)], i)
		}
		return fmt.Sprintf("get await/%s/%d/%s/%d\r\n", awaitMode(rnd), rnd.IntN(4), []string{"1", "12", "31", "123", "321", "22"}[rnd.IntN(6)], i)
	}
	var list []scenario
	for i := range 4 * routes {
		ask := one
		if older && i%2 == 0 {
			ask = old
		}
		req := ask(i)
		if !older && rnd.IntN(5) == 0 { // that one sends what follows from an answer when it has nothing else to do
			req += one(i)
		}
		list = append(list, scenario{req, rnd.Uint64()})
	}
	compareScenarios(t, p, list, peer, ours)
}

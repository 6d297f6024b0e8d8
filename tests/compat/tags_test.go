// Listeners with tags: hooks by chance, of one command, of all that have a key and of all, with tags and without.

package compat

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tagsConfig wants a list of calls of mcp.attach in the place of ATTACH.
const tagsConfig = `
local servers = { "127.0.0.1:11501", "127.0.0.1:11502", "127.0.0.1:11503" }

function mcp_config_pools()
    local pools = {}
    for i, address in ipairs(servers) do
        local host, port = string.match(address, "^(.+):(%d+)$")
        pools[i] = mcp.pool({ mcp.backend("b" .. i, host, port) })
    end
    return pools
end

local function to(pool)
    local g = mcp.funcgen_new()
    local h = g:new_handle(pool)
    g:ready{ n = "to", f = function(rctx) return function(r) return rctx:enqueue_and_wait(r, h) end end }
    return g
end

local function both(a, b)
    local g = mcp.funcgen_new()
    local one, two = g:new_handle(a), g:new_handle(b)
    g:ready{ n = "both", f = function(rctx)
        return function(r)
            rctx:enqueue(r, { one, two })
            rctx:wait_cond(2)
            return rctx:best_result{ one, two }
        end
    end }
    return g
end

local function word(text)
    return function(r) return "SERVER_ERROR " .. text .. " " .. r:command() .. " " .. r:key() .. "\r\n" end
end

function mcp_config_routes(pools)
    kept = pools -- so that their servers stay in stats proxybe
    local function router()
        return mcp.router_new{
            map = { foo = to(pools[1]), bar = { [mcp.CMD_GET] = to(pools[2]), [mcp.CMD_ANY_STORAGE] = both(pools[1], pools[3]) } },
            cmap = { [mcp.CMD_MG] = to(pools[3]) },
            default = to(pools[2]),
        }
    end
ATTACH
end
`

func TestTagsAsMemcached(t *testing.T) {
	peer, ours := os.Getenv("PEER_MEMCACHED"), os.Getenv("TIDEPOOL")
	if peer == "" || ours == "" {
		t.Skip("SKIPPED: PEER_MEMCACHED (a memcached with its proxy) and TIDEPOOL (bin/tidepool) are not both set")
	}
	for i := range 12 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			s := seed(t)
			rnd := rand.New(rand.NewPCG(s, uint64(i)))
			p := plan{same: known, addrs: []string{"127.0.0.1:11501", "127.0.0.1:11502", "127.0.0.1:11503"}}
			p.tags = []string{"b", "cccc", "12345678"}[:1+rnd.IntN(3)]
			if rnd.IntN(3) == 0 {
				p.addrs = p.addrs[:2]
			}
			text := attaches(rnd, p.tags)
			p.config = filepath.Join(t.TempDir(), "tags.lua")
			if err := os.WriteFile(p.config, []byte(strings.Replace(tagsConfig, "ATTACH", text, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			p.talk = talkOf([]string{"", "foo/", "bar/"}, []string{"hit", "miss", "err", "odd"}, s)
			for range 50 { // commands without a key
				p.talk[rnd.IntN(len(p.talk))] = []string{"version\r\n", "get\r\n", "nonsense\r\n", "stats proxybe\r\n"}[rnd.IntN(4)]
			}
			p.scatter(s)
			p.compare(t, peer, ours)
			if t.Failed() {
				t.Logf("attached:\n%s", text)
			}
		})
	}
}

// attaches is a list of calls of mcp.attach. Every command with a key has a hook without a tag, for two stores are not alike. Where a
// command has a hook with one tag, it has one with each: memcached looks for a tag that is not there past the end of its list.
func attaches(rnd *rand.Rand, tags []string) string {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	target := func() string {
		return pick("to(pools[1])", "to(pools[2])", "to(pools[3])", "both(pools[2], pools[3])", `word("w")`, `word("v")`, "router()")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "mcp.attach(mcp.CMD_ANY_STORAGE, %s)\n", target())
	if len(tags) > 1 {
		for _, tag := range tags {
			fmt.Fprintf(&b, "mcp.attach(mcp.CMD_ANY, %s, %q)\n", `word("base")`, tag)
		}
	}
	for range 1 + rnd.IntN(8) {
		cmd := pick("ANY_STORAGE", "ANY_STORAGE", "MG", "MG", "MS", "GET", "GETS", "SET", "DELETE", "INCR", "ANY")
		to := target()
		if cmd == "ANY" {
			to = `word("any")` // of commands that have no key
		}
		fmt.Fprintf(&b, "mcp.attach(mcp.CMD_%s, %s", cmd, to)
		if rnd.IntN(5) > 0 {
			fmt.Fprintf(&b, ", %q", pick(tags...))
		}
		b.WriteString(")\n")
	}
	return b.String()
}

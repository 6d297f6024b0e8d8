// Dialogues: what routes do with requests, on the wire.

package engine

import (
	"strings"
	"testing"
)

// luaRoute is a configuration of one pool of $1 and the route in it.
const luaRoute = `
function mcp_config_pools()
    return { p = mcp.pool({ mcp.backend("b", "127.0.0.1", "$1") }, { name = "p" }) }
end
function mcp_config_routes(c)
    local p = c.p
    ROUTE
end
`

func port(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }

// routed starts a proxy whose only route is the given Lua, in front of one fake backend.
func routed(t *testing.T, route string, change ...func(*Options)) (*client, *fakeBackend, *Proxy) {
	t.Helper()
	b := newFakeBackend(t)
	p := startProxy(t, writeConfig(t, strings.ReplaceAll(luaRoute, "ROUTE", route), port(b.addr())), change...)
	return dial(t, p), b, p
}

func TestRequestsReachTheBackendAsWritten(t *testing.T) {
	for _, route := range []string{
		"mcp.attach(mcp.CMD_ANY_STORAGE, p)",
		"mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return p(r) end)",
		"mcp.attach(mcp.CMD_ANY_STORAGE, function(r) local x = p(r) return x end)",
		"mcp.attach(mcp.CMD_ANY_STORAGE, function(r) local ok, x = pcall(p, r) return x end)",
		"mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return select(2, pcall(function() return p(r) end)) end)",
		"mcp.attach(mcp.CMD_ANY_STORAGE, function(r) for x in function() return p(r) end do return x end end)",
		"mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return coroutine.wrap(function() return p(r) end)() end)",
		"mcp.attach(mcp.CMD_ANY_STORAGE, function(r) local x string.gsub('a', 'a', function() x = p(r) end) return x end)",
		"mcp.attach(mcp.CMD_ANY_STORAGE, function(r) local x table.sort({2, 1}, function(a, b) x = x or p(r) return a < b end) return x end)",
		"mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return setmetatable({}, { __index = function() return p(r) end }).wrapped end)",
		"mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return mcp.await(r, { p })[1] end)",
		"mcp.attach(mcp.CMD_ANY_STORAGE, mcp.router_new{ map = { x = p }, default = p })",
	} {
		t.Run(route, func(t *testing.T) {
			c, b, _ := routed(t, route)
			for _, d := range []struct{ client, backend, answer, sees string }{
				{"get a\r\n", "get a\r\n", "VALUE a 0 2\r\nhi\r\nEND\r\n", "VALUE a 0 2\r\nhi\r\nEND\r\n"},
				{"get a\r\n", "get a\r\n", "END\r\n", "END\r\n"},
				{"set a 0 0 2\r\nhi\r\n", "set a 0 0 2\r\nhi\r\n", "STORED\r\n", "STORED\r\n"},
				{"set a 0 0 2 noreply\r\nhi\r\n", "set a 0 0 2 noreplY\r\nhi\r\n", "STORED\r\n", ""},
				{"ms a 2 q\r\nhi\r\n", "ms a 2  \r\nhi\r\n", "HD\r\n", ""},
				{"mg a v q\r\n", "mg a v  \r\n", "EN\r\n", ""},
				{"mg a v\r\n", "mg a v\r\n", "VA 2\r\nhi\r\n", "VA 2\r\nhi\r\n"},
				{"incr a 1\r\n", "incr a 1\r\n", "5\r\n", "5\r\n"},
				{"touch a 1\r\n", "touch a 1\r\n", "SERVER_ERROR out\r\n", "SERVER_ERROR out\r\n"},
				{"get a b a\r\n", "get a\r\nget b\r\nget a\r\n", "VALUE a 0 1\r\n1\r\nEND\r\nEND\r\nVALUE a 0 1\r\n2\r\nEND\r\n", "VALUE a 0 1\r\n1\r\nVALUE a 0 1\r\n2\r\nEND\r\n"},
			} {
				c.says(d.client)
				if d.client[:4] == "get " && strings.Count(d.client, " ") > 1 && strings.Contains(route, "gsub") || strings.Contains(route, "sort") || strings.Contains(route, "wrap") {
					// such a wait cannot be suspended: the keys go one after another
					answers := strings.SplitAfter(d.answer, "END\r\n")
					for i, line := range strings.SplitAfter(d.backend, "\r\n") {
						if line == "" || !strings.HasPrefix(line, "get") {
							continue
						}
						b.sees(line)
						b.says(answers[i])
					}
					if !strings.HasPrefix(d.backend, "get") {
						b.sees(d.backend)
						b.says(d.answer)
					}
				} else {
					b.sees(d.backend)
					b.says(d.answer)
				}
				c.sees(d.sees)
				c.silence()
			}
		})
	}
}

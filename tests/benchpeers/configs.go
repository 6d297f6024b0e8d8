// The configurations: of ours, of memcached's proxy, of nutcracker.

package main

import (
	"fmt"
	"net"
	"strings"
)

// luaRoute is a configuration of ours whose every storage command goes through a Lua function.
const luaRoute = `-- Every command goes through a Lua function: what is measured is routing, not a short cut.
function mcp_config_pools()
    return mcp.pool({ %s })
end

function mcp_config_routes(pool)
    mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return pool(r) end)
end
`

// poolRoute has no Lua on the way of a request.
const poolRoute = `function mcp_config_pools()
    return mcp.pool({ %s })
end

function mcp_config_routes(pool)
    mcp.attach(mcp.CMD_ANY_STORAGE, pool)
end
`

// directRoute is what routelib's route_direct does, in the API of memcached's proxy.
const directRoute = `function mcp_config_pools()
    return mcp.pool({ %s })
end

function mcp_config_routes(pool)
    local fgen = mcp.funcgen_new()
    local handle = fgen:new_handle(pool)
    fgen:ready({ n = "direct", f = function(rctx)
        return function(r) return rctx:enqueue_and_wait(r, handle) end
    end })
    mcp.attach(mcp.CMD_ANY_STORAGE, fgen)
end
`

// failoverRoute runs in both: a second pool is asked where the first has answered with an error.
const failoverRoute = `function mcp_config_pools()
    return {
        mcp.pool({ %[1]s }),
        mcp.pool({ %[1]s }),
    }
end

function mcp_config_routes(pools)
    local fgen = mcp.funcgen_new()
    local handles = { fgen:new_handle(pools[1]), fgen:new_handle(pools[2]) }
    fgen:ready({ n = "failover", f = function(rctx)
        return function(r)
            local res
            for i = 1, #handles do
                res = rctx:enqueue_and_wait(r, handles[i])
                if res:ok() then
                    return res
                end
            end
            return res
        end
    end })
    mcp.attach(mcp.CMD_ANY_STORAGE, fgen)
end
`

// What routelib wants for the same.
const (
	routelibDirect = `pools{ main = { backends = { %s } } }
routes{ default = route_direct{ child = "main" } }
`
	routelibFailover = `pools{
    first = { backends = { %[1]s } },
    second = { backends = { %[1]s } },
}
routes{ default = route_failover{ children = { "first", "second" } } }
`
)

// backendList is what mcp.pool's table holds: memcached servers as host:port, leaves as URLs.
func backendList(addrs []string) string {
	var list []string
	for i, a := range addrs {
		if host, port, err := net.SplitHostPort(a); err == nil && !strings.Contains(a, "://") {
			list = append(list, fmt.Sprintf("mcp.backend(%q, %q, %s)", fmt.Sprintf("b%d", i+1), host, port))
		} else {
			list = append(list, fmt.Sprintf("mcp.backend(%q)", a))
		}
	}
	return strings.Join(list, ", ")
}

// quotedList is what routelib's backends table holds.
func quotedList(addrs []string) string {
	var list []string
	for _, a := range addrs {
		list = append(list, fmt.Sprintf("%q", a))
	}
	return strings.Join(list, ", ")
}

// nutcrackerYAML is nutcracker's configuration.
func nutcrackerYAML(listen string, servers []string) string {
	var y strings.Builder
	fmt.Fprintf(&y, "bench:\n  listen: %s\n  hash: fnv1a_64\n  distribution: ketama\n  timeout: 3000\n  auto_eject_hosts: false\n  server_connections: 1\n  servers:\n", listen)
	for _, s := range servers {
		fmt.Fprintf(&y, "   - %s:1\n", s)
	}
	return y.String()
}

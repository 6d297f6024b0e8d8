-- A configuration as a user has it: two zones, and a word of its own beside it.
local word = require "words"

function mcp_config_pools()
    mcp.add_stat(1, "misses")
    return {
        near = mcp.pool({ mcp.backend("near", "127.0.0.1", 11212) }),
        far = mcp.pool({ mcp.backend("far", "127.0.0.1", 11213) }),
    }
end

function mcp_config_routes(pools)
    mcp.attach(mcp.CMD_ANY_STORAGE, function(r)
        local res = pools.near(r)
        if r:command() == mcp.CMD_GET and not res:hit() then
            mcp.stat(1, 1)
            mcp.log(word .. " " .. r:key())
            return pools.far(r)
        end
        return res
    end)
end

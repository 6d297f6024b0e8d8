-- Made from one.yml by tidepool import. Keys go to the servers that nutcracker sends them to. To run it:
--
--   tidepool proxy --listen 127.0.0.1:22121 routes.lua

function mcp_config_pools()
    return {
        -- cache listens on 127.0.0.1:22121.
        cache = mcp.pool({
            mcp.backend{ label = "10.0.0.1:11211", host = "10.0.0.1", port = 11211, connecttimeout = 0.4, readtimeout = 0.4 },
            mcp.backend{ label = "10.0.0.2:11211", host = "10.0.0.2", port = 11211, weight = 2, connecttimeout = 0.4, readtimeout = 0.4 },
        }, { name = "cache", dist = mcp.dist_ketama, hash = mcp.hash_fnv1a_64 }),
    }
end

function mcp_config_routes(pools)
    mcp.attach(mcp.CMD_ANY_STORAGE, pools.cache)
end

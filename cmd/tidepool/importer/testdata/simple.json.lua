-- Made from simple.json by tidepool import. Keys go to the servers that mcrouter sends them to. To run it:
--
--   tidepool proxy --listen 127.0.0.1:5000 FILE.lua

function mcp_config_pools()
    return {
        A = mcp.pool({
            mcp.backend{ label = "127.0.0.1:5001", host = "127.0.0.1", port = 5001, connecttimeout = 1, readtimeout = 1 },
            mcp.backend{ label = "127.0.0.1:5002", host = "127.0.0.1", port = 5002, connecttimeout = 1, readtimeout = 1 },
        }, { name = "A", dist = mcp.dist_ch3, filter = "stop", filter_conf = "|#|" }),
    }
end

function mcp_config_routes(pools)
    mcp.attach(mcp.CMD_ANY_STORAGE, pools.A)
end

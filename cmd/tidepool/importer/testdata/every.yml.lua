-- Made from every.yml by tidepool import. Keys go to the servers that nutcracker sends them to. To run it:
--
--   tidepool proxy --listen tag_alpha_:0.0.0.0:22121 --listen tag_thelongn_:unix:/run/nutcracker.sock --listen tag_thelongo_:[::1]:22123 --listen tag_end_:127.0.0.1:22124 FILE.lua
--
-- and with --insecure, because other machines can reach it and nothing is encrypted or asked for a password.

function mcp_config_pools()
    return {
        -- alpha listens on 0.0.0.0:22121.
        -- backlog: the system's own limit is used
        -- client_connections: nutcracker ignores it; tidepool proxy --max-conns limits all listeners together
        -- preconnect: connections are always made at the start
        -- reuseport: has no equivalent
        -- redis_db: means nothing to memcached
        -- server_connections: 12 is more than 8, the most that a backend has here
        -- auto_eject_hosts: has no equivalent: keys of a server that is down are answered with an error until it is
        -- back, they do not move to others. Clients should take the error as a miss, as they do with nutcracker.
        -- server_retry_timeout: is rounded to whole seconds, at least one
        alpha = mcp.pool({
            mcp.backend{ label = "red", host = "cache-1.example", port = 11211, hash_name = "red", connecttimeout = 1.5, readtimeout = 1.5, connections = 8, failurelimit = 3, retrywaittime = 2.5, tcpkeepalive = true },
            mcp.backend{ label = "green", host = "cache-2.example", port = 11212, weight = 10, hash_name = "green", connecttimeout = 1.5, readtimeout = 1.5, connections = 8, failurelimit = 3, retrywaittime = 2.5, tcpkeepalive = true },
            mcp.backend{ label = "/run/memcached.sock", address = "unix:/run/memcached.sock", hash_name = "/run/memcached.sock:", connecttimeout = 1.5, readtimeout = 1.5, connections = 8, failurelimit = 3, retrywaittime = 2.5, tcpkeepalive = true },
        }, { name = "alpha", dist = mcp.dist_ketama, hash = mcp.hash_murmur, hash_tag = "{}" }),

        -- the-long-named-pool listens on unix:/run/nutcracker.sock.
        -- listen: the socket's permissions "0660" are left out: here they are 0700
        -- servers: nutcracker sorts them by name, the shorter first, before it counts: so they stand here
        -- timeout: nutcracker waits for ever without one; here it is 5 s for a connection, 3 s for an answer
        -- server_retry_timeout, server_failure_limit: nutcracker uses them only with auto_eject_hosts
        ["the-long-named-pool"] = mcp.pool({
            mcp.backend{ label = "127.0.0.1:900", host = "127.0.0.1", port = 900, weight = 3 },
            mcp.backend{ label = "127.0.0.1:11214", host = "127.0.0.1", port = 11214 },
        }, { name = "the-long-named-pool", dist = mcp.dist_modula, hash = mcp.hash_crc16 }),

        -- the-long-other listens on [::1]:22123.
        -- timeout: nutcracker waits for ever without one; here it is 5 s for a connection, 3 s for an answer
        -- weights: nutcracker's random distribution has none either
        ["the-long-other"] = mcp.pool({
            mcp.backend{ label = "::1:11211", host = "::1", port = 11211 },
            mcp.backend{ label = "127.0.0.1:11216", host = "127.0.0.1", port = 11216 },
        }, { name = "the-long-other", dist = mcp.dist_random }),

        -- end listens on 127.0.0.1:22124.
        -- timeout: nutcracker waits for ever without one; here it is 5 s for a connection, 3 s for an answer
        ["end"] = mcp.pool({
            mcp.backend{ label = "127.0.0.1:11217", host = "127.0.0.1", port = 11217 },
        }, { name = "end", dist = mcp.dist_ketama, hash = mcp.hash_fnv1a_64 }),
    }
end

function mcp_config_routes(pools)
    mcp.attach(mcp.CMD_ANY_STORAGE, pools.alpha, "alpha")
    mcp.attach(mcp.CMD_ANY_STORAGE, pools["the-long-named-pool"], "thelongn")
    mcp.attach(mcp.CMD_ANY_STORAGE, pools["the-long-other"], "thelongo")
    mcp.attach(mcp.CMD_ANY_STORAGE, pools["end"], "end")
end

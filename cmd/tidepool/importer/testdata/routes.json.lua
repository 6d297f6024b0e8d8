-- Made from routes.json by tidepool import. Keys go to the servers that mcrouter sends them to. To run it:
--
--   tidepool proxy --listen 127.0.0.1:5000 FILE.lua
--
-- What is not as in mcrouter:
--
--   routes.json:6: pool "my-c": "qos" has no equivalent: left out
--   routes.json:8: pool "unused" is used by no route here: left out
--   routes.json:11: FailoverRoute: "failover_limit" has no equivalent: left out
--   routes.json:24: OperationSelectorRoute: operation "lease-get" has no equivalent: left out
--   routes.json:29: a shadow of a share of the keys or servers has no equivalent: left out
--   routes.json:29: a shadow without index_range or key_fraction_range gets nothing from mcrouter: left out
--   routes.json:30: LatestRoute has no equivalent: what comes here is answered with an error

-- ok: an answer that is no error. Routes may answer with text.
local function ok(res)
    if type(res) == "string" then
        return string.find(res, "ERROR", 1, true) == nil
    end
    return res:ok()
end

-- rank: 4 is a hit or a success, 3 a miss, not stored or not found, less an error.
local function rank(res)
    if type(res) == "string" then
        return ok(res) and 3 or 2
    end
    return res:rank()
end

-- fails: ErrorRoute.
local function fails(message)
    local line = "SERVER_ERROR " .. message .. "\r\n"
    return function()
        return line
    end
end

-- neutral: the answer of a server that has nothing and keeps nothing.
local NEUTRAL = {
    [mcp.CMD_GET] = "END\r\n", [mcp.CMD_GETS] = "END\r\n", [mcp.CMD_GAT] = "END\r\n", [mcp.CMD_GATS] = "END\r\n",
    [mcp.CMD_MG] = "EN\r\n", [mcp.CMD_ME] = "EN\r\n", [mcp.CMD_MS] = "NS\r\n", [mcp.CMD_MD] = "NF\r\n", [mcp.CMD_MA] = "NF\r\n",
    [mcp.CMD_DELETE] = "NOT_FOUND\r\n", [mcp.CMD_INCR] = "NOT_FOUND\r\n", [mcp.CMD_DECR] = "NOT_FOUND\r\n", [mcp.CMD_TOUCH] = "NOT_FOUND\r\n",
}

local function neutral(r)
    local cmd = r:command()
    local line = NEUTRAL[cmd]
    if line == "END\r\n" then
        return line
    end
    if cmd <= mcp.CMD_ME then
        return r:has_flag("q") and string.sub(line, 1, 2) ~= "NS" and "" or line
    end
    if r:token(r:ntokens()) == "noreply" then
        return ""
    end
    return line or "NOT_STORED\r\n"
end

-- everyone: sends a request to all children and gives all answers. Pools are asked at once, routes one after another.
local function everyone(children)
    local n = #children
    for _, child in ipairs(children) do
        if type(child) == "function" then
            return function(r)
                local answers = {}
                for i = 1, n do
                    answers[i] = children[i](r)
                end
                return answers
            end
        end
    end
    return function(r)
        return mcp.await(r, children, n, mcp.AWAIT_ANY)
    end
end

-- all_sync: AllSyncRoute: all are waited for, the worst answer wins.
local function all_sync(children)
    local ask = everyone(children)
    return function(r)
        local answers = ask(r)
        local worst = answers[1]
        for i = 2, #answers do
            if rank(answers[i]) < rank(worst) then
                worst = answers[i]
            end
        end
        return worst
    end
end

-- all_fastest: AllFastestRoute: the first answer that is no error wins.
local function all_fastest(children)
    local pools, ask = true, everyone(children)
    for _, child in ipairs(children) do
        pools = pools and type(child) == "userdata"
    end
    return function(r)
        local answers = pools and mcp.await(r, children, 1, mcp.AWAIT_OK) or ask(r)
        for _, res in ipairs(answers) do
            if ok(res) then
                return res
            end
        end
        return answers[1]
    end
end

-- failed: the server failed, so that the next one is asked. A CLIENT_ERROR is its answer: mcrouter gives that to the client.
local function failed(res)
    if type(res) == "string" then
        return string.sub(res, 1, 12) == "SERVER_ERROR"
    end
    return not res:ok() and res:code() ~= mcp.MCMC_CODE_CLIENT_ERROR
end

-- failover: FailoverRoute: the next child is asked while one fails.
local function failover(children)
    local n = #children
    return function(r)
        local res
        for i = 1, n do
            res = children[i](r)
            if not failed(res) then
                break
            end
        end
        return res
    end
end

-- miss_failover: MissFailoverRoute: reads and deletes go on to the next child until one has the key; all else goes to the first.
local MISS_FAILOVER = {
    [mcp.CMD_GET] = true, [mcp.CMD_GETS] = true, [mcp.CMD_GAT] = true, [mcp.CMD_GATS] = true, [mcp.CMD_MG] = true,
    [mcp.CMD_DELETE] = true, [mcp.CMD_MD] = true,
}

local function miss_failover(fields)
    local children, best_on_error = fields.children, fields.return_best_on_error
    return function(r)
        local best = children[1](r)
        if not MISS_FAILOVER[r:command()] or rank(best) == 4 then
            return best
        end
        for i = 2, #children do
            local res = children[i](r)
            if rank(res) == 4 then
                return res
            end
            if not best_on_error or rank(res) >= rank(best) then
                best = res
            end
        end
        return best
    end
end

-- warm_up: WarmUpRoute: what cold does not have, or cannot be asked for, is read from warm, and added to cold.
local function warm_up(fields)
    local cold, warm, exptime = fields.cold, fields.warm, fields.exptime
    local FILLS = { [mcp.CMD_GET] = true, [mcp.CMD_GETS] = true, [mcp.CMD_GAT] = true, [mcp.CMD_GATS] = true }

    local function fill(key, wait)
        local res = warm(mcp.request("get " .. key .. "\r\n"))
        if rank(res) ~= 4 then
            return nil
        end
        local text = res:raw_string()
        local head, flags, length = string.match(text, "^(VALUE %S+ (%d+) (%d+)[^\r\n]*\r\n)")
        local value = string.sub(text, #head + 1, #head + tonumber(length) + 2)
        local add = mcp.request("add " .. key .. " " .. flags .. " " .. exptime .. " " .. length .. "\r\n", value)
        if wait or type(cold) ~= "userdata" then
            cold(add)
        else
            mcp.await(add, { cold }, 0, mcp.AWAIT_BACKGROUND)
        end
        return res
    end

    return function(r)
        local res = cold(r)
        local cmd = r:command()
        if rank(res) == 4 then
            return res
        end
        if cmd == mcp.CMD_MG then
            return warm(r)
        end
        if not FILLS[cmd] then
            return res
        end
        local found = fill(r:key(), cmd ~= mcp.CMD_GET)
        if cmd == mcp.CMD_GET then
            return found or res
        end
        return found and cold(r) or res
    end
end

-- shadow: the targets, pools, get every request too; nobody waits for them.
local function shadow(fields)
    local child, targets = fields.child, fields.targets
    return function(r)
        mcp.await(r, targets, 0, mcp.AWAIT_BACKGROUND)
        return child(r)
    end
end

-- by_command: OperationSelectorRoute.
local function by_command(fields)
    local routes, default = fields.routes, fields.default
    return function(r)
        local route = routes[r:command()] or default
        if not route then
            return "SERVER_ERROR no route for this command\r\n"
        end
        return route(r)
    end
end

-- by_prefix: PrefixSelectorRoute: the longest prefix wins. policies is ordered by length.
local function by_prefix(fields)
    local policies, wildcard, sub = fields.policies, fields.wildcard, string.sub
    return function(r)
        local key = r:key()
        for i = 1, #policies do
            local p = policies[i]
            if sub(key, 1, #p[1]) == p[1] then
                return p[2](r)
            end
        end
        if not wildcard then
            return "SERVER_ERROR no route for this key\r\n"
        end
        return wildcard(r)
    end
end

function mcp_config_pools()
    return {
        A = mcp.pool({
            mcp.backend{ label = "127.0.0.1:12345", host = "127.0.0.1", port = 12345, connecttimeout = 0.5, readtimeout = 0.5 },
            mcp.backend{ label = "127.0.0.1:12346", host = "127.0.0.1", port = 12346, connecttimeout = 0.5, readtimeout = 0.5 },
            mcp.backend{ label = "::1:5", host = "::1", port = 5, connecttimeout = 0.5, readtimeout = 0.5 },
        }, { name = "A", dist = mcp.dist_ch3, filter = "stop", filter_conf = "|#|" }),
        B = mcp.pool({
            mcp.backend{ label = "127.0.0.1:12345", host = "127.0.0.1", port = 12345, weight = 1, connecttimeout = 0.5, readtimeout = 0.5 },
            mcp.backend{ label = "127.0.0.1:12346", host = "127.0.0.1", port = 12346, weight = 0.5, connecttimeout = 0.5, readtimeout = 0.5 },
            mcp.backend{ label = "::1:5", host = "::1", port = 5, weight = 0, connecttimeout = 0.5, readtimeout = 0.5 },
        }, { name = "B", dist = mcp.dist_weighted_ch3, filter = "stop", filter_conf = "|#|" }),
        ["my-c"] = mcp.pool({
            mcp.backend{ address = "unix:/tmp/x.sock", connecttimeout = 1, readtimeout = 1 },
        }, { name = "my-c", dist = mcp.dist_ch3, filter = "stop", filter_conf = "|#|" }),
        ["A/1"] = mcp.pool({
            mcp.backend{ label = "127.0.0.1:12345", host = "127.0.0.1", port = 12345, connecttimeout = 0.5, readtimeout = 0.5 },
        }, { name = "A/1", dist = mcp.dist_ch3, filter = "stop", filter_conf = "|#|" }),
        ["A/2"] = mcp.pool({
            mcp.backend{ label = "127.0.0.1:12346", host = "127.0.0.1", port = 12346, connecttimeout = 0.5, readtimeout = 0.5 },
        }, { name = "A/2", dist = mcp.dist_ch3, filter = "stop", filter_conf = "|#|" }),
        ["A/3"] = mcp.pool({
            mcp.backend{ label = "::1:5", host = "::1", port = 5, connecttimeout = 0.5, readtimeout = 0.5 },
        }, { name = "A/3", dist = mcp.dist_ch3, filter = "stop", filter_conf = "|#|" }),
        ["A#2"] = mcp.pool({
            mcp.backend{ label = "127.0.0.1:12345", host = "127.0.0.1", port = 12345, connecttimeout = 0.5, readtimeout = 0.5 },
            mcp.backend{ label = "127.0.0.1:12346", host = "127.0.0.1", port = 12346, connecttimeout = 0.5, readtimeout = 0.5 },
            mcp.backend{ label = "::1:5", host = "::1", port = 5, connecttimeout = 0.5, readtimeout = 0.5 },
        }, { name = "A#2", dist = mcp.dist_crc32, salt = "x", filter = "stop", filter_conf = "|#|" }),
        shadow = mcp.pool({
            mcp.backend{ label = "127.0.0.1:1", host = "127.0.0.1", port = 1, connecttimeout = 1, readtimeout = 1 },
        }, { name = "shadow", dist = mcp.dist_ch3, filter = "stop", filter_conf = "|#|" }),
        ["my-c+shadow"] = mcp.pool({
            mcp.backend{ address = "unix:/tmp/x.sock", connecttimeout = 1, readtimeout = 1 },
            mcp.backend{ label = "127.0.0.1:1", host = "127.0.0.1", port = 1, connecttimeout = 1, readtimeout = 1 },
        }, { name = "my-c+shadow", dist = mcp.dist_ch3, salt = "s", filter = "stop", filter_conf = "|#|" }),
    }
end

function mcp_config_routes(pools)
    local routes = {}
    routes.fo = failover{ pools.A, pools.B, fails("all down") }
    routes[2] = miss_failover{ children = { pools.A, pools["my-c"] }, return_best_on_error = true }
    routes[3] = all_sync{ pools["A/1"], pools["A/2"], pools["A/3"] }
    routes[4] = all_fastest{ pools.A, pools.B, routes.fo }
    mcp.attach(mcp.CMD_ANY_STORAGE, by_prefix{
        policies = {
            { "null", neutral },
            { "abc", by_command{
                default = pools.A,
                routes = {
                    [mcp.CMD_GET] = routes[2],
                    [mcp.CMD_MG] = routes[2],
                    [mcp.CMD_SET] = routes[3],
                    [mcp.CMD_MS] = routes[3],
                    [mcp.CMD_DELETE] = routes[4],
                    [mcp.CMD_MD] = routes[4],
                },
            } },
            { "sh", shadow{ child = pools["A#2"], targets = { pools.shadow } } },
            { "a", routes.fo },
            { "w", warm_up{ cold = pools.A, warm = pools.B, exptime = 300 } },
            { "l", fails("import: LatestRoute has no equivalent") },
        },
        wildcard = pools["my-c+shadow"],
    })
end

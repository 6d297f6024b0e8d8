-- Made from prefixes.json by tidepool import. Keys go to the servers that mcrouter sends them to. To run it:
--
--   tidepool proxy --listen 127.0.0.1:5000 FILE.lua
--
-- What is not as in mcrouter:
--
--   prefixes.json:4: pool "west.a": region: the timeouts of mcrouter's command line that go by it are not known here
--   prefixes.json:16: keys that go to several routing prefixes at once (/*/*/KEY, /REGION/*/KEY) are answered with an error
--   prefixes.json:33: keep_routing_prefix of pool "kept" has no equivalent: what comes here is answered with an error

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

-- all_majority: AllMajorityRoute: the most common sort of answer wins, of equals the worse.
local function all_majority(children)
    local ask = everyone(children)
    return function(r)
        local count, one = {}, {}
        for _, res in ipairs(ask(r)) do
            local k = rank(res)
            count[k], one[k] = (count[k] or 0) + 1, res
        end
        local most
        for k = 0, 4 do
            if count[k] and (not most or count[k] > count[most]) then
                most = k
            end
        end
        return one[most]
    end
end

-- all_initial: AllInitialRoute: the first child's answer; the others are sent the request too.
local function all_initial(children)
    local pools, ask = true, everyone(children)
    for _, child in ipairs(children) do
        pools = pools and type(child) == "userdata"
    end
    return function(r)
        if pools then
            return mcp.await(r, children, 1, mcp.AWAIT_FIRST)[1]
        end
        return ask(r)[1]
    end
end

-- all_async: AllAsyncRoute: all are sent the request, nobody is waited for.
local function all_async(children)
    local pools, ask = true, everyone(children)
    for _, child in ipairs(children) do
        pools = pools and type(child) == "userdata"
    end
    return function(r)
        if pools then
            mcp.await(r, children, 0, mcp.AWAIT_BACKGROUND)
        else
            ask(r)
        end
        return neutral(r)
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

-- failover_exptime: FailoverWithExptimeRoute: what is stored or touched while normal fails expires soon, and no later than asked for.
local EXPTIME_TOKEN = {
    [mcp.CMD_SET] = 4, [mcp.CMD_ADD] = 4, [mcp.CMD_REPLACE] = 4, [mcp.CMD_CAS] = 4, [mcp.CMD_TOUCH] = 3, [mcp.CMD_GAT] = 2, [mcp.CMD_GATS] = 2,
}

local function failover_exptime(fields)
    local normal, spare, exptime = fields.normal, failover(fields.failover), fields.exptime
    local text = tostring(exptime)
    return function(r)
        local res = normal(r)
        if not failed(res) then
            return res
        end
        local cmd, asked = r:command(), nil
        local token = EXPTIME_TOKEN[cmd]
        if token then
            asked = tonumber(r:token(token))
        elseif cmd == mcp.CMD_MS or cmd == mcp.CMD_MG and r:has_flag("T") then
            local _, t = r:flag_token("T")
            asked = tonumber(t) or 0
        end
        if asked and (asked == 0 or asked > exptime) then -- 0 is never
            if token then
                r:token(token, text)
            else
                r:flag_set("T", text)
            end
        end
        return spare(r)
    end
end

-- random_child: RandomRoute.
local function random_child(children)
    return function(r)
        return children[math.random(#children)](r)
    end
end

-- logged: LoggingRoute.
local function logged(child)
    return function(r)
        local res = child(r)
        mcp.log_req(r, type(res) == "userdata" and res or nil)
        return res
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

-- by_routing_prefix: keys of the form /REGION/CLUSTER/KEY go to that route, without the prefix; those of an unknown cluster to
-- /REGION/fallback/, if there is one.
local function by_routing_prefix(fields)
    local routes, default, match, byte = fields.routes, fields.default, string.match, string.byte
    return function(r)
        local key, route = r:key(), default
        local prefix = byte(key) == 47 and match(key, "^/[^/]*/[^/]*/")
        if prefix then
            route = routes[prefix]
            if not route and not string.find(prefix, "*", 1, true) then
                route = routes[match(prefix, "^/[^/]*/") .. "fallback/"]
            end
            if #prefix >= #key then
                return "CLIENT_ERROR nothing is left of the key behind its prefix\r\n"
            end
            r:strip_prefix(#prefix)
        end
        if not route then
            return "SERVER_ERROR no route for this routing prefix\r\n"
        end
        return route(r)
    end
end

function mcp_config_pools()
    return {
        ["east.a"] = mcp.pool({
            mcp.backend{ label = "10.1.0.1:11211", host = "10.1.0.1", port = 11211, connecttimeout = 0.05, readtimeout = 0.2 },
        }, { name = "east.a", dist = mcp.dist_ch3, filter = "stop", filter_conf = "|#|" }),
        gutter = mcp.pool({
            mcp.backend{ label = "10.9.0.1:11211", host = "10.9.0.1", port = 11211, connecttimeout = 1, readtimeout = 1 },
            mcp.backend{ label = "10.9.0.2:11211", host = "10.9.0.2", port = 11211, connecttimeout = 1, readtimeout = 1 },
        }, { name = "gutter", dist = mcp.dist_ch3, filter = "stop", filter_conf = "|#|" }),
        ["west.a"] = mcp.pool({
            mcp.backend{ label = "10.2.0.1:11211", host = "10.2.0.1", port = 11211, connecttimeout = 1, readtimeout = 1 },
        }, { name = "west.a", dist = mcp.dist_ch3, filter = "stop", filter_conf = "|#|" }),
    }
end

function mcp_config_routes(pools)
    local routes = {}
    routes["with-gutter"] = failover_exptime{ normal = pools["east.a"], failover = { pools.gutter }, exptime = 10 }
    routes[2] = all_initial{ pools["west.a"], pools["east.a"] }
    routes[3] = all_majority{ pools["west.a"], pools["east.a"], routes["with-gutter"] }
    routes[4] = random_child{ pools["west.a"], pools["east.a"] }
    mcp.attach(mcp.CMD_ANY_STORAGE, by_routing_prefix{
        routes = {
            ["/east/a/"] = routes["with-gutter"],
            ["/east/main/"] = routes["with-gutter"],
            ["/west/a/"] = by_command{
                default = pools["west.a"],
                routes = {
                    [mcp.CMD_DELETE] = routes[2],
                    [mcp.CMD_MD] = routes[2],
                    [mcp.CMD_SET] = routes[3],
                    [mcp.CMD_MS] = routes[3],
                    [mcp.CMD_ADD] = all_async{ pools["west.a"] },
                    [mcp.CMD_INCR] = routes[4],
                    [mcp.CMD_MA] = routes[4],
                    [mcp.CMD_TOUCH] = logged(pools["west.a"]),
                    [mcp.CMD_CAS] = neutral,
                },
            },
            ["/kept/a/"] = fails("import: keep_routing_prefix of pool \"kept\" has no equivalent"),
        },
        default = routes["with-gutter"],
    })
end

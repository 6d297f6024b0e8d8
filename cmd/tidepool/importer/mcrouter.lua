-- The helpers of files that tidepool import makes from mcrouter's configurations. A file gets the sections that it uses: a
-- section begins with its name and the names of those that it needs.

--@ ok
-- ok: an answer that is no error. Routes may answer with text.
local function ok(res)
    if type(res) == "string" then
        return string.find(res, "ERROR", 1, true) == nil
    end
    return res:ok()
end

--@ rank ok
-- rank: 4 is a hit or a success, 3 a miss, not stored or not found, less an error.
local function rank(res)
    if type(res) == "string" then
        return ok(res) and 3 or 2
    end
    return res:rank()
end

--@ fails
-- fails: ErrorRoute.
local function fails(message)
    local line = "SERVER_ERROR " .. message .. "\r\n"
    return function()
        return line
    end
end

--@ neutral
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

--@ everyone
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

--@ all_sync everyone rank
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

--@ all_majority everyone rank
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

--@ all_fastest everyone rank ok
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

--@ all_initial everyone
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

--@ all_async everyone neutral
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

--@ failed
-- failed: the server failed, so that the next one is asked. A CLIENT_ERROR is its answer: mcrouter gives that to the client.
local function failed(res)
    if type(res) == "string" then
        return string.sub(res, 1, 12) == "SERVER_ERROR"
    end
    return not res:ok() and res:code() ~= mcp.MCMC_CODE_CLIENT_ERROR
end

--@ failover failed
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

--@ failover_exptime failover failed
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

--@ miss_failover rank
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

--@ warm_up rank
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

--@ random_child
-- random_child: RandomRoute.
local function random_child(children)
    return function(r)
        return children[math.random(#children)](r)
    end
end

--@ shadow
-- shadow: the targets, pools, get every request too; nobody waits for them.
local function shadow(fields)
    local child, targets = fields.child, fields.targets
    return function(r)
        mcp.await(r, targets, 0, mcp.AWAIT_BACKGROUND)
        return child(r)
    end
end

--@ logged
-- logged: LoggingRoute.
local function logged(child)
    return function(r)
        local res = child(r)
        mcp.log_req(r, type(res) == "userdata" and res or nil)
        return res
    end
end

--@ by_command
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

--@ by_prefix
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

--@ by_routing_prefix
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


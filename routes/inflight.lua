-- inflight: at most so many requests at once, in the whole proxy, and turns between client connections for the rest.
--
-- Up to `max` requests are with the child; the others wait, each client connection's in its own order, and whenever one comes back the next
-- connection's oldest goes. So a client that pipelines thousands is served like one that asks for one thing at a time. Of one connection at most
-- per_client are with the child, and the others' pass it meanwhile. When `queue` requests wait, the next is answered at once with SERVER_ERROR too
-- many requests in flight; one that has waited for `wait` seconds, with SERVER_ERROR waited too long for its turn. A request counts until its
-- answer is there, whatever command it is; what the child still does after that does not count.
--
-- max = "auto" finds the number. It begins with 16. As long as all places are taken, it becomes larger by one with every so many answers as it is.
-- When an answer takes twice the least latency of the last 10 to 20 seconds, and a millisecond, it becomes smaller by a tenth, once in as many
-- answers. It stays from 1 to 1024. So a fast child is given more, and one at which a queue grows less. With a reload all begins anew, beside
-- what is still under way. NAME_refused counts what was answered with an error.

local handler = require "routes.handler"

local MISS = 3 -- res:rank(); less is an error
local BEGIN, MOST = 16, 1024 -- of max = "auto"
local PERIOD = 10 * 1000000 -- microseconds; the least latency of this period and the last counts

local FULL = "SERVER_ERROR too many requests in flight\r\n"
local LATE = "SERVER_ERROR waited too long for its turn\r\n"

-- adapter gives a function of the latency in microseconds of each answer, which changes the turnstile's max.
local function adapter(turnstile)
    local before, least, began = math.huge, math.huge, mcp.time_mono_micros()
    local since, max = 0, BEGIN -- answers since max became smaller

    return function(now, latency)
        if now - began > PERIOD then
            before, least, began = least, math.huge, now
        end
        least, since = math.min(least, latency), since + 1
        if latency > 2 * math.min(before, least) + 1000 then
            if since >= max then
                max, since = turnstile:adapt(0.9, 0), 0
            end
            return
        end
        if turnstile:inside() >= math.floor(max) then
            max = turnstile:adapt(1, 1 / max)
        end
    end
end

return handler.define{
    name = "inflight",
    doc = "Lets at most so many requests at once through to its child, client connections in turns.",
    fields = {
        { "child", "child", required = true, doc = "where requests go" },
        { "max", "any", required = true, doc = "requests at once, in all workers together, or \"auto\"", check = function(v)
            if v ~= "auto" and not (type(v) == "number" and v >= 1 and v == math.floor(v)) then
                return "want a whole number from 1 on, or \"auto\", got " .. tostring(v)
            end
        end },
        { "queue", "integer", default = 1000, min = 0, doc = "requests that may wait for their turn" },
        { "wait", "seconds", default = 1, doc = "how long one may" },
        { "per_client", "integer", min = 1, doc = "requests of one client connection at once; all without it" },
        { "name", "string", doc = "what the counter's name begins with; otherwise that of the route" },
    },
    example = [[route_inflight{ child = "a", max = 100, per_client = 10 }]],
    make = function(f)
        local auto = f.max == "auto"
        local turnstile = mcp.turnstile{
            max = auto and BEGIN or f.max, most = auto and MOST or nil, queue = f.queue, per_client = f.per_client,
        }
        local refused = mcp.counter((f.name or handler.label(f)) .. "_refused")
        local adapt, clock, wait = auto and adapter(turnstile), mcp.time_mono_micros, f.wait

        return handler.route(f, function(rctx, h)
            return function(r)
                local inside, why = turnstile:enter(wait)
                if not inside then
                    refused:add(1)
                    return why == "full" and FULL or LATE
                elseif not adapt then
                    return rctx:enqueue_and_wait(r, h.child)
                end
                local began = clock()
                local res = rctx:enqueue_and_wait(r, h.child)
                local now = clock()
                if res:rank() >= MISS then
                    adapt(now, now - began)
                end
                return res
            end
        end)
    end,
}

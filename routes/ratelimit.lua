-- ratelimit: so many requests a second, and the rest elsewhere or nowhere.
--
-- A token bucket holds `limit` tokens at first, gets fillrate every tickrate milliseconds, and never holds more than limit. A request takes one, if
-- more than one is there, and goes to the child. Without one it goes to the fallback; without a fallback it is answered as if there were nothing:
-- a miss, NOT_STORED, NOT_FOUND. Reads, writes and deletes are counted alike: a delete that must not be lost had better not pass here.
--
-- Each worker has a bucket of its own; with global = true it is one for all. With fail_until_limit it is the other way round: the requests that get
-- a token are answered as if there were nothing, and the rest go to the child. NAME_limited counts what did not go to the child.

local answers = require "routes.answers"
local handler = require "routes.handler"

local FIELDS = {
    { "child", "child", required = true, doc = "where requests go that may" },
    { "limit", "integer", required = true, min = 1, max = 4294967294, doc = "tokens at most, of which one stays: how many may come at once" },
    { "fillrate", "integer", required = true, min = 1, max = 4294967294, doc = "tokens that are added each tick" },
    { "tickrate", "integer", default = 1000, min = 1, max = 4294967294, doc = "milliseconds of a tick" },
    { "global", "boolean", default = false, doc = "one bucket for all workers, instead of one for each" },
    { "fallback", "child", doc = "where the rest goes; without it the answer is that there is nothing" },
    { "fail_until_limit", "boolean", default = false, doc = "turn it round: what has a token is refused" },
    { "name", "string", doc = "what the counter's name begins with; otherwise that of the route" },
}

local function make(f)
    local bucket = mcp.ratelim_tbf{ limit = f.limit, fillrate = f.fillrate, tickrate = f.tickrate, shared = f.global }
    local limited = mcp.counter((f.name or handler.label(f)) .. "_limited")
    local round = f.fail_until_limit

    return handler.route(f, function(rctx, h)
        local nothing = answers.nothing(rctx)
        return function(r)
            if bucket(1) ~= round then
                return rctx:enqueue_and_wait(r, h.child)
            end
            limited:add(1)
            if h.fallback then
                return rctx:enqueue_and_wait(r, h.fallback)
            end
            return nothing(r)
        end
    end, { objects = 1 })
end

local ratelimit = handler.define{
    name = "ratelimit",
    doc = "Lets so many requests a second through to its child.",
    fields = FIELDS,
    example = [[route_ratelimit{ child = "a", limit = 1000, fillrate = 100, tickrate = 1000 }]],
    make = make,
}

-- also makes the same handler of another name.
function ratelimit.also(name, doc, example)
    return handler.define{ name = name, doc = doc, fields = FIELDS, example = example, make = make }
end

return ratelimit

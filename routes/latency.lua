-- latency: the child, but slower, or with faults. For tests of what is above it.
--
-- A share of the requests is held up before it is sent on, and its answer after it has come. fault = "refuse" answers that share with an
-- error, and the child is not asked; fault = "lose" asks the child, and answers with an error all the same: a write is done then,
-- and its client does not know. Reads, writes and deletes alike; the other requests go through as they are.

local handler = require "routes.handler"
local answers = require "routes.answers"

return handler.define{
    name = "latency",
    doc = "Delays requests, or has them fail.",
    fields = {
        { "child", "child", required = true, doc = "where requests go" },
        { "before", "seconds", default = 0, doc = "delay of a request" },
        { "after", "seconds", default = 0, doc = "delay of its answer" },
        { "jitter", "seconds", default = 0, doc = "up to so much more of each delay, by chance" },
        { "fault", "enum", values = { "none", "refuse", "lose" }, default = "none", doc = "what else is done to a request" },
        { "share", "number", default = 1, min = 0, max = 1, doc = "which part of the requests this happens to, by chance" },
        { "message", "string", default = "injected fault", check = answers.unfit, doc = "the error's text" },
    },
    example = [[route_latency{ child = "a", before = 0.1, share = 0.01 }]],
    make = function(f)
        local random = math.random
        local before, after, jitter, share = f.before, f.after, f.jitter, f.share
        local refuse, lose = f.fault == "refuse", f.fault == "lose"
        return handler.route(f, function(rctx, h)
            local child = h.child
            local fault = answers.error(rctx, f.message)

            local function pause(seconds)
                if jitter > 0 then
                    seconds = seconds + jitter * random()
                end
                if seconds > 0 then
                    rctx:sleep(seconds)
                end
            end

            return function(r)
                if share < 1 and random() >= share then
                    return rctx:enqueue_and_wait(r, child)
                end
                pause(before)
                if refuse then
                    return fault()
                end
                local res = rctx:enqueue_and_wait(r, child)
                pause(after)
                return lose and fault() or res
            end
        end, { objects = 1 })
    end,
}

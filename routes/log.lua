-- log: the child's answer as it is, and a line in the log of the request, the answer and how long it took.
--
-- Who reads it: clients that watch proxyreqs, and, some lines a second, the process's log. When neither listens it costs next to
-- nothing. Without deadline, rate and errors every request is logged; with some of them those that took longer, one in so many by
-- chance, and those that failed. An answer in place of which there is a timeout counts as failed.

local handler = require "routes.handler"

return handler.define{
    name = "log",
    doc = "Logs requests and their answers.",
    fields = {
        { "child", "child", required = true, doc = "where requests go" },
        { "tag", "string", default = "", doc = "a word to find the lines by" },
        { "deadline", "seconds", above = 0, doc = "logs what took longer" },
        { "rate", "integer", min = 1, doc = "logs one request in so many, by chance" },
        { "errors", "boolean", default = false, doc = "logs what failed" },
    },
    example = [[route_log{ child = "a", tag = "slow", deadline = 0.1, errors = true }]],
    make = function(f)
        local tag, rate, errors = f.tag, f.rate or 0, f.errors
        local all = f.deadline == nil and f.rate == nil and not errors
        local millis = f.deadline and math.ceil(f.deadline * 1000) or 0
        return handler.route(f, function(rctx, h)
            local child = h.child
            return function(r)
                local res = rctx:enqueue_and_wait(r, child)
                if all then
                    mcp.log_req(r, res, tag, rctx:cfd())
                else
                    mcp.log_reqsample(millis, rate, errors, r, res, tag, rctx:cfd())
                end
                return res
            end
        end)
    end,
}

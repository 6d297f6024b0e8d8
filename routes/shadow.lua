-- shadow: a copy of a share of the requests goes to another place as well: a new pool under real load, or a new version of what is behind it.
--
-- The answer is the child's, always, and nobody waits for the shadow: it is sent a request of its own, after the child's, and its answer is dropped
-- when it comes. While more than `outstanding` copies are unanswered (in each worker) no more are made, so that a shadow that hangs costs
-- nothing. fraction is by chance, key_fraction by key: it is always the same keys' requests that are copied, so that the shadow sees all of
-- what happens to them. With both, a request of such a key is copied by chance.
--
-- Whatever the command is, it is copied: so does the shadow's content follow. With compare, the shadow's answer to a copy is held beside the
-- child's: code, value and client flags, not CAS numbers. NAME_same and NAME_different count that; what differs is logged as a request is by
-- mcp.log_req (with the detail "shadow differs"), ten a second at most. NAME_copied and NAME_failed count copies, and those that an error or a
-- timeout was the answer to; NAME_skipped what was not copied because too much was outstanding.

local handler = require "routes.handler"

local MISS = 3 -- res:rank() of a miss; less is an error

-- samples lets ten a second through.
local function samples()
    local bucket = mcp.ratelim_tbf{ limit = 11, fillrate = 1, tickrate = 100 }
    return function() return bucket(1) end
end

return handler.define{
    name = "shadow",
    doc = "Copies a share of the requests to another place, and answers what the child answers.",
    fields = {
        { "child", "child", required = true, doc = "who answers" },
        { "shadow", "child", required = true, doc = "who is sent copies" },
        { "fraction", "number", default = 1, min = 0, max = 1, doc = "the share of requests that are copied, by chance" },
        { "key_fraction", "number", default = 1, min = 0, max = 1, doc = "the share of keys of which requests are copied, always the same" },
        { "compare", "boolean", default = false, doc = "count and log answers that differ" },
        { "outstanding", "integer", default = 1000, min = 1, doc = "most copies that are unanswered, in each worker" },
        { "name", "string", doc = "what the counters' names begin with; otherwise that of the route" },
    },
    example = [[route_shadow{ child = "a", shadow = "b", fraction = 0.1 }]],
    make = function(f)
        local name = f.name or handler.label(f)
        local function counter(what)
            return mcp.counter(name .. what)
        end
        local copied, failed, skipped = counter("_copied"), counter("_failed"), counter("_skipped")
        local same, different = f.compare and counter("_same"), f.compare and counter("_different")
        local fraction, most, meter, sample = f.fraction, f.outstanding, mcp.meter(), samples()
        local place
        if f.key_fraction > 0 and f.key_fraction < 1 then
            place = mcp.sharder_new({ "in", "out" }, { dist = "rendezvous", weights = { f.key_fraction, 1 - f.key_fraction } })
        end

        local function wanted(r)
            if math.random() >= fraction or place and place(r) ~= 1 then
                return false
            elseif meter:open() >= most then
                skipped:add(1)
                return false
            end
            return true
        end
        local never = f.key_fraction == 0

        return handler.route(f, function(rctx, h)
            local copy = rctx:request_new()
            rctx:measure(h.shadow, meter)
            local mine, other -- what the answers to the present request say

            local function hold_beside(r, res)
                if mine == other then
                    same:add(1)
                    return
                end
                different:add(1)
                if sample() then
                    mcp.log_req(r, res, "shadow differs")
                end
            end
            rctx:handle_set_cb(h.shadow, function(res, r)
                if res:rank() < MISS then
                    failed:add(1)
                end
                if f.compare then
                    other = res:digest()
                    if mine then
                        hold_beside(r, res)
                    end
                end
            end)

            return function(r)
                mine, other = nil, nil
                if never or not wanted(r) or not copy:copy(r) then
                    return rctx:enqueue_and_wait(r, h.child)
                end
                copied:add(1)
                rctx:enqueue(r, h.child)
                rctx:enqueue(copy, h.shadow)
                local res = rctx:wait_handle(h.child)
                if f.compare then
                    mine = res:digest()
                    if other then
                        hold_beside(copy, rctx:res_any(h.shadow))
                    end
                end
                return res
            end
        end, { objects = 1 })
    end,
}

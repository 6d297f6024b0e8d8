-- gutter: a spare pool that stands in for what fails, with items of a short life.
--
--   route_gutter{ child = "main", gutter = "spare", ttl = 60 }
--
-- Every request goes to the child first, so that a child that is well again is noticed by the next request. Its answer is given, a miss too,
-- unless it is an error, a timeout, or could not be sent (CLIENT_ERROR is the client's and is an answer). Then the gutter is asked, with every TTL
-- that the request sets at most ttl: a set without one lives ttl seconds there. The better of the two answers is given.
--
-- Deletes never get a TTL. One that the child fails to do is sent to the gutter too, and answered with the child's error: whatever the gutter
-- says, the child may serve the item again when it is back. (One that the gutter alone fails to do is confirmed: what is left there lives for ttl
-- seconds at most.)
--
-- Until ttl seconds have passed since this proxy last wrote to the gutter, something may be left there: deletes go to both at once then, and an item
-- that the child has stored or changed is deleted from the gutter after the answer. Later nothing is sent to the gutter while the child is well.
-- That time is noted in a store of the proxy's own, for all its workers and over reloads. Routes of one name have one time, the longest that any
-- of them has noted. Several proxies that share a gutter do not know of each other's writes: with deletes = "both" deletes always go to both.
--
-- What was set in the gutter is not carried to the child. A child that is slow, not down, costs each request its timeout before the gutter is asked:
-- a shorter read timeout or route_inflight in front of it bounds that.

local handler = require "routes.handler"
local compare = require "routes.compare"
local commands = require "routes.commands"
local requests = require "routes.requests"

local TRIES = 8 -- the last of so many workers that note something at the same moment has looked after the others
local CHANGES = { store = true, modify = true, touch = true }

return handler.define{
    name = "gutter",
    doc = "Sends to its child; on an error to the gutter, where items live only for a short time.",
    fields = {
        { "child", "child", required = true, doc = "where requests go" },
        { "gutter", "child", required = true, doc = "where they go when the child fails" },
        { "ttl", "integer", default = 60, min = 1, max = 86400, doc = "seconds that an item lives in the gutter at most" },
        { "deletes", "enum", values = { "recent", "both" }, default = "recent",
            doc = "\"recent\": deletes go to the gutter too when it may hold something of this proxy; \"both\": always" },
        { "stats", "boolean", default = false, doc = "whether requests that the gutter was asked are counted, as NAME_gutter" },
        { "stats_name", "string", doc = "NAME; else the prefix that is routed" },
    },
    example = [[route_gutter{ child = "a", gutter = "b", ttl = 60 }]],
    make = function(f)
        local ttl, always = f.ttl, f.deletes == "both"
        local failed, best = compare.failed, compare.best
        local used = f.stats and mcp.counter((f.stats_name or handler.label(f)) .. "_gutter")
        local store = mcp.store{ name = "tidepool:gutter", memory = 2097152 } -- one for all
        local mark, life = handler.label(f), ttl + 2
        local left = mcp.res_inspector_new({ t = "flagint", flag = "t" }, { t = "flagtoken", flag = "c" })

        return handler.route(f, function(rctx, h)
            local ask, note = mcp.request("mg " .. mark .. " t c\r\n"), "ms " .. mark .. " 0 T" .. life

            -- recent is whether something may be left in the gutter; a store that cannot tell says so too.
            local function recent()
                return always or not compare.missed(store(ask))
            end

            -- written notes that something is about to be, if no longer time is noted: by a route with a longer ttl, or before a reload.
            local function written()
                for _ = 1, TRIES do
                    local _, t, _, cas = left(store(ask))
                    if t and t >= life then
                        return
                    end
                    store(mcp.request(note .. (cas and " C" .. cas or " ME") .. "\r\n", "\r\n"))
                end
            end

            local function delete(r)
                local there = requests.everywhere(r)
                if recent() then
                    rctx:enqueue(r, h.child)
                    rctx:enqueue(there, h.gutter)
                    rctx:wait_cond(2)
                    local res = rctx:res_any(h.child)
                    return failed(res) and res or best{ res, rctx:res_any(h.gutter) }
                end
                local res = rctx:enqueue_and_wait(r, h.child)
                if failed(res) then
                    rctx:enqueue_and_wait(there, h.gutter)
                end
                return res
            end

            return function(r)
                local class = commands.class(r)
                if class == "delete" then
                    return delete(r)
                end
                local res = rctx:enqueue_and_wait(r, h.child)
                if not failed(res) then
                    if CHANGES[class] and res:rank() == compare.SUCCESS and recent() then
                        local old = requests.delete(r)
                        rctx:enqueue(old, h.gutter)
                        rctx:wait_cond(0)
                    end
                    return res
                end
                local short = requests.capped(r, ttl)
                if not short then
                    return res -- an item without a bound on its life must not get there
                end
                if used then
                    used:add(1)
                end
                if CHANGES[class] then
                    written()
                end
                return best{ res, rctx:enqueue_and_wait(short, h.gutter) }
            end
        end)
    end,
}

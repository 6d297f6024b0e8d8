-- tier: a small near pool in front of a large one. What l1 holds is at most ttl seconds old.
--
--   route_tier{ l1 = "near", l2 = "main", ttl = 60, negative = 5 }
--
-- A plain read (get, mg that changes nothing and asks for no CAS value) goes to l1. A hit is the answer. A miss goes to l2; a hit of l2 is the
-- answer and is added to l1 with its flags and with what remains of its TTL, at most ttl, unless it is marked stale or being filled. An l1 that
-- fails is passed over, and not filled. The best of both answers is given: when l2 fails too, the miss of l1, or the error. With negative, a miss of
-- l2 is kept in l1 for so many seconds, as an item that only this handler takes for a miss: l1 must not be read past it.
--
-- Of reads of one key that miss l1 together, one fills it, and none when l2 has answered a write or delete of the key since the read was sent
-- there: what this proxy has answered is not undone in l1, nor by reads that began before a reload.
--
-- A plain set goes to l2 first, and when that has it, to l1 with its TTL at most ttl; if l2 fails other than by not being reached, l1 is sent a
-- delete. Deletes go to l2, then to l1, and are answered with the error if one fails. Everything else (read-modify-write, touch, gat, CAS values)
-- is l2's; when l2 has done it, or may have (a timeout, an error of ms), l1 is sent a delete. The answer waits for l1, but is l2's; what
-- l1 failed to be told is counted (NAME_stale) and can be served from there for ttl seconds at most. So can what a read took from l2 just before
-- another proxy wrote or deleted it there, a miss for negative seconds; and before this one did, if l1's delete overtakes the earlier fill by
-- another connection.
--
-- Only the filling of l1 goes on after the answer.

local handler = require "routes.handler"
local compare = require "routes.compare"
local commands = require "routes.commands"
local copies = require "routes.copies"
local requests = require "routes.requests"

local made = 0 -- tiers in this worker
local NONE, FLAGS = "tidepool:none", "3735928559" -- value and flags of what is kept of a miss

return handler.define{
    name = "tier",
    doc = "Reads l1, and on a miss l2, and fills l1 with what it found.",
    fields = {
        { "l1", "child", required = true, doc = "the near pool" },
        { "l2", "child", required = true, doc = "the pool that has everything" },
        { "ttl", "integer", default = 60, min = 1, max = requests.MONTH, doc = "seconds that an item stays in l1 at most" },
        { "negative", "integer", default = 0, min = 0, max = requests.MONTH, doc = "seconds that a miss of l2 is kept in l1; 0: not at all" },
        { "name", "string", doc = "NAME of the counter; else the prefix that is routed" },
    },
    example = [[route_tier{ l1 = "a", l2 = "b", ttl = 60, negative = 5 }]],
    make = function(f)
        local ttl, negative = f.ttl, f.negative
        local failed, missed = compare.failed, compare.missed
        local SUCCESS = compare.SUCCESS
        local c = copies.new()
        made = made + 1 -- names are for reloads: who still reads by the old configuration is to hear of what is written by the new one
        local gate = mcp.gate{ name = "tidepool:tier:" .. made } -- who leads a key there is to fill it; who has written it opens it: nobody leads
        local turn = mcp.gate{ name = "tidepool:turn:" .. made } -- who leads a key there sends its fill, which nobody is to decide and send too late
        local changed = requests.changer()
        local flags = mcp.res_inspector_new({ t = "flagis", flag = "f", str = FLAGS })
        local stale = mcp.counter((f.name or handler.label(f)) .. "_stale")

        -- none is whether an answer of l1 is a miss of l2's that was kept.
        local function none(res)
            local _, is = flags(res)
            return is and string.sub(res:raw_string(), -#NONE - 4) == "\r\n" .. NONE .. "\r\n"
        end

        return handler.route(f, function(rctx, h)
            local new = rctx:response_new()

            -- tell has l1 do what follows from an answer of l2 to r, and waits.
            local function tell(r, what)
                gate(r) -- what has been read there is older than this
                repeat
                    local mine = rctx:lead(turn, r)
                until mine
                rctx:unlead(turn, r)
                local res = rctx:enqueue_and_wait(what, h.told)
                if failed(res) then
                    stale:add(1)
                end
                return res
            end

            local function fill(r, add)
                if add and rctx:lead(turn, r, 0) then
                    if rctx:unlead(gate, r) then
                        rctx:enqueue(add, h.told)
                        rctx:wait_cond(0)
                    end
                end -- it leads until it has answered, which is now
            end

            local function read(r)
                local full = negative > 0 and c.read(r)
                local one = rctx:enqueue_and_wait(full or r, h.l1)
                if one:rank() == SUCCESS then
                    if not full then
                        return one
                    elseif none(one) then
                        return c.miss(new, r)
                    end
                    return c.answer(new, r, one)
                end
                full = full or c.read(r)
                local leads = full and missed(one) and rctx:lead(gate, r, 0)
                local two = rctx:enqueue_and_wait(full or r, h.l2)
                if leads then
                    if two:rank() == SUCCESS then
                        fill(r, c.add(r, two, ttl))
                    elseif negative > 0 and missed(two) then
                        local line = "ms " .. r:key() .. " " .. #NONE .. " T" .. negative .. " F" .. FLAGS .. " ME"
                        fill(r, requests.line(r:has_flag("b") and line .. " b" or line, NONE .. "\r\n"))
                    end
                end
                local best = compare.best{ two, one }
                return full and c.answer(new, r, best) or best
            end

            local function delete(r)
                local two = rctx:enqueue_and_wait(r, h.l2)
                if r:has_flag("C") and not changed(r, two) then
                    return two
                end
                return compare.both{ two, tell(r, requests.everywhere(r)) }
            end

            return function(r)
                if r:pure() then
                    return read(r)
                end
                local class = commands.class(r)
                if class == "delete" then
                    return delete(r)
                end
                local two = rctx:enqueue_and_wait(r, h.l2)
                if class == "store" and two:rank() == SUCCESS then
                    tell(r, requests.capped(r, ttl) or requests.delete(r))
                elseif class == "store" and two:rank() ~= compare.UNSENT
                    or (class == "modify" or class == "touch") and changed(r, two) then
                    tell(r, requests.delete(r))
                end
                return two
            end
        end, { objects = 1, more = { told = f.l1 } })
    end,
}

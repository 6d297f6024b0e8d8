-- lease: of many clients that miss one key, one is told to fill it, and the others wait for that, or get the old value.
--
-- The lease is the meta protocol's own, and lies in the child: a miss leaves an empty item there for ttl seconds, so that it holds for all
-- proxies and together with meta clients that use it themselves (mg with N or R: those requests go to the child as they are, and W, Z and
-- X come back).
--
-- Plain clients, and mg without N and R: the first to miss a key gets the miss, and is expected to set the key. The others wait until it is
-- set or deleted through this proxy, by whichever worker, and look now and then whether another proxy has set it; after `wait` seconds they
-- get a miss. If who was told dies, the next reader after ttl seconds is told.
--
-- With stale, deletes (delete, md without I, x, C and T) only mark the item, for so many seconds: the first to read it then gets a miss, the
-- others get the old value until it is set.
--
-- hit: as the child answers. error, timeout: as the child answers, at once.
-- set, delete: to the child; then those who wait look again. add finds an item that is being filled, or that is stale, missing. Commands
-- that change what is there (append, prepend, incr, decr, replace, touch) first ask whether it is such an item, which costs a request; gat
-- and mg with T read first, then touch. Nothing goes on after the answer.
--
-- counters: lease_told (misses that were given out), lease_waited, lease_spared (of those that waited, those that got a value), lease_stale

local handler = require "routes.handler"
local commands = require "routes.commands"
local placeholder = require "routes.placeholder"

-- SLICES are the parts of the time that a request waits after which it looks again.
local SLICES = { 0.02, 0.08, 0.15, 0.25, 0.5 }

local told, waited = mcp.counter("lease_told"), mcp.counter("lease_waited")
local spared, old = mcp.counter("lease_spared"), mcp.counter("lease_stale")

-- MONTH is the longest TTL in seconds: a larger one is a time since 1970, which has passed.
local MONTH = 30 * 86400

-- mark are what md says itself of how it is to delete.
local MARKS = { "I", "x", "C", "T" }

local function make(f)
    local gate, holder = mcp.gate(), placeholder.new()
    local gen = mcp.funcgen_new()
    local h = {}
    for i = 1, #SLICES + 2 do
        h[i] = gen:new_handle(f.child)
    end
    local asked = mcp.req_mutator_new(
        { t = "cmdset", cmd = "mg" }, { t = "keycopy", idx = 1 }, { t = "flagset", flag = "v" }, { t = "flagset", flag = "f" },
        { t = "flagset", flag = "c" }, { t = "flagset", flag = "N", val = f.ttl })
    -- soft makes a delete one that leaves the item to be read for a while. Arguments: request, TTL.
    local soft = mcp.req_mutator_new(
        { t = "cmdset", cmd = "md" }, { t = "keycopy", idx = 1 }, { t = "flagset", flag = "I" }, { t = "flagcopy", flag = "T", idx = 2 })
    local ttl, wait, stale = tostring(f.ttl), f.wait, f.stale and tostring(f.stale)

    gen:ready{ n = "lease", u = placeholder.OBJECTS + 1, f = function(rctx)
        local own = rctx:request_new()
        local writer = holder.writer(rctx, h)

        -- read asks until there is a value, or the client is to fill it, or it has waited long enough. It gives the answer, and whether it is a
        -- fresh value.
        local function read(r)
            local meta, sized = r:command() == mcp.CMD_MG, false
            if meta then
                own:copy(r) -- r is for others as it is
                own:flag_replace("T", "N", ttl)
                sized = not r:has_flag("v") and own:flag_add("s")
            else
                asked(own, r)
            end
            for i = 1, #SLICES + 1 do
                local res = rctx:enqueue_and_wait(own, h[i])
                if res:rank() < 4 then
                    return meta and res or rctx:answer(r, res), false
                end
                local x, won, sent, _, size = holder.marks(res)
                if won then
                    told:add(1)
                    return rctx:answer(r, false), false
                elseif not sent or (size or res:vlen()) > 0 then
                    if i > 1 then
                        spared:add(1)
                    end
                    if x then
                        old:add(1)
                    end
                    if not meta then
                        return rctx:answer(r, res), not x
                    end
                    res:flag_blank("X")
                    res:flag_blank("Z")
                    if sized then
                        res:flag_blank("s")
                    end
                    return res, not x
                end
                if i == 1 then
                    waited:add(1)
                end
                if wait == 0 then
                    break
                elseif i <= #SLICES then
                    rctx:wait_gate(gate, r, SLICES[i] * wait)
                end
            end
            return rctx:answer(r, false), false
        end

        -- touch reads, and touches what it has read if that is a value.
        local function touch(r)
            local res, fresh = read(r)
            if not fresh then
                return res
            end
            return rctx:enqueue_and_wait(r, h[#h])
        end

        local function delete(r)
            if not stale then
                return rctx:enqueue_and_wait(r, h[1])
            elseif r:command() == mcp.CMD_DELETE then
                soft(own, r, stale)
                return rctx:answer(r, rctx:enqueue_and_wait(own, h[1]))
            end
            for _, flag in ipairs(MARKS) do
                if r:has_flag(flag) then
                    return rctx:enqueue_and_wait(r, h[1])
                end
            end
            own:copy(r)
            own:flag_add("I")
            own:flag_add("T", stale)
            return rctx:enqueue_and_wait(own, h[1])
        end

        return function(r)
            local class = commands.class(r)
            if class == "read" and r:command() ~= mcp.CMD_ME then
                return (read(r))
            elseif class == "touch" and r:command() ~= mcp.CMD_TOUCH then
                return touch(r)
            end
            local res
            if class == "delete" then
                res = delete(r)
            elseif class == "touch" or class == "modify" and r:command() ~= mcp.CMD_MG then
                res = writer(r, class)
            else
                res = rctx:enqueue_and_wait(r, h[1])
                if class ~= "store" then
                    return res
                end
            end
            gate(r)
            return res
        end
    end }
    return gen
end

return handler.define{
    name = "lease",
    doc = "Lets one of the clients that miss a key fill it, and has the others wait for it or gives them the old value.",
    fields = {
        { "child", "child", required = true, doc = "where requests go; it must know the meta protocol" },
        { "ttl", "integer", min = 1, max = MONTH, default = 10, doc = "seconds for which nobody else is told to fill the key" },
        { "wait", "seconds", default = 1, doc = "how long plain clients wait for who fills it" },
        { "stale", "integer", min = 1, max = MONTH,
            doc = "seconds for which a deleted value is given to those who are not told to fill it; none: it is not" },
    },
    example = [[route_lease{ child = "a", ttl = 10, stale = 30 }]],
    make = make,
}

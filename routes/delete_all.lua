-- delete_all: deletes go to every pool listed, so that no zone keeps serving what one has deleted.
--
--   route_delete_all{ child = "here", everywhere = { "west", "east" } }
--
-- Everything goes to the child, and its answer is given, whatever it is. A delete (delete, md) goes to all of everywhere at the same time; one
-- with a CAS value to compare goes to them without it, and only after the child has done it. With sets = true plain sets go everywhere too, and a
-- read-modify-write (add, cas, append, incr, touch ...) that the child has done, or may have done before a timeout, is followed by deletes
-- everywhere. Reads are the child's alone.
--
-- The answer does not wait for the other pools, which go on, unless wait = true: then all are waited for, and a delete (with sets, a set) that one
-- of them failed to do is answered with the worst error, so that the client knows that the item may still be served there. Failures of the other
-- pools are counted (NAME_undone). A pool that is in both child and everywhere is sent the delete twice.

local handler = require "routes.handler"
local compare = require "routes.compare"
local commands = require "routes.commands"
local requests = require "routes.requests"

return handler.define{
    name = "delete_all",
    doc = "Sends to its child, and deletes to every pool listed too.",
    fields = {
        { "child", "child", required = true, doc = "where everything goes, and whose answer is given" },
        { "everywhere", "children", required = true, map = true, doc = "the other pools that deletes go to" },
        { "sets", "boolean", default = false, doc = "whether plain sets go there too, and deletes after what changes an item in place" },
        { "wait", "boolean", default = false, doc = "whether all are waited for, and a failure of any is the answer" },
        { "name", "string", doc = "NAME of the counter; else the prefix that is routed" },
    },
    example = [[route_delete_all{ child = "a", everywhere = { "b", "c" } }]],
    make = function(f)
        local names = handler.sorted(f.everywhere)
        local sets, wait = f.sets, f.wait
        local failed = compare.failed
        local changed = requests.changer()
        local undone = mcp.counter((f.name or handler.label(f)) .. "_undone")

        local function told(res)
            if failed(res) then
                undone:add(1)
            end
        end

        return handler.route(f, function(rctx, h)
            local others = {}
            for i, name in ipairs(names) do
                others[i] = h.everywhere[name]
                rctx:handle_set_cb(others[i], told)
            end

            -- finish sends what is enqueued, and gives the child's answer, or with wait the worst failure.
            local function finish()
                if not wait then
                    return (rctx:wait_handle(h.child))
                end
                rctx:wait_cond(#others + 1)
                local res, worst = rctx:res_any(h.child), rctx:worst_result(others)
                return res:rank() >= compare.MISS and worst:rank() < compare.MISS and worst or res
            end

            return function(r)
                local class = commands.class(r)
                local guarded = r:has_flag("C")
                if class == "delete" and not guarded or sets and class == "store" then
                    rctx:enqueue(r, h.child)
                    rctx:enqueue(r, others)
                    return finish()
                end
                local res = rctx:enqueue_and_wait(r, h.child)
                if (guarded and class == "delete" or sets and (class == "modify" or class == "touch")) and changed(r, res) then
                    rctx:enqueue(class == "delete" and requests.everywhere(r) or requests.delete(r), others)
                    return finish()
                end
                return res
            end
        end)
    end,
}

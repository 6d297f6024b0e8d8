-- null: sends nothing anywhere, and answers as an empty server that stores nothing would: reads are misses, writes "not stored",
-- deletes "not found". With answer = "success" it pretends: writes are "stored", deletes "deleted"; reads are misses then too.
--
-- In a route_shadow or a route_split it is the child that costs nothing; below a router it answers keys that are to be given up.

local handler = require "routes.handler"
local answers = require "routes.answers"

return handler.define{
    name = "null",
    doc = "Sends nothing and answers that nothing happened.",
    fields = {
        { "answer", "enum", values = { "nothing", "success" }, default = "nothing", doc = "what writes are told" },
    },
    example = [[route_null{}]],
    make = function(f)
        return handler.route(f, function(rctx)
            return answers[f.answer](rctx)
        end, { objects = 1 })
    end,
}

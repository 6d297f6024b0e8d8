-- error: sends nothing anywhere and answers every request with one error line. For keys that must not be used, and for tests.
--
-- To handlers above it is an error that a backend gave: a failover goes on, and any answer is better.

local handler = require "routes.handler"
local answers = require "routes.answers"

return handler.define{
    name = "error",
    doc = "Sends nothing and answers with an error.",
    fields = {
        { "message", "string", default = "this key is not served", check = answers.unfit, doc = "what follows SERVER_ERROR" },
        { "code", "enum", values = { "server", "client" }, default = "server", doc = "whose fault it is: SERVER_ERROR or CLIENT_ERROR" },
    },
    example = [[route_error{ message = "moved to the other cluster" }]],
    make = function(f)
        return handler.route(f, function(rctx)
            return answers.error(rctx, f.message, f.code)
        end, { objects = 1 })
    end,
}

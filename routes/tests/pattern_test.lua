-- pattern: what is none is found out before it is used.

local GOOD = {
    "", "/(%a+)/", "^/([^/]+)/", "[]]", "[^]]x", "[%]]", "[a-]", "%%", "%bxy", "%f[%w]", "(a)%1", "((a)b)%2", "()", "a$", "%.", "x-", "]",
}
local BAD = { -- Lua finds most of them out only when a text matches so far
    "(", ")", "/(%a+", "/%a+)", "(a))", "%", "a%", "[", "[]", "[^]", "[a", "[%]", "a[b%", "%b", "%bx", "%f", "%fa", "%1", "%0", "(a%1)",
    "(a)%2",
    string.rep("()", 33),
}

describe("pattern.good", function()
    local ASKS = [[
        local pattern = require "routes.pattern"
        return function() return "SERVER_ERROR " .. tostring(pattern.good(%q)) .. "\r\n" end]]
    for _, text in ipairs(GOOD) do
        it("takes " .. text, function()
            route(string.format(ASKS, text))
            expect(send("get k").line):equals("SERVER_ERROR true")
            expect((pcall(string.find, "a", text))):equals(true)
        end)
    end
    for _, text in ipairs(BAD) do
        it("refuses " .. text, function()
            route(string.format(ASKS, text))
            expect(send("get k").line):equals("SERVER_ERROR false")
        end)
    end
end)

-- random: one child, whatever it answers, and each as often.

local outcomes = require "outcomes"

describe("random of two", function()
    for _, command in ipairs{ outcomes.command("get"), outcomes.command("md") } do
        outcomes.each(2, function(o)
            it(command.line .. ": " .. table.concat(o, ", "), function()
                route([[return require "routes.random"{ children = { a, b } }]], "a", "b")
                outcomes.behave("a", o[1], command)
                outcomes.behave("b", o[2], command)
                local call = start(command.line, command.value)
                advance(10)
                local lines = seen()
                local home = lines[1] and string.sub(lines[1], 1, 1) or o[1] == "down" and "a" or "b"
                local outcome = home == "a" and o[1] or o[2]
                expect(#lines):equals(outcome == "down" and 0 or 1)
                expect(call:done()):equals(outcome ~= "never")
                if outcome ~= "never" then
                    expect(call:wait().text):equals(outcomes.text(home, outcome, command))
                end
            end)
        end)
    end
end)

describe("random", function()
    it("takes children in a list or by name, and wants some", function()
        route([[return require "routes.random"{ children = { x = a } }]], "a")
        send("get foo")
        expect(seen()):equals{ "a: get foo" }
        expect(function() route([[return require "routes.random"{}]], "a") end):errors("random.children: is missing")
    end)
    it("asks each child as often, whatever the key", function()
        route([[return require "routes.random"{ children = { a, b, c } }]], "a", "b", "c")
        local count = { a = 0, b = 0, c = 0 }
        for _ = 1, 900 do
            send("get foo")
            local lines = seen()
            expect(#lines):equals(1)
            local name = string.sub(lines[1], 1, 1)
            count[name] = count[name] + 1
        end
        expect(count.a):near(300, 60)
        expect(count.b):near(300, 60)
        expect(count.c):near(300, 60)
    end)
end)

-- Tests of routes/canary.lua.

local model = require "model"

local NAMES = { "a", "b", "c" }

-- predict says what a canary of n among a, b, c answers and sends.
local function predict(list, req, n)
    local sent, tried = {}, {}
    for i = 1, n do
        sent[#sent + 1], tried[i] = model.sent(NAMES[i], list[i], req), list[i]
    end
    local worst = model.worst(tried)
    if model.rank[tried[worst]] >= 3 then
        worst = model.worst(list)
        for i = n + 1, 3 do
            sent[#sent + 1] = model.sent(NAMES[i], list[i], req)
        end
    end
    return model.text(NAMES[worst], list[worst], req), sent
end

describe("canary, whatever its children do:", function()
    for n = 1, 2 do
        for _, req in ipairs(model.requests) do
            it(req.line .. ", n = " .. n, function()
                route("return require 'routes.canary'{ children = { a, b, c }, n = " .. n .. " }", "a", "b", "c")
                model.combinations(3, function(list)
                    for i, o in ipairs(list) do
                        model.apply(NAMES[i], o, req)
                    end
                    local text, sent = predict(list, req, n)
                    local what = table.concat(list, " ") .. " => "
                    expect(what .. send(req.line, req.value).text):equals(what .. text)
                    expect(what .. table.concat(seen(), ", ")):equals(what .. table.concat(sent, ", "))
                end)
            end)
        end
    end
end)

describe("canary", function()
    it("tries one child first, and waits for it", function()
        route("return require 'routes.canary'{ children = { a, b, c } }", "a", "b", "c")
        backend("a"):slow(0.2)
        backend("c"):slow(0.1)
        local call = start("delete foo")
        advance(0.1)
        expect(seen()):equals{ "a: delete foo" }
        local res = call:wait()
        expect(seen()):equals{ "b: delete foo", "c: delete foo" }
        expect(res.time):near(0.3, 0.0001)
        expect(res.line):equals("NOT_FOUND")
    end)

    it("waits for several canaries at once", function()
        route("return require 'routes.canary'{ children = { a, b, c }, n = 2 }", "a", "b", "c")
        backend("a"):slow(0.2)
        backend("b"):slow(0.3)
        expect(send("set foo 0 0 1", "x").time):equals(0.3)
    end)

    it("does not send a request that kills who gets it to all", function()
        route("return require 'routes.canary'{ children = { a, b, c } }", "a", "b", "c")
        backend("a"):fails("closed")
        expect(send("get poison").error):is_true()
        expect(seen()):equals{ "a: get poison" }
    end)

    it("takes an error of the client's for no clean answer", function()
        route("return require 'routes.canary'{ children = { a, b } }", "a", "b")
        backend("a"):set("foo", "no number")
        expect(send("incr foo 1").line):matches("^CLIENT_ERROR")
        expect(seen()):equals{ "a: incr foo 1" }
    end)

    it("tries only the requests that on says", function()
        route([[return require "routes.canary"{ children = { a, b }, on = function(r) return r:key() == "new" end }]], "a", "b")
        backend("a"):fails("closed")
        send("get new")
        expect(seen()):equals{ "a: get new" }
        expect(send("get old").error):is_true()
        expect(seen()):equals{ "a: get old", "b: get old" }
    end)

    it("takes children by name in the order of the names", function()
        route("return require 'routes.canary'{ children = { y = b, x = a } }", "a", "b")
        backend("a"):fails("down")
        send("get foo")
        expect(seen()):equals{}
    end)

    it("leaves one child at least for later", function()
        expect(function() route("return require 'routes.canary'{ children = { a, b }, n = 2 }", "a", "b") end)
            :errors("canary.n: want at most 1, for one child at least must be left, got 2")
        expect(function() route("return require 'routes.canary'{ children = { a } }", "a") end):errors("canary.children: want at least 2")
    end)
end)

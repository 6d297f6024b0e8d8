-- Tests of routes/delete_all.lua.

local model = require "model"

local NAMES = { "a", "b", "c" }

-- predict says what a delete_all of the child a and of b and c answers and sends.
local function predict(list, req, sets, wait)
    local sent = { model.sent("a", list[1], req) }
    local function others(line)
        for i = 2, 3 do
            sent[#sent + 1] = model.sent(NAMES[i], list[i], { line = line })
        end
    end
    local worst = 1
    if req.class == "delete" or sets and req.class == "store" then
        others(req.line)
        local far = model.rank[list[2]] <= model.rank[list[3]] and 2 or 3
        if wait and model.rank[list[1]] >= 3 and model.rank[list[far]] < 3 then
            worst = far
        end
        return model.text(NAMES[worst], list[worst], req), sent
    elseif sets and (req.class == "modify" or req.class == "touch") and (list[1] == "hit" or model.rank[list[1]] == 1) then
        others("delete k")
        local far = model.rank[list[2]] <= model.rank[list[3]] and 2 or 3
        if wait and model.rank[list[1]] >= 3 and model.rank[list[far]] < 3 then
            worst = far
        end
    end
    return model.text(NAMES[worst], list[worst], req), sent
end

describe("delete_all, whatever its children do:", function()
    for _, sets in ipairs{ false, true } do
        for _, wait in ipairs{ false, true } do
            for _, req in ipairs(model.requests) do
                it(req.line .. ", sets = " .. tostring(sets) .. ", wait = " .. tostring(wait), function()
                    route("return require 'routes.delete_all'{ child = a, everywhere = { b, c }, sets = " .. tostring(sets) .. ", wait = " ..
                        tostring(wait) .. " }", "a", "b", "c")
                    model.combinations(3, function(list)
                        for i, o in ipairs(list) do
                            model.apply(NAMES[i], o, req)
                        end
                        local text, sent = predict(list, req, sets, wait)
                        local what = table.concat(list, " ") .. " => "
                        expect(what .. send(req.line, req.value).text):equals(what .. text)
                        expect(what .. table.concat(seen(), ", ")):equals(what .. table.concat(sent, ", "))
                        advance(4)
                    end)
                end)
            end
        end
    end
end)

describe("delete_all", function()
    local function delete_all(fields)
        route("return require 'routes.delete_all'{ child = a, everywhere = { b, c }" .. (fields or "") .. " }", "a", "b", "c")
    end

    it("deletes in every zone, and does not wait for them", function()
        delete_all()
        for _, name in ipairs(NAMES) do
            backend(name):set("foo", "bar")
        end
        backend("c"):slow(0.5)
        local res = send("delete foo")
        expect(res.line):equals("DELETED")
        expect(res.time):equals(0)
        advance(1)
        for _, name in ipairs(NAMES) do
            expect((backend(name):get("foo"))):is_nil()
        end
    end)

    it("answers what the child says, even when the others are done first", function()
        delete_all()
        backend("a"):slow(0.5)
        backend("b"):set("foo", "bar")
        local res = send("md foo O7 k")
        expect(res.text):equals("NF O7 kfoo\r\n")
        expect(res.time):equals(0.5)
    end)

    it("waits for all if it is told to, and does not say that a delete is done while a zone may serve the item again", function()
        delete_all(", wait = true")
        for _, name in ipairs(NAMES) do
            backend(name):set("foo", "bar")
        end
        backend("b"):slow(0.5)
        expect(send("delete foo").time):equals(0.5)
        backend("b"):works()
        backend("c"):set("foo", "bar")
        backend("c"):fails("down", 1)
        expect(send("delete foo").error):is_true()
        expect(send("delete foo").line):equals("NOT_FOUND")
        expect((backend("c"):get("foo"))):is_nil()
    end)

    it("keeps sets at home unless it is told otherwise", function()
        delete_all()
        send("set foo 0 0 1", "x")
        send("ms foo 1", "x")
        send("incr n 1")
        local cas = string.match(send("mg foo c").text, "c(%d+)")
        send("ms foo 1 C" .. cas, "x")
        expect(seen()):equals{ "a: set foo 0 0 1", "a: ms foo 1", "a: incr n 1", "a: mg foo c", "a: ms foo 1 C" .. cas }
    end)

    it("deletes elsewhere what was changed in place, with sets", function()
        delete_all(", sets = true")
        send("set n 5 60 1", "1")
        expect((backend("c"):get("n"))):equals("1")
        local _, about = backend("b"):get("n")
        expect(about.ttl):equals(60)
        seen()
        expect(send("incr n 1").text):equals("2\r\n")
        expect(seen()):equals{ "a: incr n 1", "b: delete n", "c: delete n" }
        send("incr other 1")
        expect(seen()):equals{ "a: incr other 1" }
        send("get n")
        expect(seen()):equals{ "a: get n" }
    end)

    it("compares CAS values with the child alone", function()
        delete_all()
        send("set foo 0 0 1", "x")
        local cas = string.match(send("mg foo c").text, "c(%d+)")
        seen()
        expect(send("md foo C1234567 q").text):equals("EX\r\n")
        expect(seen()):equals{ "a: md foo C1234567 q" }
        expect(send("md foo q O1 C" .. cas .. " k").text):equals("")
        expect(seen()):equals{ "a: md foo q O1 C" .. cas .. " k", "b: md foo q O1 k", "c: md foo q O1 k" }
    end)

    it("waits for what follows a compared delete, too", function()
        delete_all(", wait = true")
        send("set foo 0 0 1", "x")
        local cas = string.match(send("mg foo c").text, "c(%d+)")
        backend("b"):slow(0.5)
        local res = send("md foo C" .. cas)
        expect(res.line):equals("HD")
        expect(res.time):equals(0.5)
    end)

    it("counts what was not done elsewhere", function()
        delete_all(", name = 'x'")
        backend("b"):fails("down", 1)
        backend("c"):fails("timeout", 1)
        send("delete foo")
        advance(4)
        send("delete foo")
        expect(tonumber(stat("x_undone"))):equals(2)
    end)

    it("takes a set of pools", function()
        config([[
            pools{
                here = { backends = { "10.0.0.1:1 a" } },
                set_all = { y = { backends = { "10.0.0.2:1 b" } }, x = { backends = { "10.0.0.3:1 c" } } },
            }
            routes{ map = { foo = route_delete_all{ child = "here", everywhere = "set_all" } } }
        ]])
        send("delete foo/1")
        expect(seen()):equals{ "a: delete foo/1", "c: delete foo/1", "b: delete foo/1" }
        backend("b"):fails("down", 1)
        send("delete foo/1")
        expect(tonumber(stat("foo_undone"))):equals(1)
    end)
end)

-- Tests of routes/migrate.lua.

local model = require "model"

local BEGAN = 1767225600 -- when tests begin, in seconds since 1970

-- migrate makes one that starts so many seconds after the test.
local function migrate(start, fields)
    route("return require 'routes.migrate'{ from = a, to = b, start = " .. BEGAN + start .. (fields or "") .. " }", "a", "b")
end

-- predict says what a migrate answers and sends; here is where the key is, with both the deletes go to both.
local function predict(list, req, here, both)
    local names = { "a", "b" }
    if not both or req.class ~= "delete" then
        return model.text(names[here], list[here], req), { model.sent(names[here], list[here], req) }
    end
    local order = here == 1 and list or { list[2], list[1] }
    local at = model.worst(order)
    if model.rank[order[at]] >= 3 then
        at = model.best(order)
    end
    if here == 2 then
        at = 3 - at
    end
    local sent = {}
    for i = 1, 2 do
        sent[#sent + 1] = model.sent(names[i], list[i], req)
    end
    return model.text(names[at], list[at], req), sent
end

describe("migrate, whatever its children do:", function()
    -- Where the clock is, and which pool has the key k.
    for what, c in pairs{
        ["long before"] = { 1000, 1, false }, ["just before"] = { 10, 1, true },
        ["at the start"] = { 0, 1, true }, ["near the end"] = { -99.9999, 2, true },
        ["just after"] = { -109, 2, true }, ["long after"] = { -110, 2, false },
    } do
        for _, req in ipairs(model.requests) do
            it(what .. ": " .. req.line, function()
                migrate(c[1], ", interval = 100")
                model.combinations(2, function(list)
                    model.apply("a", list[1], req)
                    model.apply("b", list[2], req)
                    local t = now()
                    local text, sent = predict(list, req, c[2], c[3])
                    local label = table.concat(list, " ") .. " => "
                    expect(label .. send(req.line, req.value).text):equals(label .. text)
                    expect(label .. table.concat(seen(), ", ")):equals(label .. table.concat(sent, ", "))
                    if now() > t then -- a timeout has passed: begin anew
                        migrate(c[1] + now(), ", interval = 100")
                    end
                end)
            end)
        end
    end
end)

describe("migrate", function()
    local function where(line)
        send(line)
        local lines = seen()
        expect(#lines):equals(1)
        return string.sub(lines[1], 1, 1)
    end

    it("moves each key once, all of them evenly over the interval", function()
        migrate(100, ", interval = 1000")
        local at = {}
        for step = 0, 12 do
            local there = 0
            for i = 1, 500 do
                local key = "key" .. i
                if where("get " .. key) == "b" then
                    there = there + 1
                    at[key] = at[key] or step
                else
                    expect(at[key]):is_nil()
                end
            end
            expect(there):near(math.max(0, math.min(500, (step - 1) * 50)), 35)
            if step < 1 then
                expect(there):equals(0)
            elseif step >= 11 then
                expect(there):equals(500)
            end
            advance(100)
        end
    end)

    it("goes by every character of a key", function()
        migrate(0, ", interval = 100")
        advance(50)
        for _, form in ipairs{ "%skey", "key%s", "k%sy" } do
            local there = 0
            for i = 0, 89 do
                there = there + (where("get " .. string.format(form, string.char(33 + i))) == "b" and 1 or 0)
            end
            expect(there):near(45, 20)
        end
    end)

    it("moves everything about a key at once, however it is written", function()
        migrate(0, ", interval = 1000")
        local encoded = { "Zm9vMQ==", "Zm9vMg==", "Zm9vMw==", "Zm9vNA==", "Zm9vNQ==" } -- foo1 to foo5
        for _ = 1, 10 do
            for i = 1, 5 do
                local here = where("get foo" .. i)
                for _, line in ipairs{ "mg foo" .. i, "incr foo" .. i .. " 1", "touch foo" .. i .. " 1", "mg " .. encoded[i] .. " b" } do
                    expect(where(line)):equals(here)
                end
            end
            advance(100)
        end
    end)

    it("takes an hour unless it is told otherwise", function()
        migrate(0)
        local function moved()
            local n = 0
            for i = 1, 200 do
                n = n + (where("get key" .. i) == "b" and 1 or 0)
            end
            return n
        end
        advance(1800)
        expect(moved()):near(100, 25)
        advance(1799)
        expect(moved() >= 198):is_true()
        advance(1)
        expect(moved()):equals(200)
    end)

    it("does not serve again what was deleted, when it is turned back", function()
        migrate(0, ", interval = 100")
        backend("a"):set("foo", "old")
        backend("b"):set("foo", "new")
        expect(send("delete foo").line):equals("DELETED")
        migrate(1000)
        expect(send("get foo").line):equals("END")
    end)

    it("deletes in both pools for as long as clocks may be apart", function()
        for skew, n in pairs{ [5] = 1, [20] = 2 } do
            migrate(15, ", skew = " .. skew)
            send("delete foo")
            expect(#seen()):equals(n)
        end
    end)

    it("compares CAS values where the key is, and deletes in the other pool", function()
        migrate(5, ", interval = 100")
        send("set foo 0 0 1", "x")
        backend("b"):set("foo", "x")
        local cas = string.match(send("mg foo c").text, "c(%d+)")
        seen()
        expect(send("md foo C1234567").line):equals("EX")
        expect(seen()):equals{ "a: md foo C1234567" }
        expect(send("md foo C" .. cas .. " O1").text):equals("HD O1\r\n")
        expect(seen()):equals{ "a: md foo C" .. cas .. " O1", "b: md foo O1" }
        migrate(-105, ", interval = 100")
        send("md foo C5")
        expect(seen()):equals{ "b: md foo C5" }
    end)

    it("tells both when a compared delete has timed out", function()
        migrate(5, ", interval = 100")
        backend("a"):fails("timeout")
        expect(send("md foo C5").error):is_true()
        expect(seen()):equals{ "a: md foo C5", "b: md foo" }
        backend("a"):answers("SERVER_ERROR busy")
        send("md foo C5")
        expect(seen()):equals{ "a: md foo C5" }
    end)

    it("wants a start and an interval", function()
        expect(function() route("return require 'routes.migrate'{ from = a, to = a }", "a") end):errors("migrate.start: is missing")
        expect(function() migrate(0, ", interval = 0") end):errors("migrate.interval: want more than 0, got 0")
    end)
end)

-- Tests of shadow: what is copied, and that nobody notices.

local LINES = { { "get k" }, { "mg k v N5" }, { "set k 5 0 1", "x" }, { "add k 5 0 1", "x" }, { "delete k" }, { "ms k 1 T5", "x" } }
local ANSWERS = { "well", "error", "timeout", "down", "never", "slow" }

local function use(fields)
    route("return require \"routes.shadow\"{ child = a, shadow = b" .. (fields or "") .. " }", "a", "b")
end

local function script(name, what)
    local b = backend(name)
    if what == "error" then
        b:answers("SERVER_ERROR of " .. name)
    elseif what == "timeout" or what == "down" then
        b:fails(what)
    elseif what == "never" then
        b:never()
    elseif what == "slow" then
        b:slow(0.5)
    end
end

-- alone is what a child that does so answers without a shadow.
local function alone(what, line, value)
    route("return a", "a")
    script("a", what)
    local res = send(line, value)
    return res.text, res.time
end

describe("shadow", function()
    for _, d in ipairs(LINES) do
        for _, child in ipairs(ANSWERS) do
            for _, shadow in ipairs(child == "never" and {} or ANSWERS) do
                for _, compare in ipairs(d[1] == "get k" and { "", ", compare = true" } or { "" }) do
                    it(d[1] .. ": child " .. child .. ", shadow " .. shadow .. compare, function()
                        local text, time = alone(child, d[1], d[2])
                        backend("a"):works()
                        send("md k")
                        seen()
                        use(compare)
                        script("a", child)
                        script("b", shadow)
                        local res = send(d[1], d[2])
                        expect(res.text):equals(text)
                        expect(res.time):near(time, 1e-6)
                        local lines = {}
                        for _, name in ipairs{ "a", "b" } do
                            if (name == "a" and child or shadow) ~= "down" then
                                lines[#lines + 1] = name .. ": " .. d[1]
                            end
                        end
                        expect(seen()):equals(lines)
                        advance(4)
                        expect(stat("shadow_copied")):equals(1)
                        expect(stat("shadow_failed")):equals((shadow == "well" or shadow == "slow" or shadow == "never") and 0 or 1)
                    end)
                end
            end
        end
    end

    it("copies values and flags", function()
        use()
        send("set k 7 0 3", "bar")
        local value, about = backend("b"):get("k")
        expect(value):equals("bar")
        expect(about.flags):equals(7)
    end)
    it("is not changed by what the shadow does with the request, nor the shadow by the child", function()
        route([[
            local key = require "routes.key"
            return require "routes.shadow"{ child = key{ child = a, add = "1" }, shadow = key{ child = b, add = "2" } }]], "a", "b")
        backend("a"):set("1k", "x")
        expect(send("get k").text):equals("VALUE k 0 1\r\nx\r\nEND\r\n")
        expect(seen()):equals{ "a: get 1k", "b: get 2k" }
    end)
    it("copies what is pipelined", function()
        use()
        send("get x y z")
        local lines = seen()
        table.sort(lines)
        expect(lines):equals{ "a: get x", "a: get y", "a: get z", "b: get x", "b: get y", "b: get z" }
    end)
end)

-- copies is how many of n gets of as many keys are copied.
local function copies(n)
    for i = 1, n do
        send("get k" .. i)
    end
    seen()
    return stat("shadow_copied")
end

describe("shadow: the share", function()
    it("is by chance", function()
        use(", fraction = 0.3")
        expect(copies(2000)):near(600, 80)
    end)
    it("is by key", function()
        use(", key_fraction = 0.3")
        expect(copies(2000)):near(600, 80)
        local first = stat("shadow_copied")
        expect(copies(2000)):equals(2 * first)
    end)
    it("is both", function()
        use(", key_fraction = 0.5, fraction = 0.5")
        expect(copies(2000)):near(500, 80)
    end)
    for _, field in ipairs{ "fraction", "key_fraction" } do
        it("is nothing with " .. field .. " = 0", function()
            use(", " .. field .. " = 0")
            expect(copies(100)):equals(0)
        end)
        it("is everything with " .. field .. " = 1", function()
            use(", " .. field .. " = 1")
            expect(copies(100)):equals(100)
        end)
        it("cannot be above 1: " .. field, function()
            expect(function() use(", " .. field .. " = 1.1") end):errors("want at most 1, got 1.1")
        end)
    end
    it("ends when too much is outstanding, and begins again", function()
        use(", outstanding = 3")
        backend("b"):slow(2)
        expect(copies(10)):equals(3)
        expect(stat("shadow_skipped")):equals(7)
        advance(3)
        expect(copies(10)):equals(6)
    end)
end)

describe("shadow: compare", function()
    for _, d in ipairs{
        { "get k", "x", "x", true }, { "get k", "x", "y", false }, { "get k", "x", nil, false }, { "get k", nil, nil, true },
        { "gets k", "x", "x", true },
        { "mg k v f", "x", "x", true }, { "mg k v f", "x", "y", false }, { "mg k v c", "x", "x", true },
        { "delete k", "x", nil, false }, { "mg k f", "x", "y", true },
    } do
        for _, slow in ipairs{ "neither", "a", "b" } do
            it(d[1] .. ": " .. tostring(d[2]) .. " and " .. tostring(d[3]) .. ", " .. slow .. " is slow", function()
                use(", compare = true")
                backend("b"):set("other", "1") -- so that CAS numbers differ
                if d[2] then
                    backend("a"):set("k", d[2])
                end
                if d[3] then
                    backend("b"):set("k", d[3])
                end
                if slow ~= "neither" then
                    backend(slow):slow(0.2)
                end
                send(d[1])
                advance(1)
                expect(stat("shadow_same")):equals(d[4] and 1 or 0)
                expect(stat("shadow_different")):equals(d[4] and 0 or 1)
            end)
        end
    end
    it("logs what differs, ten a second", function()
        use(", compare = true")
        backend("a"):answers("VALUE k 0 1\r\nx\r\nEND")
        backend("b"):answers("VALUE k 0 1\r\ny\r\nEND")
        log()
        local function logged()
            local n = 0
            for _, line in ipairs(log()) do
                if line:find("shadow differs", 1, true) then
                    n = n + 1
                end
            end
            return n
        end
        for _ = 1, 50 do
            send("get k")
        end
        local first = logged()
        expect(first >= 9 and first <= 11):is_true()
        local more = 0
        for _ = 1, 50 do
            advance(0.1)
            send("get k")
            send("get k")
            more = more + logged()
        end
        expect(more):near(50, 5)
    end)

    it("knows client flags apart", function()
        use(", compare = true")
        backend("a"):set("k", "x", { flags = 1 })
        backend("b"):set("k", "x", { flags = 2 })
        send("get k")
        send("mg k v f")
        send("mg k v")
        expect(stat("shadow_different")):equals(2)
        expect(stat("shadow_same")):equals(1)
    end)
    it("does not mind the key", function()
        route([[return require "routes.shadow"{ child = a, shadow = require "routes.key"{ child = b, add = "2" }, compare = true }]], "a", "b")
        backend("a"):set("k", "x")
        backend("b"):set("2k", "x")
        send("get k")
        send("mg k k v")
        expect(stat("shadow_same")):equals(2)
    end)
    it("logs what differs, ten a second", function()
        use(", compare = true")
        backend("a"):set("k", "x")
        local function logged(n)
            for _ = 1, n do
                send("get k")
            end
            local count = 0
            for _, line in ipairs(log()) do
                count = count + (string.find(line, "shadow differs", 1, true) and 1 or 0)
            end
            return count
        end
        expect(logged(9)):equals(9)
        expect(logged(9)):equals(1)
        advance(0.501)
        expect(logged(9)):equals(5)
        advance(10)
        backend("b"):set("k", "x")
        expect(logged(9)):equals(0)
    end)
    it("begins anew with each request", function()
        use(", compare = true, name = \"s\"")
        backend("a"):set("k", "x")
        backend("b"):set("k", "x")
        backend("b"):fails("down", 1)
        for _ = 1, 3 do
            send("get k")
        end
        expect(stat("s_same")):equals(2)
        expect(stat("s_different")):equals(1)
    end)
end)

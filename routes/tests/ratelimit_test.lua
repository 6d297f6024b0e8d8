-- Tests of ratelimit: who gets through, and what the others are told. ratelim is the same.

local NOTHING = { -- what a request is told when there is nothing
    ["get k"] = "END\r\n", ["gets k"] = "END\r\n", ["gat 5 k"] = "END\r\n", ["mg k v"] = "EN\r\n", ["touch k 5"] = "NOT_FOUND\r\n",
    ["delete k"] = "NOT_FOUND\r\n",
    ["md k"] = "NF\r\n", ["incr k 1"] = "NOT_FOUND\r\n", ["ma k"] = "NF\r\n", ["set k 0 0 1"] = "NOT_STORED\r\n", ["add k 0 0 1"] = "NOT_STORED\r\n",
    ["append k 0 0 1"] = "NOT_STORED\r\n", ["cas k 0 0 1 5"] = "NOT_STORED\r\n", ["ms k 1"] = "NS\r\n",
}

local function value(line)
    local cmd = string.match(line, "^%a+")
    return string.find(" set add replace append prepend cas ms ", " " .. cmd .. " ", 1, true) and "1" or nil
end

local function use(name, fields, ...)
    route("return require \"routes." .. name .. "\"{ child = a, limit = 3, fillrate = 2, tickrate = 1000" .. (fields or "") .. " }", "a", ...)
end

for _, name in ipairs{ "ratelimit", "ratelim" } do
    describe(name, function()
        for line, nothing in pairs(NOTHING) do
            it("answers " .. line .. " with nothing above the limit", function()
                use(name)
                send(line, value(line))
                send(line, value(line))
                expect(#seen()):equals(2) -- one token stays
                local res = send(line, value(line))
                expect(res.text):equals(nothing)
                expect(res.time):equals(0)
                expect(seen()):equals{}
                expect(stat(name .. "_limited")):equals(1)
            end)
            it("sends " .. line .. " to the fallback above the limit", function()
                use(name, ", fallback = b", "b")
                for _ = 1, 3 do
                    send(line, value(line))
                end
                expect(seen()):equals{ "a: " .. line, "a: " .. line, "b: " .. line }
            end)
            it("lets " .. line .. " through only above it when turned round", function()
                use(name, ", fail_until_limit = true")
                expect(send(line, value(line)).text):equals(nothing)
                expect(send(line, value(line)).text):equals(nothing)
                expect(seen()):equals{}
                send(line, value(line))
                expect(seen()):equals{ "a: " .. line }
            end)
        end
        it("fills the bucket each tick", function()
            use(name)
            local function through(n)
                for _ = 1, n do
                    send("get k")
                end
                return #seen()
            end
            expect(through(10)):equals(2)
            advance(1.001)
            expect(through(10)):equals(2)
            advance(0.5)
            expect(through(10)):equals(0)
            advance(100)
            expect(through(10)):equals(2) -- no more than limit
        end)
        for _, what in ipairs{ "error", "timeout", "down" } do
            it("answers the child's " .. what, function()
                use(name, ", fallback = b", "b")
                if what == "error" then
                    backend("a"):answers("SERVER_ERROR x")
                else
                    backend("a"):fails(what)
                end
                local res = send("get k")
                expect(res.text):equals(what == "error" and "SERVER_ERROR x\r\n" or "SERVER_ERROR backend failure\r\n")
                expect(backend("b"):seen()):equals{}
            end)
        end
        it("counts by its name", function()
            use(name, ", name = \"x\", global = true")
            for _ = 1, 5 do
                send("get k")
            end
            expect(stat("x_limited")):equals(3)
        end)
        for _, d in ipairs{ { "limit = 0", "want at least 1" }, { "fillrate = 0", "want at least 1" }, { "tickrate = 0", "want at least 1" },
            { "limit = 1.5", "whole number" } } do
            it("cannot have " .. d[1], function()
                local field = string.match(d[1], "%a+")
                local rest = { limit = "limit = 3", fillrate = "fillrate = 2" }
                rest[field] = d[1]
                local text = "child = a"
                for _, v in pairs(rest) do
                    text = text .. ", " .. v
                end
                expect(function() route("return require \"routes." .. name .. "\"{ " .. text .. " }", "a") end):errors(d[2])
            end)
        end
    end)
end

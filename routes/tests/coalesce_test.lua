-- Tests of coalesce: which requests are shared, and which must not be.

local READS = { "get k", "mg k v", "mg k v t f s k" }
local ANSWERS = { "hit", "miss", "error", "timeout", "down", "never" }

local function use(fields)
    route("return require \"routes.coalesce\"{ child = a" .. (fields or "") .. " }", "a")
end

local function script(what)
    if what == "hit" then
        backend("a"):set("k", "x")
    elseif what == "error" then
        backend("a"):answers("SERVER_ERROR x")
    elseif what == "timeout" or what == "down" then
        backend("a"):fails(what)
        return
    elseif what == "never" then
        backend("a"):never()
        return
    end
    backend("a"):slow(0.1)
end

describe("coalesce", function()
    for _, line in ipairs(READS) do
        for _, what in ipairs(ANSWERS) do
            it("shares " .. line .. ": " .. what, function()
                use()
                script(what)
                local calls = {}
                for i = 1, 5 do
                    calls[i] = client():start(line)
                end
                advance(4)
                local lines = seen()
                if what == "down" then
                    expect(#lines):equals(0) -- and nothing to share
                else
                    expect(lines):equals{ "a: " .. line }
                end
                if what == "never" then
                    expect(calls[1]:done() or calls[5]:done()):is_false()
                    return
                end
                local first = calls[1]:wait()
                for i = 2, 5 do
                    local res = calls[i]:wait()
                    expect(res.text):equals(first.text)
                    expect(res.time):near(first.time, 1e-6)
                end
                if what ~= "down" then
                    expect(stat("coalesce_shared")):equals(4)
                end
            end)
        end
    end

    for _, d in ipairs{
        { "gets k" }, { "gat 5 k" }, { "me k" }, { "mg k v c" }, { "mg k v T5" }, { "mg k v N5" }, { "mg k v R5" }, { "mg k v E5" },
        { "set k 0 0 1", "x" }, { "add k 0 0 1", "x" }, { "delete k" }, { "md k" }, { "incr k 1" }, { "ms k 1", "x" }, { "touch k 5" }, { "ma k" },
    } do
        it("sends every " .. d[1], function()
            use()
            backend("a"):slow(0.1)
            for _ = 1, 3 do
                client():start(d[1], d[2])
            end
            advance(1)
            expect(#seen()):equals(3)
        end)
    end

    it("shares what has the same line only", function()
        use()
        backend("a"):slow(0.1)
        for _, line in ipairs{ "get k", "mg k v", "mg k v f", "get j", "mg k v O1" } do
            client():start(line)
        end
        advance(1)
        expect(#seen()):equals(5)
    end)
    it("keeps nothing", function()
        use()
        send("get k")
        send("get k")
        expect(#seen()):equals(2)
    end)
    it("shares the keys of multigets", function()
        use()
        backend("a"):slow(0.1)
        backend("a"):set("y", "1")
        local one, two = client():start("get x y"), client():start("get y z")
        advance(1)
        expect(#seen()):equals(3)
        expect(one:wait().text):equals("VALUE y 0 1\r\n1\r\nEND\r\n")
        expect(two:wait().text):equals("VALUE y 0 1\r\n1\r\nEND\r\n")
    end)
end)

describe("coalesce: a write", function()
    for _, d in ipairs{
        { "set k 0 0 1", "n" }, { "add k 0 0 1", "n" }, { "cas k 0 0 1 5", "n" }, { "append k 0 0 1", "n" },
        { "delete k" }, { "md k" }, { "md k I T9" },
        { "incr k 1" }, { "ma k" }, { "ms k 1", "n" }, { "ms aw== 1 b", "n" }, { "touch k 5" }, { "gat 5 k" }, { "mg k v N5" }, { "mg k T5" },
    } do
        it("by " .. d[1] .. " is seen by reads after it", function()
            use()
            backend("a"):slow(0.1)
            client():start("get k")
            advance(0.01)
            local write = client():start(d[1], d[2])
            advance(0.01)
            client():start("get k") -- while the write is under way
            client():start("get k")
            advance(0)
            expect(#seen()):equals(4)
            write:wait()
            local before = now()
            client():start("get k") -- after it
            client():start("get k")
            advance(0)
            expect(seen()):equals{ "a: get k" }
            expect(now() - before < 0.01):is_true()
        end)
        it("by " .. d[1] .. " is not seen by other keys", function()
            use()
            backend("a"):slow(0.1)
            client():start("get j")
            client():start(d[1], d[2])
            client():start("get j")
            advance(1)
            expect(#seen()):equals(2)
        end)
    end
    for _, line in ipairs{ "gets k", "me k", "mg k v c" } do
        it("is not " .. line, function()
            use()
            backend("a"):slow(0.1)
            client():start("get k")
            client():start(line)
            client():start("get k")
            advance(1)
            expect(#seen()):equals(2)
        end)
    end
    it("is found by the one who wrote", function()
        use()
        backend("a"):set("k", "o")
        backend("a"):slow(0.5, 1) -- the answer to an old read is late
        local old = client():start("get k")
        advance(0.01)
        expect(send("set k 0 0 1", "n").text):equals("STORED\r\n")
        expect(send("get k").value):equals("n")
        expect(old:wait().time):near(0.5, 1e-6)
    end)
    it("does not take from those who share already", function()
        use()
        backend("a"):set("k", "o")
        backend("a"):slow(0.5, 1)
        local one, two = client():start("get k"), client():start("get k")
        advance(0.01)
        send("set k 0 0 1", "n")
        expect(one:wait().value):equals("o")
        expect(two:wait().value):equals("o")
        expect(#seen()):equals(2)
    end)
    it("that fails ends, too", function()
        use()
        backend("a"):fails("timeout", 1)
        send("set k 0 0 1", "n")
        backend("a"):slow(0.1)
        client():start("get k")
        client():start("get k")
        advance(1)
        expect(seen()):equals{ "a: set k 0 0 1", "a: get k" }
    end)
end)

describe("coalesce: over another handler", function()
    it("gives everyone the key that they asked for", function()
        route([[return require "routes.coalesce"{ child = require "routes.key"{ child = a, add = "t:" } }]], "a")
        backend("a"):set("t:k", "x")
        backend("a"):slow(0.1)
        local one, two = client():start("get k"), client():start("get k")
        advance(1)
        expect(one:wait().text):equals("VALUE k 0 1\r\nx\r\nEND\r\n")
        expect(two:wait().text):equals("VALUE k 0 1\r\nx\r\nEND\r\n")
        expect(#seen()):equals(1)
    end)
    it("gives everyone what a function says", function()
        route([[return require "routes.coalesce"{ name = "x", child = function(r) mcp.await(r, { a }) return "SERVER_ERROR mine\r\n" end }]], "a")
        backend("a"):slow(0.1)
        local one, two = client():start("get k"), client():start("get k")
        advance(1)
        expect(one:wait().text):equals("SERVER_ERROR mine\r\n")
        expect(two:wait().text):equals("SERVER_ERROR mine\r\n")
        expect(stat("x_shared")):equals(1)
    end)
end)

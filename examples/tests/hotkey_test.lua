-- The claims of hotkey.lua: a hot key is read from several servers, and is never older than what was written.

local servers = require "servers"

describe("hotkey", function()
    local main

    before_each(function()
        config{ file = "../hotkey.lua" }
        main = servers.at(11212, 11213, 11214, 11215)
    end)

    local function read(key, seconds, rate)
        for _ = 1, seconds * rate do
            expect(send("get " .. key).value):equals("bar")
            advance(1 / rate)
        end
    end

    -- most is how many of the requests went to the server that had most of them.
    local function most()
        local n, sum = 0, 0
        for _, c in ipairs(main:counts()) do
            n, sum = math.max(n, c), sum + c
        end
        return n / sum
    end

    it("reads a hot key in four places, on more than one server", function()
        send("set hot/foo 0 0 3", "bar")
        read("hot/foo", 1.5, 2000)
        seen()
        read("hot/foo", 1, 2000)
        local copies = {}
        for _, line in ipairs(main:seen()) do
            local key = string.match(line, "hot/foo%S*")
            copies[key] = (copies[key] or 0) + 1
        end
        for _, key in ipairs{ "hot/foo", "hot/foo#hot1", "hot/foo#hot2", "hot/foo#hot3" } do
            expect(copies[key]):near(500, 10)
        end
        read("hot/foo", 1, 2000)
        expect(most() < 0.8):is_true()
    end)

    it("reads others where they are", function()
        send("set hot/foo 0 0 3", "bar")
        send("set foo 0 0 3", "bar")
        read("hot/foo", 2, 900)
        read("foo", 1, 2000)
        expect(stat("hotkey_made")):equals(0)
    end)

    it("gives what was written, in all places", function()
        send("set hot/foo 0 0 3", "bar")
        read("hot/foo", 1.5, 2000)
        send("set hot/foo 0 0 3", "new")
        for _ = 1, 20 do
            expect(send("get hot/foo").value):equals("new")
        end
        send("delete hot/foo")
        for _ = 1, 20 do
            expect(send("get hot/foo").line):equals("END")
        end
    end)

    it("takes four requests to write, and one for other keys", function()
        send("set hot/foo 0 0 3", "bar")
        expect(#seen()):equals(4)
        send("set foo 0 0 3", "bar")
        expect(#seen()):equals(1)
    end)
end)

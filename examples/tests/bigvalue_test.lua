-- The claims of bigvalue.lua: no server sees more than a chunk, and clients see one value.

local servers = require "servers"

local BIG = string.rep("0123456789", 90000) -- 900 KB: five chunks

describe("bigvalue", function()
    local main

    before_each(function()
        config{ file = "../bigvalue.lua" }
        main = servers.at(11212, 11213, 11214, 11215)
    end)

    it("stores a large value in chunks on several servers, none of them over 200 KB", function()
        expect(send("set big/page 5 60 " .. #BIG, BIG).line):equals("STORED")
        local chunks = 0
        for _, line in ipairs(main:seen()) do
            local size = tonumber(string.match(line, "^ms %S+#%S+ (%d+)"))
            if size then
                chunks = chunks + 1
                expect(size <= 200000):is_true()
            end
        end
        expect(chunks):equals(5)
        local res = send("get big/page")
        expect(res.line):equals("VALUE big/page 5 " .. #BIG)
        expect(res.value == BIG):is_true()
        local busy = 0
        for _, n in ipairs(main:counts()) do
            busy = busy + (n > 0 and 1 or 0)
        end
        expect(busy > 1):is_true()
    end)

    it("takes no more than the proxy", function()
        local huge = string.rep("0123456789", 250000)
        expect(send("set big/page 0 60 " .. #huge, huge).line):equals("SERVER_ERROR object too large for cache")
    end)

    it("leaves no chunk behind when the value is replaced or deleted", function()
        send("set big/page 0 0 " .. #BIG, BIG)
        local chunks = {}
        for _, line in ipairs(main:seen()) do
            chunks[#chunks + 1] = string.match(line, "^ms (%S+#%S+)")
        end
        expect(send("set big/page 0 0 3", "bar").line):equals("STORED")
        expect(send("get big/page").value):equals("bar")
        expect(#chunks):equals(5)
        for _, key in ipairs(chunks) do
            expect(main:get(key)):is_nil()
        end
        send("set big/page 0 0 " .. #BIG, BIG)
        expect(send("delete big/page").line):equals("DELETED")
        expect(send("get big/page").line):equals("END")
    end)

    it("is a miss when a chunk is gone", function()
        expect(send("set big/page 0 0 " .. #BIG, BIG).line):equals("STORED")
        for _, line in ipairs(main:seen()) do
            local key = string.match(line, "^ms (%S+#%S+)")
            if key and string.match(key, "2$") then
                for _, port in ipairs{ 11212, 11213, 11214, 11215 } do
                    backend("127.0.0.1:" .. port):set(key, "x", { ttl = 1 })
                end
            end
        end
        advance(2)
        expect(send("get big/page").line):equals("END")
    end)

    it("takes two requests to set a small value here, and one elsewhere", function()
        send("set big/foo 0 0 3", "bar")
        expect(#seen()):equals(2)
        send("get big/foo")
        expect(#seen()):equals(1)
        send("set foo 0 0 3", "bar")
        expect(#seen()):equals(1)
    end)
end)

it("stores what no server would take, with --max-item 3m", function()
    config{ file = "../bigvalue.lua", max_item = 3 * 1024 * 1024 }
    local huge = string.rep("0123456789", 250000)
    expect(send("set big/page 0 60 " .. #huge, huge).line):equals("STORED")
    expect(send("get big/page").value == huge):is_true()
    expect(send("set other 0 60 " .. #huge, huge).line):equals("SERVER_ERROR object too large for cache")
end)

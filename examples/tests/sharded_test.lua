-- The claims of sharded.lua: one server for a key, and what moves when a server goes.

local servers = require "servers"

local KEYS = 1000

local folder = string.match(debug.getinfo(1, "S").source, "^@(.*/)[^/]*$") or ""

-- places gives the port that each key is asked at.
local function places()
    local at = {}
    seen()
    for i = 1, KEYS do
        send("get key" .. i)
        local lines = seen()
        expect(#lines):equals(1)
        at[i] = string.match(lines[1], ":(%d+):")
    end
    return at
end

local function load(backends)
    local f = assert(io.open(folder .. "../sharded.lua"))
    local text = f:read("*a")
    f:close()
    local n
    text, n = string.gsub(text, "backends = %b{}", "backends = { " .. backends .. " }")
    expect(n):equals(1)
    config(text)
end

describe("sharded", function()
    before_each(function() config{ file = "../sharded.lua" } end)

    it("keeps each key on one of four servers, a quarter on each", function()
        local count = {}
        for _, port in ipairs(places()) do
            count[port] = (count[port] or 0) + 1
        end
        for _, port in ipairs{ "11212", "11213", "11214", "11215" } do
            expect(count[port]):near(KEYS / 4, KEYS / 20)
        end
    end)

    it("loses a server's keys with the server, and no other moves, wherever it stood", function()
        local before = places()
        load([["127.0.0.1:11215", "127.0.0.1:11214", "127.0.0.1:11212"]])
        for i, port in ipairs(places()) do
            expect(port ~= "11213"):is_true()
            expect(before[i] == "11213" or before[i] == port):is_true()
        end
    end)

    it("draws an equal share from each for one that is added", function()
        local before, drawn = places(), {}
        load([["127.0.0.1:11212", "127.0.0.1:11213", "127.0.0.1:11214", "127.0.0.1:11215", "127.0.0.1:11216"]])
        for i, port in ipairs(places()) do
            if port ~= before[i] then
                expect(port):equals("11216")
                drawn[before[i]] = (drawn[before[i]] or 0) + 1
            end
        end
        for _, port in ipairs{ "11212", "11213", "11214", "11215" } do
            expect(drawn[port]):near(KEYS / 20, KEYS / 40)
        end
    end)

    it("answers errors for a quarter of the keys while a server hangs, each after half a second", function()
        servers.at(11213):fails("timeout")
        local bad = 0
        for i = 1, KEYS do
            local res = send("get key" .. i)
            if res.error then
                bad = bad + 1
                expect(res.time):near(0.5, 0.01)
            end
        end
        expect(bad):near(KEYS / 4, KEYS / 20)
    end)
end)

-- sharded: where keys go, and that nothing else is asked.

local outcomes = require "outcomes"

-- shares counts where keys 1 to n are sent to.
local function shares(n)
    for i = 1, n do
        send("get key" .. i)
    end
    local count = {}
    for _, line in ipairs(seen()) do
        local name = string.sub(line, 1, 1)
        count[name] = (count[name] or 0) + 1
    end
    return count
end

-- homes gives where each of keys 1 to n is sent to.
local function homes(n)
    local home = {}
    for i = 1, n do
        send("get key" .. i)
        home[i] = string.sub(seen()[1], 1, 1)
    end
    return home
end

describe("sharded", function()
    local text = [[return require "routes.sharded"{ children = { a, b, c }]]

    -- foo lies on one of them; whatever the others do.
    describe("answers as the child does:", function()
        for _, command in ipairs{ outcomes.command("get"), outcomes.command("ms"), outcomes.command("incr"), outcomes.command("delete") } do
            for _, outcome in ipairs(outcomes.all) do
                it(command.line .. ": " .. outcome, function()
                    route(text .. " }", "a", "b", "c")
                    for _, name in ipairs{ "a", "b", "c" } do
                        outcomes.behave(name, outcome, command)
                    end
                    local call = start(command.line, command.value)
                    advance(10)
                    local lines = seen()
                    local home = lines[1] and string.sub(lines[1], 1, 1)
                    expect(#lines):equals(outcome == "down" and 0 or 1)
                    expect(call:done()):equals(outcome ~= "never")
                    if outcome ~= "never" then
                        expect(call:wait().text):equals(outcomes.text(home, outcome, command))
                    end
                end)
            end
        end
    end)

    it("sends every command with a key to the key's child", function()
        route(text .. " }", "a", "b", "c")
        for i = 1, 20 do
            local home
            for _, command in ipairs(outcomes.commands) do
                send((string.gsub(command.line, "foo", "key" .. i)), command.value)
                local lines = seen()
                expect(#lines):equals(1)
                home = home or string.sub(lines[1], 1, 1)
                expect(string.sub(lines[1], 1, 1)):equals(home)
            end
        end
    end)
    it("spreads keys evenly", function()
        route(text .. " }", "a", "b", "c")
        local count = shares(3000)
        for _, name in ipairs{ "a", "b", "c" } do
            expect(count[name]):near(1000, 120)
        end
    end)
    it("moves few keys when a child is added", function()
        route([[return require "routes.sharded"{ children = { a, b, c } }]], "a", "b", "c")
        local before = homes(500)
        route([[return require "routes.sharded"{ children = { a, b, c, d } }]], "a", "b", "c", "d")
        local moved = 0
        for i, home in ipairs(homes(500)) do
            if home ~= before[i] then
                expect(home):equals("d")
                moved = moved + 1
            end
        end
        expect(moved):near(125, 40)
    end)
    it("moves the keys of a child that goes, and no others, with rendezvous and names", function()
        route([[return require "routes.sharded"{ children = { x = a, y = b, z = c }, dist = "rendezvous" }]], "a", "b", "c")
        local before = homes(300)
        route([[return require "routes.sharded"{ children = { y = b, z = c }, dist = "rendezvous" }]], "a", "b", "c")
        for i, home in ipairs(homes(300)) do
            if before[i] == "a" then
                expect(home == "a"):is_false()
            else
                expect(home):equals(before[i])
            end
        end
    end)
    it("gives a child its weight, by name or position", function()
        route([[return require "routes.sharded"{ children = { x = a, y = b }, dist = "rendezvous", weights = { y = 3 } }]], "a", "b")
        expect(shares(2000).b):near(1500, 100)
        route([[return require "routes.sharded"{ children = { a, b }, dist = "rendezvous", weights = { 3 } }]], "a", "b")
        expect(shares(2000).a):near(1500, 100)
    end)
    it("hashes what key gives", function()
        route(text .. [[, key = function(k) return string.sub(k, 1, 3) end }]], "a", "b", "c")
        expect(next(shares(100), next(shares(100)))):is_nil()
        expect(send("get key1").text):equals("END\r\n")
    end)
    it("hashes what is between the tags", function()
        route(text .. [[, hash_tag = "{}" }]], "a", "b", "c")
        for i = 1, 30 do
            send("get " .. i .. "{same}")
        end
        local homes_of_same = {}
        for _, line in ipairs(seen()) do
            homes_of_same[string.sub(line, 1, 1)] = true
        end
        expect(next(homes_of_same, next(homes_of_same))):is_nil()
        local count = shares(100)
        expect(count.a and count.b and count.c and true):is_true()
    end)
    it("places keys unlike the pools behind it, and unlike one with another seed", function()
        local function compare(fields)
            route(text .. " }", "a", "b", "c")
            local one, same = homes(600), 0
            route(text .. fields .. " }", "a", "b", "c")
            for i, home in ipairs(homes(600)) do
                same = same + (home == one[i] and 1 or 0)
            end
            return same
        end
        expect(compare([[, seed = "sharded"]])):equals(600)
        expect(compare([[, seed = ""]])):near(200, 50)
        expect(compare([[, seed = "other"]])):near(200, 50)
    end)
    it("places keys as a pool of backends does, with an empty seed", function()
        config([[
            function mcp_config_pools()
                local bs = {}
                for i, n in ipairs{ "a", "b", "c" } do bs[i] = mcp.backend(n, n, 11211) end
                return { one = mcp.pool(bs), a = mcp.pool({ bs[1] }), b = mcp.pool({ bs[2] }), c = mcp.pool({ bs[3] }) }
            end
            function mcp_config_routes(p)
                mcp.attach(mcp.CMD_GET, p.one)
                mcp.attach(mcp.CMD_TOUCH, require "routes.sharded"{ children = { p.a, p.b, p.c }, seed = "" })
            end]])
        for i = 1, 100 do
            send("get key" .. i)
            send("touch key" .. i .. " 1")
            local lines = seen()
            expect(string.sub(lines[1], 1, 1)):equals(string.sub(lines[2], 1, 1))
        end
    end)
    it("has handlers for children", function()
        route([[
            local sharded, allsync = require "routes.sharded", require "routes.allsync"
            return sharded{ children = { allsync{ children = { a, b } }, allsync{ children = { c, d } } } }]], "a", "b", "c", "d")
        local homes_seen = {}
        for i = 1, 20 do
            send("set key" .. i .. " 0 0 1", "x")
            local lines = seen()
            expect(#lines):equals(2)
            homes_seen[string.sub(lines[1], 1, 1) .. string.sub(lines[2], 1, 1)] = true
        end
        expect(homes_seen):equals{ ab = true, cd = true }
    end)
    for field, value in pairs{ dist = "\"jump\"", hash = "\"xxhash\"", seed = "\"x\"", salt = "\"1\"", filter = "\"tags\"", filter_conf = "\"{}\"",
        hash_tag = "\"{}\"", weights = "{}", key = "function(k) return k end" } do
        it("has no " .. field .. " with pool", function()
            expect(function() route("return require \"routes.sharded\"{ pool = a, " .. field .. " = " .. value .. " }", "a") end)
                :errors(field .. ": the pool has its own way to place keys")
        end)
    end

    it("is the pool itself with pool", function()
        route([[return require "routes.sharded"{ pool = a }]], "a")
        send("get foo")
        expect(seen()):equals{ "a: get foo" }
    end)
    for _, dist in ipairs{ "jump", "ring_hash", "rendezvous", "ketama", "consistent", "modula", "random", "ch3", "crc32", "weighted_ch3" } do
        it("places keys with " .. dist, function()
            route(text .. ", dist = '" .. dist .. "' }", "a", "b", "c")
            local count = shares(300)
            expect(count.a + count.b + count.c):equals(300)
            expect(count.a > 30 and count.b > 30 and count.c > 30):is_true()
        end)
    end
    it("takes a salt where mcrouter does", function()
        route(text .. [[, dist = "ch3" }]], "a", "b", "c")
        local plain, same = homes(300), 0
        route(text .. [[, dist = "ch3", salt = "x" }]], "a", "b", "c")
        for i, home in ipairs(homes(300)) do
            same = same + (home == plain[i] and 1 or 0)
        end
        expect(same):near(100, 40)
    end)
    for fields, problem in pairs{
        [""] = "sharded.children: is missing",
        ["children = { a }, pool = a"] = "sharded.pool: there are children, too",
        ["pool = a, hash = 'md5'"] = "sharded.hash: the pool has its own way to place keys",
        ["children = { a }, dist = 'jumpp'"] = "sharded: unknown key distribution specified: jumpp",
        ["children = { a }, hash = 'x'"] = "sharded: unknown hash specified: x",
        ["children = { a }, weights = { 1, 2 }"] = "sharded.weights: there is no child 2",
        ["children = { a }, weights = { 'x' }"] = "sharded.weights: want a number for child 1, got a string",
        ["children = { a }, dist = 'rendezvous', weights = { -1 }"] = "sharded: weights%[1%]: want a number from 0 on, got %-1",
        ["children = { a, b }, weights = { 2 }"] = "has a weight, and distribution jump has none",
        ["children = { a }, salt = 'x'"] = "sharded: distribution jump takes no salt",
    } do
        it("refuses { " .. fields .. " }", function()
            expect(function() route("return require 'routes.sharded'{ " .. fields .. " }", "a", "b") end):errors(problem)
        end)
    end
end)

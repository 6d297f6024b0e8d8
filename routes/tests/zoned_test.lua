-- zoned: the near zone first for reads, every zone for writes.

local outcomes = require "outcomes"

local THREE = [[return require "routes.zoned"{ zones = { z1 = a, z2 = b, z3 = c }, near = "z2" }]]
local READS = { get = true, gets = true, gat = true, mg = true, me = true }

local function reads(command)
    return READS[string.match(command.line, "^%a+")]
end

-- The order in which equal answers are taken, and in which zones are asked: the near one, then by name.
local ORDER = { "b", "a", "c" }

local function model(o, command)
    if reads(command) and o[1] == "hit" then
        return 1, 0
    end
    local far = outcomes.seconds({ o[2], o[3] })
    local near = outcomes.seconds({ o[1] })
    if reads(command) then
        if not near then
            return nil
        end
        for i = 2, 3 do
            if o[i] == "hit" then
                return i, near
            end
        end
    end
    if not near or not far then
        return nil
    end
    return (outcomes.best(o)), reads(command) and near + far or math.max(near, far)
end

local function sent(names, o, line, command)
    if not reads(command) then
        return outcomes.sent({ names[2], names[1], names[3] }, { o[2], o[1], o[3] }, line) -- in the order of the zones' names
    elseif o[1] == "hit" or o[1] == "never" then
        return outcomes.sent({ names[1] }, { o[1] }, line)
    end
    return outcomes.sent(names, o, line)
end

describe("zoned of three", function()
    for _, command in ipairs{ outcomes.command("get"), outcomes.command("ms foo 1 q"), outcomes.command("delete") } do
        outcomes.each(3, function(o)
            it(command.line .. ": near " .. table.concat(o, ", "), function()
                outcomes.check({ names = ORDER, route = THREE, model = model, sent = sent }, command, o)
            end)
        end, command.class == "read" and { "hit", "miss", "error", "timeout", "never" } or { "hit", "miss", "timeout" })
    end
end)

describe("zoned of two", function()
    outcomes.table{
        names = { "a", "b" }, route = [[return require "routes.zoned"{ zones = { z1 = a, z2 = b }, near = "z1" }]],
        commands = { outcomes.command("gets"), outcomes.command("mg foo v q"), outcomes.command("gat"), outcomes.command("touch"),
            outcomes.command("incr"), outcomes.command("md") },
        outcomes = { "hit", "miss", "down" },
        model = function(o, command)
            return model({ o[1], o[2], "down" }, command)
        end,
        sent = function(names, o, line, command)
            if reads(command) and o[1] == "hit" then
                return outcomes.sent({ names[1] }, { o[1] }, line)
            end
            return outcomes.sent(names, o, line)
        end,
    }
end)

describe("zoned", function()
    before_each(function()
        route([[return require "routes.zoned"{ zones = { z1 = near, z2 = far1, z3 = far2 }, near = "z1" }]], "near", "far1", "far2")
    end)

    for _, line in ipairs{ "get foo", "gets foo", "gat 9 foo", "gats 9 foo", "mg foo v", "me foo" } do
        it("reads from the near zone: " .. line, function()
            backend("near"):set("foo", "bar")
            expect(send(line).error):is_false()
            expect(seen()):equals{ "near: " .. line }
        end)
    end
    it("asks the others on a miss, and counts that", function()
        backend("far2"):set("foo", "bar")
        expect(send("get foo").value):equals("bar")
        expect(seen()):equals{ "near: get foo", "far1: get foo", "far2: get foo" }
        expect(stat("zoned_failovers")):equals(1)
        backend("near"):set("foo", "bar")
        send("get foo")
        send("set foo 0 0 1", "x")
        expect(stat("zoned_failovers")):equals(1)
    end)
    it("answers with the first hit of the others", function()
        for _, zone in ipairs{ "far1", "far2" } do
            backend(zone):set("foo", zone)
        end
        backend("far1"):slow(0.3)
        backend("far2"):slow(0.1)
        local res = send("get foo")
        expect(res.value):equals("far2")
        expect(res.time):equals(0.1)
    end)
    it("waits for every zone with a write", function()
        backend("far1"):slow(0.3)
        expect(send("set foo 0 0 3", "bar").time):equals(0.3)
        for _, zone in ipairs{ "near", "far1", "far2" } do
            expect(backend(zone):get("foo")):equals("bar")
        end
    end)
    it("takes as long as the near zone's timeout, and then the far ones answer", function()
        backend("near"):fails("timeout")
        backend("far1"):set("foo", "bar")
        local res = send("get foo")
        expect(res.value):equals("bar")
        expect(res.time):equals(3)
    end)
    it("is the pool itself if there is one zone", function()
        route([[return require "routes.zoned"{ zones = { z1 = near }, near = "z1", name = "mine" }]], "near")
        expect(send("get foo").text):equals("END\r\n")
        expect(stat("mine_failovers")):equals(0)
    end)
    it("counts the reads that the near zone could not answer, and no writes", function()
        route("return require \"routes.zoned\"{ zones = { z1 = a, z2 = b }, near = \"z1\", name = \"z\" }", "a", "b")
        backend("a"):fails("down")
        send("set foo 0 0 1", "x")
        expect(stat("z_failovers")):equals(0)
        expect(send("get foo").value):equals("x")
        expect(stat("z_failovers")):equals(1)
    end)
    it("takes the zone of local_zone()", function()
        config([[
            local_zone("east")
            pools{ w = { backends = { "127.0.0.1:1" } }, e = { backends = { "127.0.0.1:2" } } }
            routes{ default = route_zoned{ zones = { west = "w", east = "e" } } }]])
        backend("127.0.0.1:2"):set("foo", "east")
        expect(send("get foo").value):equals("east")
        expect(#seen()):equals(1)
    end)
    for fields, problem in pairs{
        ["zones = { z1 = a }, near = 'z2'"] = 'zoned.near: there is no zone "z2"',
        ["zones = { z1 = a }"] = "zoned.near: is missing",
        ["near = 'z1'"] = "zoned.zones: is missing",
        ["zones = { a }, near = 'z1'"] = "zoned.zones: want a table by name, got a list",
    } do
        it("refuses { " .. fields .. " }", function()
            expect(function() route("return require 'routes.zoned'{ " .. fields .. " }", "a") end):errors(problem)
        end)
    end
end)

describe("pool{} with a route", function()
    for name, router in pairs{
        ["logged"] = [[router{ router_type = "keyprefix", log = true }]],
        ["behind a pattern"] = [[router{ router_type = "keyprefix", match_prefix = "^/(%a+)/?/" }]],
        ["alone"] = [[router{ router_type = "flat", default_pool = "foo", log = true }]],
    } do
        it("serves, " .. name, function()
            config([[pool{ name = "foo", backends = { "127.0.0.1:1", "127.0.0.1:2" }, route = route_allsync{} }
                pool{ name = "bar", backends = { "127.0.0.1:3" } }]] .. router)
            expect(send("get /foo/a").text):equals("END\r\n")
            expect(#seen()):equals(2)
        end)
    end
end)

describe("a pattern", function()
    local function pattern(fields)
        config([[pool{ name = "foo", backends = { "127.0.0.1:1" } }
            router{ router_type = "keyprefix", match_prefix = "^(%a+)/?/"]] .. fields .. " }")
    end
    it("cuts the prefix, and the answer has the client's key", function()
        pattern("")
        backend("127.0.0.1:1"):set("a", "bar")
        expect(send("get foo//a").text):equals("VALUE foo//a 0 3\r\nbar\r\nEND\r\n")
    end)
    it("has no route for other keys", function()
        pattern("")
        expect(send("get bar/a").text):equals("SERVER_ERROR no route\r\n")
        expect(send("get a").text):equals("SERVER_ERROR no route\r\n")
        expect(send("get foo/").text):equals("CLIENT_ERROR nothing is left of the key behind its prefix\r\n")
    end)
    it("sends other keys to the default pool", function()
        pattern([[, default_pool = "foo", prefix_trim = false]])
        send("get bar/a")
        send("get a")
        expect(seen()):equals{ "127.0.0.1:1: get bar/a", "127.0.0.1:1: get a" }
    end)
end)

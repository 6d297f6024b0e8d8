-- tree: routes, command maps and zones of a declarative file, and routes of pool{}.

local POOLS = "pools{ a = { backends = { \"a:1\" } }, b = { backends = { \"b:1\" } }, set_z = { z1 = { backends = { \"c:1\" } } } } "

-- goes expects that what these lines ask for goes to the server of that name.
local function goes(want, c)
    for line, name in pairs(want) do
        (c or client()):send(line)
        expect(seen()):equals{ name .. ":1: " .. line }
    end
end

describe("routes", function()
    for text, problem in pairs{
        ["routes{ map = { x = { set = \"a\" } } }"] = "routes.map.x: want a route or the name of a pool, got a table",
        ["routes{ map = { x = \"c\" } }"] = ":1: routes.map.x: there is no pool \"c\"",
        ["routes{ map = { x = \"a\" }, conf = { mod = \"anchor\" } }"] = ":1: routes.conf: there is no field \"mod\"",
        ["routes{ map = { x = \"a\" }, conf = { mode = 1 } }"] = ":1: routes.conf.mode: want a string, got a number",
        ["routes{ map = { x = \"a\" }, conf = { start = 1 } }"] = ":1: routes.conf.start: want a string, got a number",
        ["routes{ map = { x = \"a\" }, conf = { stop = 1 } }"] = ":1: routes.conf.stop: want a string, got a number",
        ["routes{ map = { x = \"a\" }, conf = 1 }"] = ":1: routes.conf: want a table, got a number",
        ["routes{ map = { x = \"a\" }, conf = { mode = \"x\" } }"] = ":1: routes: unknown type passed to mcp.router_new",
        ["routes{ tag = 1, default = \"a\" }"] = ":1: routes.tag: want a string, got a number",
        ["cmdmap(1)"] = ":1: cmdmap: want a table of routes by command, got a number",
        ["routes{ map = { x = cmdmap{ sett = \"a\" } } }"] = ":1: cmdmap: there is no command \"sett\"; did you mean \"set\"?",
        ["routes{ map = { x = cmdmap{ set = \"c\" } } }"] = ":1: routes.map.x.set: there is no pool \"c\"",
        ["routes{ cmap = { sett = \"a\" } }"] = ":1: routes.cmap: there is no command \"sett\"; did you mean \"set\"?",
        ["routes{ cmap = { set = \"c\" } }"] = ":1: routes.cmap.set: there is no pool \"c\"",
        ["routes{ default = route_failover{ children = \"a\" } }"] =
            "failover.children: \"a\" is one pool: want a list, or a set of pools %(a name that begins with set_%)",
        ["routes{ default = route_failover{ children = \"set_y\" } }"] =
            "failover.children: there is no set of pools \"set_y\"; did you mean \"set_z\"?",
        ["routes{ default = \"set_z\" }"] = ":1: routes.default: \"set_z\" is a set of pools: want one",
        ["routes{ default = \"set_z_z2\" }"] = ":1: routes.default: there is no pool \"set_z_z2\"",
        ["pool{ name = \"x\", backends = { \"a:1\" } }"] = ":1: pool{}, router{} and my_zone%(%) make one form of configuration",
    } do
        it("are refused: " .. text, function()
            expect(function() config(POOLS .. text) end):errors(problem)
        end)
    end

    it("are found as conf says", function()
        config(POOLS .. "routes{ conf = { mode = \"anchor\", start = \"+\", stop = \":\" }, map = { x = \"a\" }, default = \"b\" }")
        goes{ ["get +x:1"] = "a", ["get x:1"] = "b", ["get x/1"] = "b" }
    end)
    it("are those of their listener", function()
        config(POOLS .. "routes{ default = \"a\" } routes{ tag = \"t\", default = \"b\" } " ..
            "routes{ tag = \"u\", map = { x = \"a\" }, default = \"b\" }")
        goes{ ["get 1"] = "a" }
        goes({ ["get 1"] = "b" }, client{ tag = "t" })
        goes({ ["get 1"] = "b", ["get x/1"] = "a" }, client{ tag = "u" })
    end)
    it("may be maps of commands, by name or number", function()
        config(POOLS .. "routes{ map = { x = cmdmap{ [mcp.CMD_GET] = \"a\", all = \"b\" } }, cmap = cmdmap{ get = \"b\" }, default = \"a\" }")
        goes{ ["get x/1"] = "a", ["delete x/1"] = "b", ["get 1"] = "b", ["delete 1"] = "a" }
    end)
    it("with a command's number that there is not are refused", function()
        expect(function() config(POOLS .. "routes{ cmap = cmdmap{ [mcp.CMD_GET] = \"c\" } }") end):errors("routes.cmap.%d+: there is no pool \"c\"")
    end)
    it("know the zone, until the next load", function()
        local zoned = "routes{ default = route_zfailover{ children = { z1 = \"a\", z2 = \"b\" } } }"
        config("local_zone(\"z2\") " .. POOLS .. zoned)
        backend("b:1"):set("1", "x")
        goes{ ["get 1"] = "b" }
        expect(function() config(POOLS .. zoned) end):errors("local_zone: is missing")
    end)
    it("are forgotten with the next load, as pools are", function()
        config("pools{ old = { backends = { \"old:1\" } } } " .. POOLS .. "routes{ default = \"old\" } routes{ tag = \"t\", default = \"old\" }")
        config(POOLS .. "routes{ default = \"a\" }")
        goes{ ["get 1"] = "a" }
        expect(function() config(POOLS .. "routes{ default = \"old\" }") end):errors("there is no pool \"old\"")
    end)
end)

describe("pool{ route = }", function()
    local function pool(fields)
        config("pool{ name = \"p\", backends = { \"a:1\", \"b:1\" }, route = " .. fields .. " }")
    end
    it("has the pool for a child that is not given", function()
        pool("route_ttl{ ttl = 60 }")
        local before = {}
        for i = 1, 20 do
            expect(send("set /p/" .. i .. " 0 0 1", "x").text):equals("STORED\r\n")
        end
        for _, line in ipairs(seen()) do
            before[string.sub(line, 1, 1)] = true
            expect(line):matches("^%a:1: set +%d+ 0 60 1$")
        end
        expect(before):equals{ a = true, b = true }
    end)
    it("has a pool of each backend for children that are not given", function()
        pool("route_allsync{}")
        send("get /p/x")
        expect(seen()):equals{ "a:1: get    x", "b:1: get    x" }
    end)
    it("has the children that are given", function()
        pool("route_failover{ children = { function() return \"SERVER_ERROR one\\r\\n\" end, function() return \"SERVER_ERROR two\\r\\n\" end } }")
        expect(send("get /p/x").text):equals("SERVER_ERROR one\r\n")
        pool("route_ttl{ ttl = 60, child = function() return \"SERVER_ERROR mine\\r\\n\" end }")
        expect(send("get /p/x").text):equals("SERVER_ERROR mine\r\n")
        expect(seen()):equals{}
    end)
    it("knows the zone", function()
        config("my_zone(\"z2\") pool{ name = \"p\", backends = { \"a:1\" }, route = route_zfailover{ children = { " ..
            "z1 = function() return \"SERVER_ERROR one\\r\\n\" end, z2 = function() return \"END\\r\\n\" end } } }")
        expect(send("get /p/x").text):equals("END\r\n")
    end)
    it("is found by its place", function()
        expect(function() pool("route_ttl{}") end):errors(":1: pool 'p': ttl.ttl: is missing")
    end)
end)

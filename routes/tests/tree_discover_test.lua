-- tree: pools that are discovered: what is wrong with what a configuration says of them, and which members get requests.

describe("discover", function()
    for fields, problem in pairs{
        ["a = { discover = 5 }"] = ":1: pools.a.discover: want true, a string such as \"srv://_leaf._tcp.example.com\" or a table, got 5",
        ["a = { discover = false }"] = ":1: pools.a.discover: want true, .* got false",
        ["a = { discover = \"x\" }"] = ":1: pools.a: mcp.discover: \"a\": cannot discover from \"x\"",
        ["a = { discover = { from = \"x\" } }"] = ":1: pools.a: mcp.discover: \"a\": cannot discover from \"x\"",
        ["a = { discover = { from = 5 } }"] = ":1: pools.a.discover.from: want a string, got a number",
        ["a = { discover = { zone = \"\" } }"] = ":1: pools.a: mcp.discover: zone: it is empty",
        ["a = { discover = { zon = \"z\" } }"] = ":1: pools.a.discover: there is no field \"zon\"; did you mean \"zone\"?",
        ["a = { discover = true, backends = { \"a:1\" } }"] = ":1: pools.a: want backends or discover, not both",
        ["set_z = { [\"\"] = { discover = true } }"] = "mcp.discover: zone: it is empty", -- the zone is the set's
        ["a = { discover = true, options = { seed = 1 } }"] = ":1: pools.a: mcp.discover: seed: want a string",
        ["a = { discover = true, backend_options = { depthlimit = -1 } }"] = ":1: pools.a: mcp.discover: depthlimit must be >= 0",
    } do
        it("is made or refused: " .. fields, function()
            expect(function() config("pools{ " .. fields .. " } routes{ default = \"a\" }") end):errors(problem)
        end)
    end
    for fields, problem in pairs{
        ["pool_options = { seed = 1 }"] = ":1: pools.a: mcp.discover: seed: want a string",
        ["backend_options = { depthlimit = -1 }"] = ":1: pools.a: mcp.discover: depthlimit must be >= 0",
    } do
        it("has the settings' " .. fields, function()
            expect(function() config("settings{ " .. fields .. " } pools{ a = { discover = true } } routes{ default = \"a\" }") end):errors(problem)
        end)
    end

    local function asks(fields, who)
        config("pools{ " .. fields .. " } routes{ default = \"" .. string.match(fields, "^[%w_]+") .. "\" }")
        expect(send("set k 0 0 1", "v").line):equals("STORED")
        expect(backend(who):get("k")):equals("v")
    end
    for fields, who in pairs{
        ["a = { discover = {} }"] = "a",
        ["a = { discover = true }"] = "a",
        ["a = { discover = \"dns://x:1\" }"] = "a",
        ["a = { discover = { pool = \"p\" } }"] = "p",
        ["a = { discover = { pool = \"p\" }, options = { hash = \"fnv1a_64\" } }"] = "p",
        ["a = { discover = true, backend_options = { tls = true } }"] = "a",
    } do
        it("asks the members of the pool that is meant: " .. fields, function()
            asks(fields, who)
        end)
    end

    it("asks the members of one zone, whoever those are now", function()
        members("p", { { name = "far", zone = "east" }, { name = "near", zone = "west" } })
        asks("a = { discover = { pool = \"p\", zone = \"west\" } }", "near")
        members("p", { { name = "far", zone = "east" }, { name = "other", zone = "west" } })
        send("set k 0 0 1", "w")
        expect(backend("other"):get("k")):equals("w")
        members("p", {})
        expect(send("get k").line):equals("SERVER_ERROR backend failure")
    end)

    it("takes the zones of a set for those of the pool", function()
        members("z", { { name = "far", zone = "east" }, { name = "near", zone = "west" } })
        config("pools{ set_z = { west = { discover = true }, east = { discover = true } } } local_zone(\"west\") " ..
            "routes{ default = route_zoned{ zones = \"set_z\" } }")
        send("set k 0 0 1", "v")
        expect(backend("far"):get("k")):equals("v")
        seen()
        expect(send("get k").value):equals("v")
        expect(seen()):equals{ "near: get k" }
    end)
end)

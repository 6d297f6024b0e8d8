-- tree: pools that are discovered, as far as a configuration says: there is no topology here, and the errors tell what would be asked for.

local NOWHERE = "pools cannot be discovered here"

describe("discover", function()
    for fields, problem in pairs{
        ["a = { discover = 5 }"] = ":1: pools.a.discover: want true, a string such as \"srv://_leaf._tcp.example.com\" or a table, got 5",
        ["a = { discover = false }"] = ":1: pools.a.discover: want true, .* got false",
        ["a = { discover = {} }"] = ":1: pools.a: mcp.discover: \"a\": " .. NOWHERE,
        ["a = { discover = true }"] = ":1: pools.a: mcp.discover: \"a\": " .. NOWHERE,
        ["a = { discover = \"dns://x:1\" }"] = ":1: pools.a: mcp.discover: \"a\": " .. NOWHERE,
        ["a = { discover = \"x\" }"] = ":1: pools.a: mcp.discover: \"a\": cannot discover from \"x\"",
        ["a = { discover = { from = \"x\" } }"] = ":1: pools.a: mcp.discover: \"a\": cannot discover from \"x\"",
        ["a = { discover = { from = 5 } }"] = ":1: pools.a.discover.from: want a string, got a number",
        ["a = { discover = { pool = \"p\" } }"] = ":1: pools.a: mcp.discover: \"p\": " .. NOWHERE,
        ["a = { discover = { zone = \"\" } }"] = ":1: pools.a: mcp.discover: zone: it is empty",
        ["a = { discover = { zon = \"z\" } }"] = ":1: pools.a.discover: there is no field \"zon\"; did you mean \"zone\"?",
        ["a = { discover = true, backends = { \"a:1\" } }"] = ":1: pools.a: want backends or discover, not both",
        ["set_z = { { discover = true } }"] = ":1: pools.set_z%[1%]: mcp.discover: \"z\": " .. NOWHERE,
        ["set_z = { west = { discover = true } }"] = ":1: pools.set_z.west: mcp.discover: \"z\": " .. NOWHERE,
        ["set_z = { [\"\"] = { discover = true } }"] = "mcp.discover: zone: it is empty", -- the zone is the set's
        ["set_z = { [\"\"] = { discover = { zone = \"z\" } } }"] = "mcp.discover: \"z\": " .. NOWHERE,
        ["a = { discover = true, options = { seed = 1 } }"] = ":1: pools.a: mcp.discover: seed: want a string",
        ["a = { discover = true, backend_options = { depthlimit = -1 } }"] = ":1: pools.a: mcp.discover: depthlimit must be >= 0",
        ["a = { discover = true, backend_options = { tls = true } }"] = NOWHERE, -- and not that TLS is not prepared
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
end)

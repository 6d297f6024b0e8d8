-- tree: what is wrong with a declarative file is said where it stands, and what is right is routed.

local POOLS = "pools{ a = { backends = { \"a:11211\" } }, b = { backends = { \"b:11211\" } } } "

describe("declarative files", function()
    for text, problem in pairs{
        ["pools{ a = 1 }"] = "want a table of fields, got a number",
        ["pools{ a = {} }"] = "backends: is missing",
        ["pools{ a = { backends = {} } }"] = "backends: the list is empty",
        ["pools{ a = { backends = 1 } }"] = "backends: want a",
        ["pools{ a = { backends = { true } } }"] = "backends%[1%]: want an address such as .* or a table for mcp.backend, got a boolean",
        ["pools{ a = { backends = { {} } } } routes{ default = \"a\" }"] = "host: is missing",
        ["pools{ a = { backends = { \"\" } } } routes{ default = \"a\" }"] = "want an address such as \"127.0.0.1:11211\", got \"\"",
        ["pools{ a = { backend = { \"a\" } } }"] = "there is no field \"backend\"; did you mean \"backends\"",
        ["pools(1)"] = "pools: want a table of pools by name, got a number",
        ["pools{ { backends = { \"a\" } } }"] = "want pools by name, got a list",
        ["pools{ internal = { backends = { \"a\" } } }"] = "that is the name of the proxy's own store",
        [POOLS .. "pools{ a = { backends = { \"a\" } } }"] = "there is another pool of this name, at ",
        [POOLS .. "routes{}"] = "routes: there is neither map, nor cmap, nor default",
        [POOLS .. "routes(1)"] = "routes: want a table of fields, got a number",
        [POOLS .. "routes{ default = \"a\" } routes{ default = \"b\" }"] = "routes: there is another one without a tag, at ",
        [POOLS .. "routes{ tag = \"x\", default = \"a\" } routes{ tag = \"x\", default = \"b\" }"] = "there is another one with the tag \"x\", at ",
        [POOLS .. "routes{ default = 1 }"] = "routes.default: want a route or the name of a pool, got a number",
        [POOLS .. "routes{ default = \"c\" }"] = "there is no pool \"c\"",
        [POOLS .. "routes{ map = 1 }"] = "routes.map: want a table, got a number",
        [POOLS .. "routes{ cmap = { got = \"a\" } }"] = "there is no command \"got\"",
        ["local_zone(\"\")"] = "local_zone: want the name of a zone, got none",
        ["local_zone(1)"] = "local_zone: want the name of a zone, got a number",
    } do
        it("are refused: " .. text, function()
            expect(function() config(text) end):errors(problem)
        end)
    end

    it("send a command to its route, a prefix to its own, and the rest to the default", function()
        config(POOLS .. "routes{ map = { x = \"b\" }, cmap = { set = \"b\" }, default = \"a\" }")
        for line, want in pairs{ ["get x/1"] = "b", ["get y/1"] = "a", ["delete x/1"] = "b", ["delete 1"] = "a", ["get xx/1"] = "a" } do
            send(line)
            expect(seen()):equals{ want .. ":11211: " .. line }
        end
        send("set y/1 0 0 1", "x")
        expect(seen()):equals{ "b:11211: set y/1 0 0 1" }
    end)
end)

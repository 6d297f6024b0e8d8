-- Tests of child_wrap: one handler around each of a list of children, or of a set of pools.

local POOLS = [[
    verbose(true)
    pools{
        set_x = { x = { backends = { "10.0.0.1:1 a" } }, y = { backends = { "10.0.0.2:1 b" } } },
        set_n = { { backends = { "10.0.0.1:1 a" } }, { backends = { "10.0.0.2:1 b" } } },
        c = { backends = { "10.0.0.3:1 c" } },
    }
]]

describe("child_wrap", function()
    for _, children in ipairs{
        [[route_ttl{ child_wrap = "set_n", ttl = 60 }]],
        [[route_ttl{ child_wrap = "set_x", ttl = 60 }]],
        [[route_ttl{ child_wrap = { "set_x_x", "set_n_2" }, ttl = 60 }]],
        [[route_ttl{ child_wrap = route_direct{ child_wrap = "set_n" }, ttl = 60 }]],
        [[route_direct{ child_wrap = route_ttl{ child_wrap = { route_direct{ child = "set_n_1" }, "set_n_2" }, ttl = 60 } }]],
    } do
        it("puts a handler around each of " .. children, function()
            config(POOLS .. "routes{ default = route_allsync{ children = " .. children .. " } }")
            expect(send("set foo 0 0 3", "bar").line):equals("STORED")
            local lines = seen()
            table.sort(lines)
            expect(lines):equals{ "a: set foo 0 60 3", "b: set foo 0 60 3" }
        end)
    end

    it("keeps the names of zones", function()
        config(POOLS .. [[routes{ default = route_zfailover{ children = route_direct{ child_wrap = "set_x" }, local_zone = "y" } }]])
        backend("b"):set("foo", "bar")
        send("get foo")
        expect(seen()):equals{ "b: get foo" }
    end)

    for _, c in ipairs{
        { [[route_direct{ child_wrap = "set_n" }]], "routes.default: direct.child_wrap: makes several routes, where one is wanted" },
        { [[route_direct{ child = route_direct{ child_wrap = "set_n" } }]],
            "routes.default: direct.child: direct.child_wrap: makes several routes, where one is wanted" },
        { [[route_allsync{ children = { route_direct{ child_wrap = "set_n" } } }]],
            "routes.default: allsync.children%[1%]: direct.child_wrap: makes several routes, where one is wanted" },
        { [[route_allsync{ children = route_direct{ child = "c" } }]], "allsync.children: want a list of pools" },
        { [[route_allsync{ children = route_direct{ child_wrap = "set_m" } }]],
            "routes.default: allsync.children: direct.child_wrap: there is no set of pools \"set_m\"; did you mean \"set_[nx]\"%?" },
        { [[route_allsync{ children = route_direct{ child_wrap = { "c", "d" } } }]],
            "routes.default: allsync.children%[2%]: direct.child: there is no pool \"d\"" },
        { [[route_allsync{ children = route_direct{ child_wrap = 1 } }]], "direct.child_wrap: want a list of pools" },
        { [[route_allsync{ children = route_direct{ child_wrap = "set_n", child = "c" } }]], "direct: there is no field \"child_wrap\"" },
        { [[route_allsync{ children = route_null{ child_wrap = "set_n" } }]], "null: there is no field \"child_wrap\"" },
        { [["set_n_3"]], "routes.default: there is no pool \"set_n_3\"" },
        { [["set_n"]], "routes.default: \"set_n\" is a set of pools: want one" },
    } do
        it("refuses " .. c[1], function()
            expect(function() config(POOLS .. "routes{ default = " .. c[1] .. " }") end):errors(c[2])
        end)
    end
end)

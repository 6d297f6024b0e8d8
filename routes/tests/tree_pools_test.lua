-- tree: settings and pools of a declarative file: what they may hold, and that it is so.

local A = "pools{ a = { backends = { \"a:1\" } } } "
local TO_A = "routes{ default = \"a\" }"

describe("settings", function()
    for name, good in pairs{
        backend_connect_timeout = 2, backend_retry_waittime = 2, backend_read_timeout = 2, backend_failure_limit = 2, backend_flap_time = 2,
        backend_flap_backoff_ramp = 2, backend_flap_backoff_max = 2, backend_use_tls = true, tcp_keepalive = true, active_req_limit = 2,
        active_request_limit = 2, buffer_memory_limit = 2, pool_options = {}, backend_options = {},
    } do
        it("may hold " .. name .. ", of its type alone", function()
            local is = type(good) == "table" and "{}" or tostring(good)
            config("settings{ " .. name .. " = " .. is .. " } " .. A .. TO_A)
            expect(send("get x").text):equals("END\r\n")
            expect(function() config("settings{ " .. name .. " = \"x\" } " .. A .. TO_A) end):errors(
                ":1: settings%." .. name .. ": want a " .. type(good) .. ", got a string")
        end)
    end
    for text, problem in pairs{
        ["settings(1)"] = ":1: settings: want a table of fields, got a number",
        ["settings{ backend_red_timeout = 1 }"] = ":1: settings: there is no field \"backend_red_timeout\"; did you mean \"backend_read_timeout\"?",
        ["\nsettings{ buffer_memory_limit = -1 } " .. A .. TO_A] = ":2: settings: buffer_memory_limit must be >= 0",
        ["settings{ pool_options = { dist = \"x\" } } " .. A .. TO_A] = ":1: pools.a: .*dist",
        ["settings{ backend_options = { depthlimit = -1 } } " .. A .. TO_A] = ":1: pools.a.backends%[1%]: .*depthlimit must be >= 0",
        ["settings{ backend_read_timeout = 1 }\n" .. A] = ":1: there is no routes{}",
    } do
        it("are refused: " .. text, function()
            expect(function() config(text) end):errors(problem)
        end)
    end

    it("are those of all backends", function()
        config("settings{ backend_read_timeout = 1 } " .. A .. TO_A)
        backend("a:1"):fails("timeout")
        expect(send("get x").time):equals(1)
    end)
    it("count requests and memory, with either name", function()
        config("settings{ active_request_limit = 5, buffer_memory_limit = 7 } " .. A .. TO_A)
        expect(stat("active_req_limit")):equals(5)
        expect(stat("buffer_memory_limit")):equals(7 * 1024)
        config("settings{ active_req_limit = 6 } " .. A .. TO_A)
        expect(stat("active_req_limit")):equals(6)
    end)
    it("are gathered of several, and forgotten with the next load", function()
        config("settings{ active_req_limit = 5 } settings{ backend_options = { readtimeout = 1 } } " .. A .. TO_A)
        expect(stat("active_req_limit")):equals(5)
        backend("a:1"):fails("timeout")
        expect(send("get x").time):equals(1)
        config(A .. TO_A)
        backend("a:1"):fails("timeout")
        expect(send("get x").time):equals(3)
    end)
    it("prepare TLS where they want it", function()
        config("settings{ backend_use_tls = true } " .. A .. TO_A)
        expect(send("get x").text):equals("END\r\n")
    end)
    it("give options to backends, which a pool and a backend may change", function()
        config("settings{ backend_options = { readtimeout = 2 } } pools{ " ..
            "a = { backends = { \"a:1\" } }, " ..
            "b = { backends = { \"b:1\" }, backend_options = { readtimeout = 1 } }, " ..
            "c = { backends = { { host = \"c\", readtimeout = 0.5 } }, backend_options = { readtimeout = 1 } } } " ..
            "routes{ map = { a = \"a\", b = \"b\", c = \"c\" } }")
        for name, seconds in pairs{ ["a:1"] = 2, ["b:1"] = 1, ["c:11211"] = 0.5 } do
            backend(name):fails("timeout")
            expect(send("get " .. string.sub(name, 1, 1) .. "/x").time):equals(seconds)
        end
    end)
    it("give options to pools, which a pool may change", function()
        local two = "backends = { \"a:1\", \"b:1\" }"
        config("settings{ pool_options = { hash_tag = \"{}\" } } " ..
            "pools{ one = { " .. two .. " }, many = { " .. two .. ", options = { hash_tag = \"<>\" } } } " ..
            "routes{ map = { one = \"one\", many = \"many\" } }")
        -- servers is how many the keys of these tags go to
        local function servers(key)
            local names = {}
            for i = 1, 20 do
                send("get " .. string.gsub(key, "N", i))
            end
            for _, line in ipairs(seen()) do
                names[string.sub(line, 1, 1)] = true
            end
            return (names.a and 1 or 0) + (names.b and 1 or 0)
        end
        expect(servers("one/{x}N")):equals(1)
        expect(servers("one/<x>N")):equals(2)
        expect(servers("many/{x}N")):equals(2)
        expect(servers("many/<x>N")):equals(1)
    end)
end)

describe("pools", function()
    for text, problem in pairs{
        ["pools{ set_z = {} }"] = "pools.set_z: want pools, in a list or by zone",
        ["pools{ set_z = 1 }"] = "pools.set_z: want pools, in a list or by zone",
        ["pools{ set_z = { { backends = {} } } }"] = ":1: pools.set_z%[1%].backends: the list is empty",
        ["pools{ a = { backends = { \"a:1\", x = \"b:1\" } } }"] = ":1: pools.a.backends: want a list, got a field \"x\"",
        ["pools{ a = { backends = { \"a:1\", [3] = \"b:1\" } } }"] = ":1: pools.a.backends: the list has holes",
        ["pools{ set_z = { west = {} } }"] = ":1: pools.set_z.west.backends: is missing",
        ["pools{ a = { backends = { \"a\" }, options = 1 } }"] = ":1: pools.a.options: want a table, got a number",
        ["pools{ a = { backends = { \"a\" }, backend_options = 1 } }"] = ":1: pools.a.backend_options: want a table, got a number",
        ["pools{ a = { backends = { \"nowhere\" } } } " .. TO_A] = ":1: pools.a: cannot read backend address \"nowhere\"",
        ["pools{ a = { backends = { \"a:1\", { host = \"a\", depthlimit = -1 } } } } " .. TO_A] =
            ":1: pools.a.backends%[2%]: .*depthlimit must be >= 0",
        ["pools{ set_z = { west = { backends = { \"nowhere\" } } } } routes{ default = \"set_z_west\" }"] =
            ":1: pools.set_z.west: cannot read backend address",
        ["pools{ set_z = { { backends = { \"nowhere\" } } } } routes{ default = \"set_z_1\" }"] = ":1: pools.set_z%[1%]: cannot read backend address",
        ["\n" .. A] = ":2: there is no routes{}",
        ["\n\nlocal_zone(\"x\")\n" .. A] = ":3: there is no routes{}",
        [A .. "function mcp_config_pools() end function mcp_config_routes() end"] = ":1: a file that defines mcp_config_pools cannot use",
        ["routes{ default = \"a\" } function mcp_config_pools() end function mcp_config_routes() end"] =
            "a file that defines mcp_config_pools cannot use",
        ["cmdmap{} function mcp_config_pools() end function mcp_config_routes() end"] = "a file that defines mcp_config_pools cannot use",
    } do
        it("are refused: " .. text, function()
            expect(function() config(text) end):errors(problem)
        end)
    end

    it("have backends of an address, a label, or a table", function()
        config("pools{ " ..
            "a = { backends = { \"a:1\" } }, b = { backends = { \"b:1 x\" } }, c = { backends = { { host = \"c\" } } }, " ..
            "d = { backends = { { host = \"d\", port = 7 } } }, e = { backends = { { address = \"nats://127.0.0.1:9/e\" } } }, " ..
            "f = { backends = { { host = \"f\", label = \"ef\" } } } } " ..
            "routes{ map = { a = \"a\", b = \"b\", c = \"c\", d = \"d\", e = \"e\", f = \"f\" } }")
        for key, name in pairs{ a = "a:1", b = "x", c = "c:11211", d = "d:7", e = "e", f = "ef" } do
            send("get " .. key .. "/x")
            expect(seen()):equals{ name .. ": get " .. key .. "/x" }
        end
    end)
    it("are sent nothing where they are _down_", function()
        config("pools{ a = { backends = { \"a:1 _down_\" } } } " .. TO_A)
        expect(send("get x").text):equals("SERVER_ERROR backend failure\r\n")
        expect(seen()):equals{}
        config("pools{ a = { backends = { \"a:1\" } } } " .. TO_A)
        expect(send("get x").text):equals("END\r\n")
    end)
    it("may have backends with TLS", function()
        config("pools{ a = { backends = { { host = \"a\", tls = true } } } } " .. TO_A)
        expect(send("get x").text):equals("END\r\n")
    end)
    it("in sets are numbered or have names", function()
        config("pools{ set_n = { { backends = { \"a:1\" } }, { backends = { \"b:1\" } } }, set_z = { west = { backends = { \"c:1\" } } } } " ..
            "routes{ map = { one = \"set_n_1\", two = \"set_n_2\", west = \"set_z_west\" } }")
        for key, name in pairs{ one = "a:1", two = "b:1", west = "c:1" } do
            send("get " .. key .. "/x")
            expect(seen()):equals{ name .. ": get " .. key .. "/x" }
        end
    end)
    it("include the proxy's own store", function()
        for _, text in ipairs{
            "default = \"internal\"", "map = { x = \"internal\" }", "cmap = { all = \"internal\" }", "default = route_direct{ child = \"internal\" }",
        } do
            config("routes{ " .. text .. " }")
            expect(send("set x/1 0 0 1", "y").text):equals("STORED\r\n")
            expect(send("get x/1").value):equals("y")
        end
    end)
end)

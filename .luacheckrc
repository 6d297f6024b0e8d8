-- What luacheck accepts in the Lua that we ship: Lua 5.1, which also runs on 5.4, and no globals but those that a user's file is meant to see.
std = "lua51"
max_line_length = 150
read_globals = { "mcp" }

-- A configuration file defines the two stages for the proxy to call.
globals = { "mcp_config_pools", "mcp_config_routes" }

-- scripts/simple.lua defines the words of the declarative format; examples use them.
local words = {
    "pool", "router", "my_zone",
    "pools", "routes", "settings", "cmdmap", "verbose", "register_route_handlers", "local_zone", "local_zone_from_env", "local_zone_from_file",
}
files["scripts/simple.lua"] = { globals = words }
files["examples"] = { read_globals = words, ignore = { "113/route_.*" } }

-- The LuaLS definitions are generated and run nowhere.
exclude_files = { "scripts/meta" }

-- Tests of routes (`tidepool test`) have words of their own: docs/testing.md.
local tests = { read_globals = {
    "describe", "it", "before_each", "after_each", "route", "config", "backend", "send", "start", "client",
    "advance", "now", "seen", "stat", "log", "members", "expect", "fail",
} }
files["**/*_test.lua"] = tests
files["routes/tests"] = tests
files["examples/tests"] = tests
files["**/testdata/helpers.lua"] = tests

-- The declarative words: pool{}, router{} and my_zone(), and the two stages that make routes of them.
--
-- This file runs before every configuration. If the configuration defines mcp_config_pools and mcp_config_routes
-- itself, the words are only names that it need not use; else the stages returned at the end serve.
--
--   pool{ name = "foo", backends = { "nats://127.0.0.1:4301", "127.0.0.1:11212" } }
--   pool{ name = "bar", zones = { z1 = { ... }, z2 = { ... } } }
--   pool{ name = "users", discover = true }, or discover = "srv://_leaf._tcp.leaves.default.svc", or zones = { "z1", "z2" } too
--   my_zone("z1")
--   router{ router_type = "keyprefix", match_prefix = "/(%a+)/", default_pool = nil }
--
-- or, with a tree of routes (see routes/tree.lua):
--
--   pools{ foo = { backends = { "127.0.0.1:11212" } }, bar = { backends = { "127.0.0.1:11213" } } }
--   routes{ map = { x = route_failover{ children = { "foo", "bar" } } }, default = route_direct{ child = "foo" } }

local handler = require "routes.handler"
local patterns = require "routes.pattern"
local registered = require "routes.registered"
local tree = require "routes.tree"
tree.reset() -- of what was loaded before

local declared = { pools = {}, order = {}, router = nil, zone = nil, first = nil }

local NO_ROUTE = "SERVER_ERROR no route\r\n"
local COUNTER = "simple" -- simple_failovers counts reads that the near zone could not answer

-- Fields of each word: their type, for checking.
local POOL_FIELDS = {
    name = "string", backends = "table", zones = "table", distributor = "table", zone_distributors = "table", route = "table", discover = "any",
}
local ROUTER_FIELDS = { router_type = "string", match_prefix = "string", prefix_trim = "boolean", default_pool = "string", log = "boolean" }

local function sorted_keys(t)
    local keys = {}
    for k in pairs(t) do
        keys[#keys + 1] = tostring(k)
    end
    table.sort(keys)
    return keys
end

-- fail stops the load; where is the file:line of the declaration.
local function fail(where, ...)
    error(where .. ": " .. table.concat({ ... }), 0)
end

-- check_fields refuses unknown fields and fields of the wrong type.
local function check_fields(where, what, t, fields)
    if type(t) ~= "table" then
        fail(where, what, ": want a table of fields, got ", type(t))
    end
    for k, v in pairs(t) do
        local want = fields[k]
        if want == nil then
            fail(where, what, ": unknown field '", tostring(k), "'; there are ", table.concat(sorted_keys(fields), ", "))
        end
        if want ~= "any" and type(v) ~= want then
            fail(where, what, ": ", k, ": want a ", want, ", got ", type(v))
        end
    end
end

-- check_backends refuses a list that is none, or is empty.
local function check_backends(where, what, list)
    if type(list) ~= "table" then
        fail(where, what, ": want a list of addresses, got ", type(list))
    end
    local n = 0
    for k, v in pairs(list) do
        if type(k) ~= "number" then
            fail(where, what, ": want a list of addresses, got a field '", tostring(k), "'")
        end
        if type(v) ~= "string" then
            fail(where, what, "[", tostring(k), "]: want an address such as '127.0.0.1:11211', got ", type(v))
        end
        n = n + 1
    end
    if n == 0 or n ~= #list then
        fail(where, what, n == 0 and ": the list is empty" or ": the list has holes")
    end
end

-- has_children is whether a route asks several children and was not given them.
local function has_children(spec)
    for _, d in ipairs(spec.handler.fields) do
        if d[1] == "children" and spec.given.children == nil then
            return true
        end
    end
    return false
end

-- check_discovered checks what a pool{} with discover says besides.
local function check_discovered(where, what, t)
    tree.discover_options(where, what .. "discover", t.discover)
    if t.backends ~= nil then
        fail(where, what, "want backends or discover, not both")
    end
    for i, zone in pairs(t.zones or {}) do
        if type(i) ~= "number" or type(zone) ~= "string" then
            fail(where, what, "zones: want the names of zones in a list, as discover finds their backends")
        end
    end
    if t.route ~= nil and has_children(t.route) then
        fail(where, what, "route: it asks several children, and the backends of a discovered pool are not known when routes are made: ",
            "use pools{} and routes{}")
    end
end

-- The words. Each notes where it stands in the file, for errors that show only later.

function pool(t)
    local where = mcp.where(2)
    declared.first = declared.first or where
    check_fields(where, "pool", t, POOL_FIELDS)
    if t.name == nil then
        fail(where, "pool: name is missing")
    end
    local what = "pool '" .. t.name .. "': "
    if declared.pools[t.name] then
        fail(where, what, "name: there is another pool of this name")
    end
    if t.discover == nil and t.backends == nil and t.zones == nil then
        fail(where, what, "backends is missing")
    end
    if t.backends ~= nil then
        check_backends(where, what .. "backends", t.backends)
    end
    if t.zones ~= nil and next(t.zones) == nil then
        fail(where, what, "zones: the table is empty")
    end
    if t.discover ~= nil and t.zone_distributors ~= nil then
        fail(where, what, "zone_distributors: discovered zones have one distributor")
    end
    for zone, d in pairs(t.zone_distributors or {}) do
        if (t.zones or {})[zone] == nil then
            fail(where, what, "zone_distributors: there is no zone '", tostring(zone), "' among its zones")
        elseif type(d) ~= "table" then
            fail(where, what, "zone_distributors.", tostring(zone), ": want a table, got ", type(d))
        end
    end
    for zone, list in pairs(t.discover == nil and t.zones or {}) do
        check_backends(where, what .. "zones." .. tostring(zone), list)
    end
    if t.route ~= nil and not handler.is_spec(t.route) then
        fail(where, what, "route: want a route, such as route_hedged{}, got a table")
    elseif t.route ~= nil and t.zones ~= nil then
        fail(where, what, "route: a pool with zones has its own")
    end
    if t.discover ~= nil then
        check_discovered(where, what, t)
    end
    declared.pools[t.name] = { conf = t, where = where }
    declared.order[#declared.order + 1] = t.name
end

function router(t)
    local where = mcp.where(2)
    declared.first = declared.first or where
    check_fields(where, "router", t, ROUTER_FIELDS)
    if declared.router then
        fail(where, "router: there is another router")
    end
    local kind = t.router_type
    if kind ~= nil and kind ~= "keyprefix" and kind ~= "flat" then
        fail(where, "router: router_type: want 'keyprefix' or 'flat', got '", kind, "'")
    end
    if t.match_prefix ~= nil and not patterns.good(t.match_prefix) then
        fail(where, "router: match_prefix: '", t.match_prefix, "' is no Lua pattern")
    end
    declared.router = { conf = t, where = where }
end

function my_zone(name)
    local where = mcp.where(2)
    declared.first = declared.first or where
    if type(name) ~= "string" or name == "" then
        fail(where, "my_zone: want the name of a zone, got ", type(name))
    end
    declared.zone = name
end

-- The words of a tree of routes.

function settings(t)
    tree.add_settings(t, mcp.where(2))
end

function pools(t)
    tree.add_pools(t, mcp.where(2))
end

function routes(t)
    tree.add_routes(t, mcp.where(2))
end

function cmdmap(t)
    return tree.cmdmap(t, mcp.where(2))
end

function local_zone(name)
    if name == nil then
        return tree.zone
    end
    tree.set_zone(name, mcp.where(2))
end

function local_zone_from_env(name)
    local where = mcp.where(2)
    local zone = os.getenv(name)
    if not zone then
        fail(where, "local_zone_from_env: there is no '", tostring(name), "' in the environment")
    end
    tree.set_zone(zone, where)
end

function local_zone_from_file(path)
    local where = mcp.where(2)
    local f, err = io.open(path, "r")
    local zone = f and f:read("l")
    if f then
        f:close()
    end
    if not zone then
        fail(where, "local_zone_from_file: ", err or "'" .. path .. "' is empty")
    end
    tree.set_zone(zone, where)
end

-- verbose is routelib's word for telling more of a load. There is nothing more to tell here than `tidepool explain` does.
function verbose(on)
    local where = mcp.where(2)
    if type(on) ~= "boolean" then
        fail(where, "verbose: want true or false, got a ", type(on))
    end
    tree.note(where)
end

-- What the library has that is no handler.
local PARTS = {
    handler = true, tree = true, answers = true, best = true, commands = true, compare = true, copies = true, hedging = true, keys = true,
    limit = true, pattern = true, placeholder = true, registered = true, requests = true,
}

-- route_NAME for every handler of the library, which is loaded when it is first used.
local words = {}
for module in pairs(package.preload) do
    local name = string.match(module, "^routes%.([%w_]+)$")
    if name and not PARTS[name] then
        words[#words + 1] = "route_" .. name
        _G["route_" .. name] = function(t)
            local where = mcp.where(2)
            local h = require(module)
            tree.note(where)
            return handler.spec(h, t, where)
        end
    end
end
table.sort(words)

-- register_route_handlers makes words of handlers that are not the library's, or takes the place of one that is: see routes/registered.lua. What
-- require gives besides a module, where its file is, may stand behind it in the list.
function register_route_handlers(list)
    local here = mcp.where(2)
    tree.note(here)
    if type(list) ~= "table" then
        fail(here, "register_route_handlers: want a list, got a ", type(list))
    end
    for i, given in ipairs(list.make and { list } or list) do
        local h, problem = registered.add(given)
        if h then
            local word = "route_" .. h.name
            registered.words[#registered.words + 1] = word
            _G[word] = function(t)
                local where = mcp.where(2)
                tree.note(where)
                return registered.spec(h, t, where)
            end
        elseif type(given) ~= "string" or type(list[i - 1]) ~= "table" then
            fail(here, "register_route_handlers[", i, "]: ", problem)
        end
    end
end

-- The pools stage.

-- make_pool makes one mcp.pool; an address is "host:port", "host:port label", "unix:/path" or "nats://host:port[/leaf]".
local function make_pool(where, what, name, list, opts)
    local backends = {}
    for i, text in ipairs(list) do
        local address, label = string.match(text, "^%s*(%S+)%s+(%S+)%s*$")
        backends[i] = mcp.backend{ address = address or text, label = label }
    end
    local o = { name = name }
    for k, v in pairs(opts or {}) do
        o[k] = v
    end
    local ok, made = pcall(mcp.pool, backends, o)
    if not ok then
        fail(where, what, ": ", tostring(made))
    end
    return made
end

-- discover makes a pool of a declaration with discover, or a table of one for each zone.
local function discover(d, what)
    local o = tree.discover_options(d.where, what .. ": discover", d.conf.discover)
    local pool = o.pool or d.conf.name
    o.pool, o.name, o.zones = nil, d.conf.name, d.conf.zones
    for k, v in pairs(d.conf.distributor or {}) do
        o[k] = v
    end
    local ok, made = pcall(mcp.discover, pool, o)
    if not ok then
        fail(d.where, what, ": ", tostring(made))
    end
    return made
end

-- make_zones makes a pool for each zone of a declaration.
local function make_zones(d, my)
    local what = "pool '" .. d.conf.name .. "': zones"
    if d.conf.discover ~= nil then
        local zones = discover(d, "pool '" .. d.conf.name .. "'")
        if zones[my] == nil then
            fail(d.where, what, ": there is no zone '", my, "', which my_zone() names; there are ", table.concat(sorted_keys(zones), ", "))
        end
        return zones
    end
    if d.conf.zones[my] == nil then
        fail(d.where, what, ": there is no zone '", my, "', which my_zone() names; there are ", table.concat(sorted_keys(d.conf.zones), ", "))
    end
    local zones = {}
    for zone, list in pairs(d.conf.zones) do
        local dist = (d.conf.zone_distributors or {})[zone] or d.conf.distributor
        zones[zone] = make_pool(d.where, what .. "." .. zone, d.conf.name .. "." .. zone, list, dist)
    end
    return zones
end

local function config_pools()
    if next(tree.trees) or next(tree.pools) then
        if declared.first then
            fail(declared.first, "pool{}, router{} and my_zone() make one form of configuration, pools{}, routes{} and local_zone() another: ",
                "use one of them")
        elseif not next(tree.trees) then
            fail(tree.first, "there is no routes{}: nothing says which requests go to these pools")
        end
        return { tree = tree.config_pools() }
    end
    mcp.counter(COUNTER .. "_failovers")
    if #declared.order == 0 then
        error("the configuration declares no pool{} and defines no mcp_config_pools", 0)
    end
    local r = declared.router and declared.router.conf or {}
    local where = declared.router and declared.router.where or ""
    local conf = {
        flat = r.router_type == "flat",
        match_prefix = r.match_prefix or "/(%a+)/",
        trim = r.prefix_trim ~= false,
        log = r.log,
        zone = declared.zone,
        default = r.default_pool,
        pools = {},
        each = {}, -- of a pool with a route: a pool for each backend
    }
    if conf.flat then
        conf.default = conf.default or "default"
    end
    if conf.default and not declared.pools[conf.default] then
        if r.default_pool then
            fail(where, "router: default_pool: there is no pool '", conf.default, "'; there are ", table.concat(sorted_keys(declared.pools), ", "))
        end
        fail(where, "router: router_type 'flat' wants a pool named 'default', or default_pool")
    end
    for _, name in ipairs(declared.order) do
        local d = declared.pools[name]
        if declared.zone and d.conf.zones then
            conf.pools[name] = make_zones(d, declared.zone)
        elseif d.conf.discover ~= nil and not d.conf.zones then
            conf.pools[name] = discover(d, "pool '" .. name .. "'")
            conf.each[name] = d.conf.route and {}
        elseif d.conf.backends then
            local what = "pool '" .. name .. "': backends"
            conf.pools[name] = make_pool(d.where, what, name, d.conf.backends, d.conf.distributor)
            if d.conf.route then
                conf.each[name] = {}
                for i, b in ipairs(d.conf.backends) do
                    conf.each[name][i] = make_pool(d.where, what, name .. "." .. i, { b }, nil)
                end
            end
        else
            fail(d.where, "pool '", name, "': backends is missing: zones are used only with my_zone()")
        end
    end
    return conf
end

-- The routes stage.

local function no_route()
    return NO_ROUTE
end

-- The classes that the native router knows, between literal text: "/(%a+)/".
local function native(pattern)
    local start, class, stop = string.match(pattern, "^([^%%%^%$%(%)%.%[%]%*%+%-%?]*)%((%%[adluwx])%+%)([^%%%^%$%(%)%.%[%]%*%+%-%?]+)$")
    if not start or string.find(string.sub(stop, 1, 1), class) then
        return nil -- where the prefix ends would depend on backtracking
    end
    return start, class, stop
end

-- by_pattern routes by what a Lua pattern captures from the start of the key.
local function by_pattern(pattern, routes, default, trim)
    local find, anchored = string.find, string.sub(pattern, 1, 1) == "^" and pattern or "^" .. pattern
    local gen, handles = mcp.funcgen_new(), {}
    for name, route in pairs(routes) do
        handles[name] = gen:new_handle(route)
    end
    gen:ready{ n = "by pattern", f = function(rctx)
        return function(r)
            local _, last, name = find(r:key(), anchored)
            if name and trim then
                if last >= #r:key() then
                    return "CLIENT_ERROR nothing is left of the key behind its prefix\r\n"
                end
                r:strip_prefix(last)
            end
            local h = handles[name or default] or handles[default]
            return h and rctx:enqueue_and_wait(r, h) or NO_ROUTE
        end
    end }
    return gen
end

local function config_routes(conf)
    if conf.tree then
        tree.config_routes(conf.tree)
        return
    end
    local zoned, log = require "routes.zoned", require "routes.log"
    local routes = {}
    for name, p in pairs(conf.pools) do
        if type(p) == "table" then
            p = zoned{ zones = p, near = conf.zone, name = COUNTER }
        elseif conf.each[name] then
            p = tree.route_of(declared.pools[name].conf.route, p, conf.each[name], conf.zone, "pool '" .. name .. "'")
        end
        routes[name] = conf.log and log{ child = p } or p
    end
    local default = routes[conf.default] or no_route
    if conf.flat then
        mcp.attach(mcp.CMD_ANY_STORAGE, default)
        return
    end
    local start, class, stop = native(conf.match_prefix)
    if not start then
        mcp.attach(mcp.CMD_ANY_STORAGE, by_pattern(conf.match_prefix, routes, conf.default, conf.trim))
        return
    end
    local opts = { map = routes, default = default, trim = conf.trim, class = class, stop = stop }
    if start ~= "" then
        opts.mode, opts.start = "anchor", start
    end
    mcp.attach(mcp.CMD_ANY_STORAGE, mcp.router_new(opts))
end

-- meant says what there is in place of a word that there is not.
local function meant(word)
    local short = {} -- the front that all have would make any two alike
    for _, w in ipairs(registered.words) do
        short[#short + 1] = string.sub(w, #"route_" + 1)
    end
    for _, w in ipairs(words) do
        local name = string.sub(w, #"route_" + 1)
        local h = require("routes." .. name)
        if type(h) == "table" and h.make then
            short[#short + 1] = name
        end
    end
    local near = handler.near(string.match(word, "^route_(.+)") or word, short)
    return "there is no \"" .. word .. "\"; " .. (near and "did you mean \"route_" .. near .. "\"?"
        or "there are route_" .. table.concat(short, ", route_"))
end

return { pools = config_pools, routes = config_routes, used = function() return declared.first or tree.first end, meant = meant }

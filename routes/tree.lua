-- tree: the words of a declarative file that build a tree of routes, and what makes pools and routes of them. They are those of
-- memcached's routelib.
--
--   settings{ backend_read_timeout = 1 }
--   pools{ a = { backends = { "127.0.0.1:11212" } }, set_all = { { backends = { ... } }, { backends = { ... } } } }
--   routes{ map = { foo = route_failover{ children = { "a", "b" } } }, default = route_direct{ child = "a" } }
--
-- scripts/simple.lua defines them and calls the two stages at the end. In the configuration state this module outlives a load: reset begins one.

local handler = require "routes.handler"
local direct = require "routes.direct"
local registered = require "routes.registered"

local M = {}

-- reset forgets what the words have said; scripts/simple.lua begins with it.
function M.reset()
    registered.reset()
    M.pools, M.order, M.trees, M.settings, M.set_at, M.zone, M.first = {}, {}, {}, {}, {}, nil, nil
end

local COMMANDS = {
    mg = mcp.CMD_MG, ms = mcp.CMD_MS, md = mcp.CMD_MD, mn = mcp.CMD_MN, ma = mcp.CMD_MA, me = mcp.CMD_ME,
    get = mcp.CMD_GET, gat = mcp.CMD_GAT, gets = mcp.CMD_GETS, gats = mcp.CMD_GATS, set = mcp.CMD_SET, add = mcp.CMD_ADD, cas = mcp.CMD_CAS,
    replace = mcp.CMD_REPLACE, append = mcp.CMD_APPEND, prepend = mcp.CMD_PREPEND, incr = mcp.CMD_INCR, decr = mcp.CMD_DECR,
    touch = mcp.CMD_TOUCH, delete = mcp.CMD_DELETE, all = mcp.CMD_ANY_STORAGE,
}

-- What settings{} may hold, and its type. active_request_limit is routelib's other name of active_req_limit.
local SETTINGS = {
    backend_connect_timeout = "number", backend_retry_waittime = "number", backend_read_timeout = "number", backend_failure_limit = "number",
    backend_flap_time = "number", backend_flap_backoff_ramp = "number", backend_flap_backoff_max = "number",
    backend_use_tls = "boolean", tcp_keepalive = "boolean", active_req_limit = "number", active_request_limit = "number",
    buffer_memory_limit = "number", pool_options = "table", backend_options = "table",
}
local POOL = { backends = "table", backend_options = "table", options = "table", discover = "any" }
local DISCOVER = { from = "string", pool = "string", zone = "string" }
local TREE = { tag = "string", conf = "table", map = "table", cmap = "table", default = "any" }
local CONF = { mode = "string", start = "string", stop = "string" }

local CMDMAP = {} -- the metatable of what cmdmap{} gives

local function fail(where, ...)
    error(where .. ": " .. table.concat({ ... }), 0)
end

-- check refuses unknown fields and fields of the wrong type.
local function check(where, what, t, fields)
    if type(t) ~= "table" then
        fail(where, what, ": want a table of fields, got a ", type(t))
    end
    for _, k in ipairs(handler.sorted(t)) do
        local want = fields[k]
        if want == nil then
            fail(where, what, ": ", handler.unknown("there is no field", tostring(k), handler.sorted(fields)))
        elseif want ~= "any" and type(t[k]) ~= want then
            fail(where, what, ".", k, ": want a ", want, ", got a ", type(t[k]))
        end
    end
end

-- The words. Each is given where it stands in the file.

function M.note(where)
    M.first = M.first or where
end

function M.add_settings(t, where)
    M.note(where)
    check(where, "settings", t, SETTINGS)
    for k, v in pairs(t) do
        M.settings[k], M.set_at[k] = v, where
    end
end

-- discover_options checks a pool's field discover, and makes options of mcp.discover of it, and pool, a name. It is true, a string such as
-- "dns://host:port", or a table of from, pool and zone.
function M.discover_options(where, what, v)
    if v == true then
        return {}
    elseif type(v) == "string" then
        return { from = v }
    elseif type(v) ~= "table" then
        fail(where, what, ": want true, a string such as \"srv://_leaf._tcp.example.com\" or a table, got ", tostring(v))
    end
    check(where, what, v, DISCOVER)
    return { from = v.from, pool = v.pool, zone = v.zone }
end

local function check_pool(where, what, t)
    check(where, what, t, POOL)
    if t.discover ~= nil then
        M.discover_options(where, what .. ".discover", t.discover)
        if t.backends ~= nil then
            fail(where, what, ": want backends or discover, not both")
        end
        return
    end
    if t.backends == nil then
        fail(where, what, ".backends: is missing")
    elseif next(t.backends) == nil then
        fail(where, what, ".backends: the list is empty")
    end
    for k in pairs(t.backends) do
        if type(k) ~= "number" then
            fail(where, what, ".backends: want a list, got a field \"", tostring(k), "\"")
        elseif t.backends[k - 1] == nil and k ~= 1 then
            fail(where, what, ".backends: the list has holes")
        end
    end
    for i, b in ipairs(t.backends) do
        if type(b) ~= "string" and type(b) ~= "table" then
            fail(where, what, ".backends[", i, "]: want an address such as \"127.0.0.1:11211\" or a table for mcp.backend, got a ", type(b))
        end
    end
end

function M.add_pools(t, where)
    M.note(where)
    if type(t) ~= "table" then
        fail(where, "pools: want a table of pools by name, got a ", type(t))
    end
    for _, name in ipairs(handler.sorted(t)) do
        local what = "pools." .. tostring(name)
        if type(name) ~= "string" then
            fail(where, what, ": want pools by name, got a list")
        elseif name == "internal" then
            fail(where, what, ": that is the name of the proxy's own store")
        elseif M.pools[name] then
            fail(where, what, ": there is another pool of this name, at ", M.pools[name].where)
        end
        local set = string.sub(name, 1, 4) == "set_"
        if set then
            if type(t[name]) ~= "table" or next(t[name]) == nil then
                fail(where, what, ": want pools, in a list or by zone")
            end
            for _, k in ipairs(handler.sorted(t[name])) do
                check_pool(where, what .. (type(k) == "number" and "[" .. k .. "]" or "." .. k), t[name][k])
            end
        else
            check_pool(where, what, t[name])
        end
        M.pools[name] = { conf = t[name], set = set, where = where }
        M.order[#M.order + 1] = name
    end
end

-- check_commands refuses what is no command; t is by command's name or number.
local function check_commands(where, what, t)
    local out = {}
    for k, v in pairs(t) do
        local cmd = type(k) == "number" and k or COMMANDS[k]
        if not cmd then
            fail(where, what, ": ", handler.unknown("there is no command", tostring(k), handler.sorted(COMMANDS)))
        end
        out[cmd] = { name = tostring(k), route = v }
    end
    return out
end

function M.cmdmap(t, where)
    M.note(where)
    if type(t) ~= "table" then
        fail(where, "cmdmap: want a table of routes by command, got a ", type(t))
    end
    return setmetatable({ commands = check_commands(where, "cmdmap", t), where = where }, CMDMAP)
end

function M.add_routes(t, where)
    M.note(where)
    check(where, "routes", t, TREE)
    check(where, "routes.conf", t.conf or {}, CONF)
    if t.map == nil and t.cmap == nil and t.default == nil then
        fail(where, "routes: there is neither map, nor cmap, nor default")
    end
    local tag = t.tag or ""
    if M.trees[tag] then
        fail(where, "routes: there is another one", tag ~= "" and " with the tag \"" .. tag .. "\"" or " without a tag", ", at ", M.trees[tag].where)
    end
    M.trees[tag] = { conf = t, where = where }
end

function M.set_zone(name, where)
    M.note(where)
    if type(name) ~= "string" or name == "" then
        fail(where, "local_zone: want the name of a zone, got ", name == "" and "none" or "a " .. type(name))
    end
    M.zone = name
end

-- The pools stage.

local function merged(...)
    local out = {}
    for _, t in ipairs({ ... }) do
        for k, v in pairs(t) do
            out[k] = v
        end
    end
    return out
end

-- backend makes one of "host:port", "host:port label", "host:port _down_", any other address, or a table of mcp.backend's options.
local function backend(where, what, b, options)
    local o = merged(options)
    if type(b) == "table" then
        o = merged(o, b)
        if o.host == nil and o.address == nil then
            fail(where, what, ".host: is missing")
        end
        o.port = o.port or o.host and 11211
    else
        local address, label = string.match(b, "^%s*(%S+)%s*(%S*)%s*$")
        if not address then
            fail(where, what, ": want an address such as \"127.0.0.1:11211\", got \"", b, "\"")
        end
        o.address = address
        if label == "_down_" then
            o.down = true
        elseif label ~= "" then
            o.label = label
        end
    end
    o.label = o.label or o.address or o.host .. ":" .. o.port
    if o.tls then
        mcp.init_tls()
    end
    local ok, made = pcall(mcp.backend, o)
    if not ok then
        fail(where, what, ": ", tostring(made))
    end
    return made
end

-- discover makes a pool whose backends are found. known and zone are what it is called in the topology, and whose backends it gets, if it
-- does not say.
local function discover(where, what, name, conf, known, zone)
    local o = M.discover_options(where, what .. ".discover", conf.discover)
    local pool = o.pool or known
    o = merged(M.settings.pool_options or {}, conf.options or {}, M.settings.backend_options or {}, conf.backend_options or {},
        { name = name, from = o.from, zone = o.zone or zone })
    if o.tls then
        mcp.init_tls()
    end
    local ok, made = pcall(mcp.discover, pool, o)
    if not ok then
        fail(where, what, ": ", tostring(made))
    end
    return made
end

local function make_pool(where, what, name, conf, known, zone)
    if conf.discover ~= nil then
        return discover(where, what, name, conf, known, zone)
    end
    local list = {}
    for i, b in ipairs(conf.backends) do
        list[i] = backend(where, what .. ".backends[" .. i .. "]", b, merged(M.settings.backend_options or {}, conf.backend_options or {}))
    end
    local ok, made = pcall(mcp.pool, list, merged(M.settings.pool_options or {}, conf.options or {}, { name = name }))
    if not ok then
        fail(where, what, ": ", tostring(made))
    end
    return made
end

local function apply_settings()
    for _, k in ipairs(handler.sorted(M.settings)) do
        local v = M.settings[k]
        if type(v) ~= "table" then
            local ok, problem = pcall(mcp[k == "active_request_limit" and "active_req_limit" or k], v)
            if not ok then
                fail(M.set_at[k], "settings: ", tostring(problem))
            end
        end
        if k == "backend_use_tls" and v then
            mcp.init_tls()
        end
    end
end

-- named gives the function that finds the pool or set of a name.
local function named(conf)
    local names = handler.sorted(merged(conf.pools, conf.sets))
    return function(name, set)
        if set then
            if conf.sets[name] then
                return conf.sets[name]
            elseif conf.pools[name] then
                return nil, "\"" .. name .. "\" is one pool: want a list, or a set of pools (a name that begins with set_)"
            end
            return nil, handler.unknown("there is no set of pools", name, handler.sorted(conf.sets))
        elseif name == "internal" then
            return mcp.internal_handler
        elseif conf.pools[name] then
            return conf.pools[name]
        elseif conf.sets[name] then
            return nil, "\"" .. name .. "\" is a set of pools: want one"
        end
        for _, of in ipairs(handler.sorted(conf.sets)) do -- one of a set: set_main_west, set_main_1
            local k = string.sub(name, 1, #of + 1) == of .. "_" and string.sub(name, #of + 2)
            local one = k and (conf.sets[of][k] or conf.sets[of][tonumber(k)])
            if one then
                return one
            end
        end
        return nil, handler.unknown("there is no pool", name, names)
    end
end

-- configure has the handlers that a file has registered look at what their words were given (see routes/registered.lua).
local function configure(names)
    for _, tag in ipairs(handler.sorted(M.trees)) do
        local t = M.trees[tag].conf
        local function route(v, label, cmd)
            registered.at(label, cmd or mcp.CMD_ANY_STORAGE, tag)
            registered.configure(v, names)
        end
        route(t.default, "default")
        for _, k in ipairs(handler.sorted(t.map or {})) do
            if getmetatable(t.map[k]) == CMDMAP then
                for cmd, c in pairs(t.map[k].commands) do
                    route(c.route, k, cmd)
                end
            else
                route(t.map[k], k)
            end
        end
        for k, v in pairs(t.cmap and (getmetatable(t.cmap) == CMDMAP and t.cmap.commands or t.cmap) or {}) do
            local cmd = type(k) == "number" and k or COMMANDS[k]
            route(v, "cmdmap", cmd)
        end
    end
    return registered.results
end

-- config_pools makes what config_routes is given in each worker.
function M.config_pools()
    apply_settings()
    local conf = { pools = {}, sets = {}, zone = M.zone }
    for _, name in ipairs(M.order) do
        local d = M.pools[name]
        if d.set then
            local set = {}
            for _, k in ipairs(handler.sorted(d.conf)) do
                local what = "pools." .. name .. (type(k) == "number" and "[" .. k .. "]" or "." .. k)
                set[k] = make_pool(d.where, what, name .. "." .. k, d.conf[k], string.sub(name, 5), type(k) == "string" and k or nil)
            end
            conf.sets[name] = set
        else
            conf.pools[name] = make_pool(d.where, "pools." .. name, name, d.conf, name)
        end
    end
    handler.zone = conf.zone
    conf.registered = configure(named(conf))
    return conf
end

-- The routes stage.

-- target makes a route of what stands in a map: a handler, or the name of a pool.
local function target(v, names, where, path)
    if handler.is_spec(v) then
        return handler.build(v, names, path .. ": ")
    elseif type(v) == "string" then
        local found, problem = names(v)
        if not found then
            fail(where, path, ": ", problem)
        elseif found == mcp.internal_handler then
            return direct{ child = found } -- only handles take it
        end
        return found
    end
    fail(where, path, ": want a route or the name of a pool, got a ", type(v))
end

-- commands makes those of a map by command; label and tag say where it stands.
local function commands(map, names, where, path, label, tag)
    local out = {}
    for cmd, c in pairs(map) do
        registered.at(label, cmd, tag)
        out[cmd] = target(c.route, names, where, path .. "." .. c.name)
    end
    return out
end

local function attach(tree, names)
    local t, where = tree.conf, tree.where
    local tag = t.tag
    registered.at("default", mcp.CMD_ANY_STORAGE, tag)
    local default = t.default ~= nil and target(t.default, names, where, "routes.default") or nil
    if t.map == nil and t.cmap == nil then
        mcp.attach(mcp.CMD_ANY_STORAGE, default, tag)
        return
    end
    local conf = merged(t.conf or {})
    conf.default = default
    if t.map then
        conf.map = {}
        for _, k in ipairs(handler.sorted(t.map)) do
            local v, path = t.map[k], "routes.map." .. tostring(k)
            if getmetatable(v) == CMDMAP then
                conf.map[k] = commands(v.commands, names, v.where, path, k, tag)
            else
                registered.at(k, mcp.CMD_ANY_STORAGE, tag)
                conf.map[k] = target(v, names, where, path)
            end
        end
    end
    if t.cmap then
        local map = getmetatable(t.cmap) == CMDMAP and t.cmap.commands or check_commands(where, "routes.cmap", t.cmap)
        conf.cmap = commands(map, names, where, "routes.cmap", "cmdmap", tag)
    end
    local ok, router = pcall(mcp.router_new, conf)
    if not ok then
        fail(where, "routes: ", tostring(router))
    end
    mcp.attach(mcp.CMD_ANY_STORAGE, router, tag)
end

function M.config_routes(conf)
    handler.zone, registered.results = conf.zone, conf.registered
    local names = named(conf)
    for _, tag in ipairs(handler.sorted(M.trees)) do
        attach(M.trees[tag], names)
    end
end

-- route_of makes the route of simple.lua's pool{ route = }: the children that a handler was not given are pools, one of each backend; its child
-- is the pool itself.
function M.route_of(spec, pool, each, zone, what)
    handler.zone = zone
    local given = merged(spec.given)
    for _, d in ipairs(spec.handler.fields) do
        if given[d[1]] == nil and d[1] == "children" then
            given.children = each
        elseif given[d[1]] == nil and d[1] == "child" then
            given.child = pool
        end
    end
    registered.at(what, mcp.CMD_ANY_STORAGE)
    registered.results = {} -- those of routelib's kind stand in routes{}
    return handler.build(handler.spec(spec.handler, given, spec.where), nil, what .. ": ")
end

return M

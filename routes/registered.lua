-- registered: the words of register_route_handlers, for handlers that are not the library's. Two kinds are registered.
--
-- What handler.define gives becomes a word as those of the library are:
--
--   register_route_handlers{ require "slow" }
--   routes{ default = route_slow{ child = "a" } }
--
-- A name is routelib's kind: two global functions, of the same file or of another one that is loaded with it.
--
--   register_route_handlers{ "hello" }
--   function route_hello_conf(t, ctx) ... return t end                     in the pools stage
--   function route_hello_start(a, ctx, fgen) ... fgen:ready{ ... } end     in the routes stage of each worker, with what the first gave
--
-- t is what the word was given. A field whose name begins with child is a child, or a table of them: a pool's name, a set's name, or a route. They
-- are that in the first function, and targets (what fgen:new_handle takes) in the second. What the first returns is copied into each
-- worker, so it may hold numbers, strings, booleans, tables of these, and the routes that it was given.
--
-- ctx has, as methods, label() (the key of the map in which the route stands, "default" or "cmdmap"), cmd() and local_zone(); for _conf also
-- get_stats_id(name), the index of a counter for mcp.stat, check_child and expand_children; for _start get_child(name).
--
-- The first runs in another Lua state than the second. What ties them is that a file says the same in both: the n-th word of it is the same one.
--
-- In the configuration state this module outlives a load: reset begins one.

local handler = require "routes.handler"

local M = {
    words = {}, -- names of the globals that were registered
    results = nil, -- what _conf gave, by spec and place: filled in the pools stage, given to the routes stage
}

-- STATS is the highest index of a counter that is given out; those of mcp.add_stat in files most often begin with 1.
local STATS = 1024

local made -- how many words of routelib's kind this load has had
local place = {} -- where the route that is being made stands: label, cmd, tag
local stats, given_out = {}, 0 -- counters' indexes by name, which outlive loads

-- reset forgets what was registered. A word that lives on in the configuration state is missing in the workers, which are new.
function M.reset()
    M.words, M.results, made = {}, {}, 0
end

-- at says where the routes that are made from now on stand: what routelib calls the label is the prefix, "default" or "cmdmap".
function M.at(label, cmd, tag)
    place = { label = tostring(label), cmd = cmd, tag = tag or "" }
end

local function child_field(k)
    return type(k) == "string" and string.sub(k, 1, 5) == "child"
end

-- each calls fn for every child of t, a table of fields, in an order that depends on nothing but the names: fn(value, set), where set(v) replaces it.
local function each(t, fn)
    for _, k in ipairs(handler.sorted(t)) do
        local v = t[k]
        if child_field(k) and type(v) == "table" and not handler.is_spec(v) then
            for _, i in ipairs(handler.sorted(v)) do
                fn(v[i], function(new) v[i] = new end)
            end
        elseif child_field(k) then
            fn(v, function(new) t[k] = new end)
        end
    end
end

-- copy copies a table of any depth, one that holds itself too; specs stay what they are.
local function copy(v, seen)
    if type(v) ~= "table" or handler.is_spec(v) then
        return v
    end
    seen = seen or {}
    if not seen[v] then
        seen[v] = {}
        for k, x in pairs(v) do
            seen[v][k] = copy(x, seen)
        end
    end
    return seen[v]
end

-- fail stops the load because of spec.
local function fail(spec, path, text)
    error((spec.where and spec.where .. ": " or "") .. path .. ": " .. text, 0)
end

-- call calls the user's global function, whose errors get the way to the word before them.
local function call(spec, path, suffix, ...)
    local name = "route_" .. spec.handler.name .. suffix
    local fn = _G[name]
    if type(fn) ~= "function" then
        fail(spec, path, "there is no function " .. name .. ", which register_route_handlers{ \"" .. spec.handler.name .. "\" } wants")
    end
    local ok, result = pcall(fn, ...)
    if not ok then
        fail(spec, path, tostring(result))
    end
    return result
end

local function key(spec)
    return table.concat({ spec.id or "none", place.tag, place.label, tostring(place.cmd) }, "\n")
end

-- children_of lists the children that a word was given, in an order that both stages find.
local function children_of(given)
    local list = {}
    each(given, function(v)
        list[#list + 1] = v
    end)
    return list
end

-- context is ctx, in both stages.
local function context()
    local here = place
    return { label = function() return here.label end, cmd = function() return here.cmd end, local_zone = function() return handler.zone end }
end

-- counter gives the index of the user counter of a name.
local function counter(_, name)
    if not stats[name] then
        given_out = given_out + 1
        stats[name] = STATS + 1 - given_out
    end
    mcp.add_stat(stats[name], name)
    return stats[name]
end

-- The pools stage.

-- configured runs _conf for one spec.
local function configured(spec, names)
    local path, t, index = place.label .. ": " .. spec.handler.name, copy(spec.given), {}
    for i, v in ipairs(children_of(spec.given)) do
        index[v] = i
    end
    local ctx = context()
    ctx.get_stats_id, ctx.stats_get_id = counter, counter
    function ctx.check_child(_, v)
        local _, problem = names(v)
        if problem and not names(v, true) then
            fail(spec, path, problem)
        end
        return true
    end
    function ctx.expand_children(_, v)
        if type(v) ~= "string" then
            return v
        end
        local set, problem = names(v, true)
        if not set then
            fail(spec, path, problem)
        end
        local out = {}
        for k in pairs(set) do
            out[k] = v .. "_" .. k
        end
        return out
    end
    local result = call(spec, path, "_conf", t, ctx)
    if type(result) ~= "table" then
        fail(spec, path, "route_" .. spec.handler.name .. "_conf gives " .. (result == nil and "nothing" or "a " .. type(result)) .. ": want a table")
    end
    result = copy(result)
    each(result, function(v, set)
        if handler.is_spec(v) then
            set({ registered_route = index[v] or fail(spec, path, "route_" .. spec.handler.name .. "_conf gives a route that it was not given") })
        end
    end)
    return result
end

-- configure runs _conf for what v holds, a word's value or a field of one: the inner ones first.
function M.configure(v, names)
    local any = made > 0 and type(v) == "table"
    if any and not handler.is_spec(v) then
        for _, k in ipairs(handler.sorted(v)) do
            if handler.is_spec(v[k]) then
                M.configure(v[k], names)
            end
        end
    elseif any and v.given.child_wrap ~= nil then
        M.configure(handler.expanded(v, names, v.where, place.label), names)
    elseif any then
        for _, k in ipairs(handler.sorted(v.given)) do
            M.configure(v.given[k], names)
        end
        if v.handler.open then
            M.results[key(v)] = configured(v, names)
        end
    end
end

-- The routes stage.

-- build makes a target of a spec of routelib's kind, by _start.
local function build(spec, names, path)
    local result = M.results[key(spec)]
    if not result then
        fail(spec, path, "was not there in the pools stage: a file must say the same each time that it runs, and such a route stands in routes{}")
    end
    local a, given = copy(result), children_of(spec.given)
    local function target(v, listed)
        if type(v) == "string" then
            local set = names(v, true)
            if set then
                return copy(set)
            end
        elseif type(v) == "table" and v.registered_route then
            v = given[v.registered_route]
        elseif not listed then
            return v -- as in child_count = 3
        end
        return handler.child(v, names, spec.where, path)
    end
    for k, v in pairs(a) do
        if child_field(k) then
            if type(v) == "table" and not v.registered_route then
                for i, c in pairs(v) do
                    v[i] = target(c, true)
                end
            else
                a[k] = target(v)
            end
        end
    end
    local ctx = context()
    function ctx.get_child(_, v)
        return target(v, true)
    end
    local gen = mcp.funcgen_new()
    call(spec, path, "_start", a, ctx, gen)
    return gen
end

-- add registers one, a handler or a name, and gives the handler; nil and a problem if it is neither.
function M.add(h)
    if type(h) == "table" and h.make and h.byname then
        return h
    elseif type(h) ~= "string" or not string.match(h, "^[%a_][%w_]*$") then
        return nil, "want handlers (what handler.define gives) and names, got " .. (type(h) == "string" and "\"" .. h .. "\"" or "a " .. type(h))
    end
    return handler.define{ name = h, fields = {}, open = true, build = build }
end

-- spec is what such a word gives.
function M.spec(h, given, where)
    local spec = handler.spec(h, given, where)
    made = made + 1
    spec.id = tostring(made)
    return spec
end

return M

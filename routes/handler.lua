-- handler: what every handler of the library is made with. A handler is a file of this folder that returns
--
--   handler.define{ name =, doc =, fields =, example =, make = }
--
-- and is used in two ways. In mcp_config_routes of a script it is a function that takes a table of fields and returns a route, for mcp.attach, for
-- a router, or for another handler's child:
--
--   local failover = require "routes.failover"
--   mcp.attach(mcp.CMD_ANY_STORAGE, failover{ children = { pools.a, pools.b } })
--
-- In a declarative file it is the word route_NAME, and its children may be the names of pools:
--
--   routes{ default = route_failover{ children = { "a", "b" } } }
--
-- fields is a list of { name, type, required =, default =, min =, above =, max =, values =, map =, check =, doc = }; the types are
-- below. min, above and max bound a number, or how many children there are (min, max). A field that is neither required nor has a
-- default may be nil. check is a function of the value and all fields that gives a problem in words, or nil.
--
-- Where a field wants a list of children, a handler with child_wrap = LIST in place of child stands for as many of it, one around each of the list,
-- which may be a set's name: children = route_ttl{ child_wrap = "set_main", ttl = 60 }.
--
-- make(f) is called once for each place where the handler stands, in each worker. f has the checked fields, with defaults; children are
-- targets: what fgen:new_handle takes. It returns a target, most often by handler.route.
--
-- A handler may have open = true, with a function build(spec, names, path) in place of fields and make: see routes/registered.lua.
--
-- Everything that is wrong with a table of fields is an error of the load that names the file and line where it stands, and the way to it:
-- routes.map.foo: failover.children[2]: there is no pool "bar"

local M = {}

-- zone is the zone of this proxy, of local_zone(); nil if it has none.
M.zone = nil

-- The types: what a value must be, in words, and whether it is.
local TYPES = {
    child = "a pool, a pool's name or a route",
    children = "a list of pools, pools' names or routes",
    integer = "a whole number",
    number = "a number",
    seconds = "a number of seconds",
    string = "a string",
    boolean = "true or false",
    ["function"] = "a function",
    enum = "a string",
    table = "a table",
    any = "a value",
}

-- SPEC marks what a word of a declarative file gives: a handler with fields, to be made a route of later.
local SPEC = {}

-- WRAP is the field child_wrap, which every handler with a child has.
local WRAP = { "child_wrap", "children" }

-- meta of make's f: which handler it is for, and where it stands.
local function meta(f)
    return getmetatable(f)
end

local function show(v)
    if type(v) == "string" then
        return "\"" .. v .. "\""
    elseif type(v) == "number" or type(v) == "boolean" then
        return tostring(v)
    end
    return "a " .. type(v)
end

-- near finds the name of the list that was most likely meant: the one with the fewest changed letters, at most a third of them.
local function near(word, names)
    local best, least = nil, #word / 3 + 1
    for _, name in ipairs(names) do
        local row = {}
        for j = 0, #name do
            row[j] = j
        end
        for i = 1, #word do
            local diagonal = row[0]
            row[0] = i
            for j = 1, #name do
                local cost = string.byte(word, i) == string.byte(name, j) and 0 or 1
                diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
            end
        end
        if row[#name] < least then
            best, least = name, row[#name]
        end
    end
    return best
end
M.near = near

-- unknown words that there is no such thing among names.
function M.unknown(what, word, names)
    local meant = near(word, names)
    if meant then
        return what .. " \"" .. word .. "\"; did you mean \"" .. meant .. "\"?"
    end
    return what .. " \"" .. word .. "\"; there are " .. table.concat(names, ", ")
end

-- problem words what is wrong with a value of a field, or gives nil.
local function problem(d, v)
    local kind = d[2]
    local t = type(v)
    local ok = t == kind or kind == "any"
    if kind == "integer" then
        ok = t == "number" and v == math.floor(v) and v - v == 0
    elseif kind == "seconds" then
        ok = t == "number" and v >= 0 and v - v == 0
    elseif kind == "enum" then
        for _, allowed in ipairs(d.values) do
            ok = ok or v == allowed
        end
        if not ok then
            return "want one of \"" .. table.concat(d.values, "\", \"") .. "\", got " .. show(v)
        end
    elseif kind == "number" then
        ok = t == "number" and v == v
    elseif kind == "child" then
        ok = t == "userdata" or t == "string" or t == "function" or t == "table" and getmetatable(v) == SPEC
    elseif kind == "children" then
        ok = t == "string" or t == "table" and (getmetatable(v) ~= SPEC or v.given.child_wrap ~= nil)
    end
    if not ok then
        return "want " .. TYPES[kind] .. ", got " .. show(v)
    end
    if t ~= "number" then
        return nil
    end
    if d.min and v < d.min then
        return "want at least " .. d.min .. ", got " .. v
    elseif d.above and v <= d.above then
        return "want more than " .. d.above .. ", got " .. v
    elseif d.max and v > d.max then
        return "want at most " .. d.max .. ", got " .. v
    end
    return nil
end

local function fail(where, path, text)
    error((where and where .. ": " or "") .. path .. ": " .. text, 0)
end

-- fail stops the load because of something about f: what is a field, or a part of one such as "children[2]"; nil for the whole.
function M.fail(f, what, text)
    local m = meta(f)
    fail(m.where, what and m.path .. "." .. what or m.path, text)
end

-- check refuses fields that there are not or that are of the wrong type, and, if it is whole, that are missing. It does not look into children.
local function check(self, given, where, path, whole)
    if type(given) ~= "table" or getmetatable(given) == SPEC then
        fail(where, path, "want a table of fields, got " .. show(given))
    end
    for k, v in pairs(given) do
        local d = self.byname[k]
        if k == "child_wrap" and (self.byname.child or self.open) and given.child == nil then
            d = WRAP
        end
        if d == nil and not self.open then
            fail(where, path, M.unknown("there is no field", tostring(k), self.names))
        end
        local p = d and problem(d, v)
        if p then
            fail(where, path .. "." .. k, p)
        end
    end
    if whole and given.child_wrap ~= nil then
        fail(where, path .. ".child_wrap", "makes several routes, where one is wanted")
    end
    for _, d in ipairs(self.fields) do
        if whole and d.required and given[d[1]] == nil then
            fail(where, path .. "." .. d[1], "is missing: want " .. TYPES[d[2]])
        end
    end
end

-- direct makes a target of a Lua function.
local function direct(fn)
    local gen = mcp.funcgen_new()
    gen:ready{ n = "function", f = function() return fn end }
    return gen
end

-- child makes a target of one child. names is a function from a pool's name to the pool, or nil and a problem; nil in a script, which
-- has the pools themselves.
local function child(v, names, where, path)
    local t = type(v)
    if t == "userdata" then
        return v
    elseif t == "function" then
        return direct(v)
    elseif t == "table" and getmetatable(v) == SPEC then
        return M.build(v, names, path .. ": ")
    elseif t == "string" and names then
        local target, p = names(v)
        if not target then
            fail(where, path, p)
        end
        return target
    elseif t == "string" then
        fail(where, path, "\"" .. v .. "\" is a name; a script has the pool itself")
    end
    fail(where, path, "want " .. TYPES.child .. ", got " .. show(v))
end
M.child = child

-- expanded gives the table that stands for children: a set's pools for its name, and for a spec with child_wrap one spec around each of its list.
local function expanded(v, names, where, path)
    if type(v) == "string" then
        if not names then
            fail(where, path, "\"" .. v .. "\" is a name; a script has the pools themselves")
        end
        local set, p = names(v, true)
        if not set then
            fail(where, path, p)
        end
        return set
    elseif getmetatable(v) ~= SPEC then
        return v
    end
    local out = {}
    for k, c in pairs(expanded(v.given.child_wrap, names, v.where, path .. ": " .. v.handler.name .. ".child_wrap")) do
        local given = {}
        for name, value in pairs(v.given) do
            given[name] = value
        end
        given.child_wrap, given.child = nil, c
        out[k] = setmetatable({ handler = v.handler, given = given, where = v.where, id = v.id and v.id .. "." .. k }, SPEC)
    end
    return out
end
M.expanded = expanded

-- children makes targets of a field of that type. A name of a set of pools stands for all of them; then it is a map if the set has names (zones).
local function children(d, v, names, where, path)
    v = expanded(v, names, where, path)
    local out, listed, numbered, named = {}, #v, 0, 0
    for _, k in ipairs(M.sorted(v)) do
        local c = v[k]
        if type(k) == "number" then
            if k < 1 or k > listed or k ~= math.floor(k) then
                fail(where, path, "the list has holes")
            end
            numbered = numbered + 1
            out[k] = child(c, names, where, path .. "[" .. k .. "]")
        else
            named = named + 1
            out[k] = child(c, names, where, path .. "." .. tostring(k))
        end
    end
    if numbered < listed then
        fail(where, path, "the list has holes")
    elseif named > 0 and not d.map then
        fail(where, path, "want a list, got names")
    elseif named == 0 and d.map == "only" then
        fail(where, path, "want a table by name, got a list")
    elseif named > 0 and listed > 0 then
        fail(where, path, "want a list or a table by name, not both in one")
    end
    local n = listed + named
    local least = d.min or 1
    if n < least then
        fail(where, path, "want at least " .. least .. ", got " .. (n == 0 and "none" or n))
    elseif d.max and n > d.max then
        fail(where, path, "want at most " .. d.max .. ", got " .. n)
    end
    return out
end

-- build makes a target of a spec. names is as for child; path is where the spec stands, ending in ": ", or "".
function M.build(spec, names, path)
    local self, given = spec.handler, spec.given
    path = path .. self.name
    check(self, given, spec.where, path, true)
    local made
    if self.open then
        made = self.build(spec, names, path)
        made:made_at(spec.where)
        return made
    end
    local f = setmetatable({}, { handler = self, where = spec.where, path = path })
    for _, d in ipairs(self.fields) do
        local name = d[1]
        local v = given[name]
        if v == nil then
            v = d.default
        elseif d[2] == "child" then
            v = child(v, names, spec.where, path .. "." .. name)
        elseif d[2] == "children" then
            v = children(d, v, names, spec.where, path .. "." .. name)
        end
        f[name] = v
    end
    for _, d in ipairs(self.fields) do
        local p = d.check and f[d[1]] ~= nil and d.check(f[d[1]], f)
        if p then
            fail(spec.where, path .. "." .. d[1], p)
        end
    end
    made = self.make(f)
    if type(made) == "userdata" and made.made_at then
        made:made_at(spec.where)
    end
    return made
end

-- spec is what the word of a handler gives in a declarative file. where is the file:line of the word.
function M.spec(self, given, where)
    check(self, given, where, self.name)
    return setmetatable({ handler = self, given = given, where = where }, SPEC)
end

-- is_spec is whether v is one.
function M.is_spec(v)
    return type(v) == "table" and getmetatable(v) == SPEC
end

-- define makes a handler.
function M.define(self)
    self.byname, self.names = {}, {}
    for _, d in ipairs(self.fields) do
        if not TYPES[d[2]] then
            error("handler " .. self.name .. ": field " .. d[1] .. ": there is no type " .. tostring(d[2]), 2)
        end
        self.byname[d[1]] = d
        self.names[#self.names + 1] = d[1]
    end
    return setmetatable(self, { __call = function(_, given)
        return M.build(M.spec(self, given, mcp.where(2)), nil, "")
    end })
end

-- route makes a generator with a handle to each child of f. slot(rctx, h) is called for each request under way at once and gives the
-- function that serves it; h has the handles, named as the fields: h.child, h.children[1] or, in a table by name, h.children.z1.
-- opts.objects is how many objects (rctx:request_new, rctx:response_new) a slot makes, opts.name what stats and traces call the route,
-- instead of the handler's name. A handle serves once for a request: opts.more, targets by name, are handles besides, for a child that may be
-- asked twice.
-- Results have the class of their rank (see fgen:ready in docs/lua.md): mcp.WAIT_GOOD waits for a hit or success, mcp.WAIT_OK for a miss
-- or better. A child that returns a string gives a response.
function M.route(f, slot, opts)
    local self = meta(f).handler
    local gen, h = mcp.funcgen_new(), {}
    for _, d in ipairs(self.fields) do
        local name = d[1]
        if d[2] == "child" and f[name] ~= nil then
            h[name] = gen:new_handle(f[name])
        elseif d[2] == "children" and f[name] ~= nil then
            h[name] = {}
            for _, k in ipairs(M.sorted(f[name])) do -- what is enqueued at once is sent in the order of the handles
                h[name][k] = gen:new_handle(f[name][k])
            end
        end
    end
    local more = opts and opts.more or {}
    for _, name in ipairs(M.sorted(more)) do
        h[name] = gen:new_handle(more[name])
    end
    gen:ready{ n = opts and opts.name or self.name, u = opts and opts.objects, ranked = true, f = function(rctx)
        return slot(rctx, h)
    end }
    return gen
end

-- listed gives the handles of a field of children in order: of a list that, of a table by name that of the names.
function M.listed(t)
    local out = {}
    for i, k in ipairs(M.sorted(t)) do
        out[i] = t[k]
    end
    return out
end

-- label is what names f in counters: the prefix that it is routed by, or the handler's name.
function M.label(f)
    local m = meta(f)
    return string.match(m.path, "^routes%.map%.([%w_%-]+)[:.]") or m.handler.name
end

-- sorted gives the keys of a table in order, numbers first: what pairs gives in any, a handler must not depend on.
function M.sorted(t)
    local keys = {}
    for k in pairs(t) do
        keys[#keys + 1] = k
    end
    table.sort(keys, function(a, b)
        if type(a) == "number" or type(b) == "number" then
            return type(b) ~= "number" or type(a) == "number" and a < b
        end
        return tostring(a) < tostring(b)
    end)
    return keys
end

return M

-- sharded: each key has one child, by its hash. Children may be handlers, such as shards of replicas; a single pool shards by itself.
--
-- The answer is the child's, whatever it is; nothing else is asked. Children that stand in a list are placed by their position, as the
-- backends of a pool are by default; with a table by name it is the names that are hashed where dist goes by names (rendezvous, ketama,
-- consistent, modula with weights), so that the loss of one child moves its keys only.
--
-- A child that is a pool hashes the key once more. If both did it alike, all keys of one shard would meet on few of its backends: so
-- there is a seed, unlike that of a pool, and a sharded route behind another one needs another seed. To place keys as a pool does, say
-- seed = "".

local handler = require "routes.handler"

-- PLACING are the fields that say where keys go.
local PLACING = { "dist", "hash", "seed", "salt", "filter", "filter_conf", "hash_tag", "key", "weights" }

-- HASH_THEMSELVES are the distributions without a seed.
local HASH_THEMSELVES = { ch3 = true, crc32 = true, weighted_ch3 = true }

-- options are those of mcp.sharder_new that f has.
local function options(f, names)
    local o = {
        dist = f.dist, hash = f.hash, salt = f.salt, seed = f.seed, filter = f.filter, filter_conf = f.filter_conf, hash_tag = f.hash_tag,
    }
    if o.seed == nil and not HASH_THEMSELVES[f.dist] then
        o.seed = "sharded"
    end
    if f.weights then
        o.weights = {}
        for i, name in ipairs(names) do
            o.weights[i] = f.weights[name] or f.weights[i] or 1
        end
    end
    return o
end

-- checked_weights refuses weights of what is no child.
local function checked_weights(weights, f)
    for k, w in pairs(weights) do
        if f.children == nil or f.children[k] == nil then
            return "there is no child " .. tostring(k)
        elseif type(w) ~= "number" then
            return "want a number for child " .. tostring(k) .. ", got a " .. type(w)
        end
    end
    return nil
end

return handler.define{
    name = "sharded",
    doc = "Sends each key to one child, by its hash.",
    fields = {
        { "children", "children", map = true, doc = "the shards: a list, or by name" },
        { "pool", "child", doc = "a pool that shards by itself, instead of children" },
        { "dist", "string", doc = "where keys go: a distribution of mcp.pool, such as \"rendezvous\"; \"jump\" without it" },
        { "hash", "string", doc = "what hashes keys, such as \"fnv1a_64\"; the distribution's own without it" },
        { "seed", "string", doc = "what makes this hash unlike others; \"sharded\" without it" },
        { "salt", "string", doc = "the seed of mcrouter's distributions" },
        { "filter", "string", doc = "which part of the key is hashed: \"stop\" or \"tags\", as of mcp.pool" },
        { "filter_conf", "string", doc = "what delimits that part" },
        { "hash_tag", "string", doc = "two bytes, and what is between them is hashed, as of mcp.pool" },
        { "key", "function", doc = "is given the key, and gives the text to place in its stead" },
        { "weights", "table", check = checked_weights, doc = "a child's share, by position or name (1), for distributions that have weights" },
    },
    example = [[route_sharded{ children = { "a", "b" }, dist = "rendezvous" }]],
    make = function(f)
        if f.pool ~= nil then
            if f.children ~= nil then
                handler.fail(f, "pool", "there are children, too")
            end
            for _, name in ipairs(PLACING) do
                if f[name] ~= nil then
                    handler.fail(f, name, "the pool has its own way to place keys")
                end
            end
            return f.pool
        elseif f.children == nil then
            handler.fail(f, "children", "is missing: want a list of pools, pools' names or routes")
        end
        local names = {}
        for i, name in ipairs(handler.sorted(f.children)) do
            names[i] = tostring(f.children[i] and i or name)
        end
        local ok, place = pcall(mcp.sharder_new, names, options(f, names))
        if not ok then
            handler.fail(f, nil, (string.gsub(tostring(place), "^mcp.sharder_new: ", "")))
        end
        local key = f.key
        return handler.route(f, function(rctx, h)
            local children = handler.listed(h.children)
            if key then
                return function(r)
                    return rctx:enqueue_and_wait(r, children[place(key(r:key()))])
                end
            end
            return function(r)
                return rctx:enqueue_and_wait(r, children[place(r)])
            end
        end)
    end,
}

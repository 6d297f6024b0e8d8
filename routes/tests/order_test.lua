-- One order of answers: no handler that chooses answers with a worse class than one it has in hand, however handlers are nested.

local outcomes = require "outcomes"

-- What is worse than the best answer of a tree: one child has that, all others these.
local WORSE = {
    hit = { "miss", "error", "timeout", "down" },
    miss = { "error", "timeout", "down" },
    error = { "timeout", "down" },
}

-- Handlers that give the best of their children's answers: to everything, and to plain reads.
local BEST = {
    { "allfastest", "children = { %s }" },
    { "allfastest", "children = { %s }, wait = 100" },
}
local BEST_READ = {
    BEST[1],
    { "failover", "children = { %s }, miss = true" },
    { "failover", "children = { %s }, miss = true, order = 'rendezvous', wait = 100" },
    { "failover", "children = { %s }, miss = true, order = 'least_failures'" },
    { "zfailover", "children = { %s }, local_zone = 'z1'", named = true },
    { "zoned", "zones = { %s }, near = 'z1'", named = true },
    { "replicated", "children = { %s }, miss = true" },
    { "replicated", "children = { %s }, miss = true, read = 'fastest'" },
    { "replicated", "children = { %s }, miss = true, read = 'near'" },
}
-- Those that hand on what their only child answers.
local ONE = {
    { "direct", "child = %s" },
    { "log", "child = %s" },
    { "latency", "child = %s, before = 0.1, jitter = 0.2, after = 0.1" },
    { "allsync", "children = { %s }" },
    { "allmajority", "children = { %s }" },
    { "sharded", "children = { %s }" },
    { "random", "children = { %s }" },
    { "allinitial", "children = { %s }" },
    { "coalesce", "child = %s" },
    { "inflight", "child = %s, max = 5" },
    { "ratelimit", "child = %s, limit = 1000000, fillrate = 1" },
    { "shadow", "child = %s, shadow = require 'routes.error'{}" },
    { "split", "child_a = %s, child_b = require 'routes.null'{}" },
    { "ttl", "child = %s, ttl = 60, action = 'min'" },
}

-- tree makes a tree of handlers of so many levels. leaves is filled with what is at their ends: names of backends, and of functions that answer
-- with a string, which begin with "say".
local function tree(best, depth, leaves, top)
    if depth == 0 or not top and math.random(4) == 1 then
        leaves[#leaves + 1] = (math.random(5) == 1 and "say" or "b") .. #leaves + 1
        return leaves[#leaves]
    end
    local n = top and math.random(2, 3) or math.random(3)
    local kind = n > 1 and best[math.random(#best)] or ONE[math.random(#ONE)]
    local children = {}
    for i = 1, n do
        children[i] = (kind.named and "z" .. i .. " = " or "") .. tree(best, depth - 1, leaves)
    end
    return string.format("require 'routes.%s'{ " .. kind[2] .. " }", kind[1], table.concat(children, ", "))
end

-- kind is what the client's answer is. Errors are one kind: which of them is given may be another child's.
local function kind(text, command)
    if text == outcomes.text("", "miss", command) then
        return "miss"
    end
    return string.find(text, "_ERROR ", 1, true) and "error" or "hit"
end

describe("the best answer wins in", function()
    local commands = {}
    for i, line in ipairs{ "get", "mg foo v k", "ms foo 1 T60", "get", "incr", "mg foo v k", "delete" } do
        commands[i] = outcomes.command(line)
    end
    for seed = 1, 150 do
        math.randomseed(seed)
        local command = commands[seed % #commands + 1]
        local leaves, o, names, says = {}, {}, {}, {}
        local text = tree(command.class == "read" and BEST_READ or BEST, 3, leaves, true)
        local best = ({ "hit", "miss", "error" })[math.random(3)]
        local at = math.random(#leaves)
        for i, leaf in ipairs(leaves) do
            o[i] = i == at and best or WORSE[best][math.random(#WORSE[best])]
            if string.sub(leaf, 1, 3) ~= "say" then
                names[#names + 1] = leaf
            elseif outcomes.rank[o[i]] >= outcomes.rank.error then
                says[#says + 1] = string.format("local %s = function() return %q end", leaf, outcomes.text("s", o[i], command))
            else
                says[#says + 1] = string.format("local %s = function() return nil end", leaf) -- no answer at all
            end
        end
        it(string.format("tree %d: %s, one %s", seed, command.line, best), function()
            route(table.concat(says, "\n") .. "\nreturn " .. text, table.unpack(names)) -- luacheck: ignore 143
            for i, leaf in ipairs(leaves) do
                if string.sub(leaf, 1, 3) ~= "say" then
                    outcomes.behave(leaf, o[i], command)
                end
            end
            expect(kind(send(command.line, command.value).text, command)):equals(best)
        end)
    end
end)

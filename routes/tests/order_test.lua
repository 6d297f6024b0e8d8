-- One order of answers: no handler that chooses answers with a worse class than one it has in hand, however handlers are nested.

local outcomes = require "outcomes"

local OUTCOMES = { "hit", "miss", "error", "timeout", "down" }
local CLASS = { hit = 3, miss = 2, error = 1, timeout = 1, down = 1 }

-- Handlers that give the best of their children's answers, and those that hand on what their only child answers.
local BEST = {
    { "allfastest", "children = { %s }" },
    { "allfastest", "children = { %s }, wait = 20" },
}
local ONE = {
    { "direct", "child = %s" },
    { "log", "child = %s" },
    { "latency", "child = %s, before = 0.1, jitter = 0.2, after = 0.1" },
    { "allsync", "children = { %s }" },
    { "allmajority", "children = { %s }" },
    { "sharded", "children = { %s }" },
    { "random", "children = { %s }" },
    { "allinitial", "children = { %s }" },
}

-- tree makes a tree of handlers of so many levels, over backends that it names. A leaf may be a function that answers with a string.
local function tree(depth, names, strings)
    if depth == 0 or math.random(6) == 1 then
        if math.random(5) == 1 then
            strings[#strings + 1] = OUTCOMES[math.random(3)]
            return "say" .. #strings
        end
        names[#names + 1] = "b" .. #names + 1
        return names[#names]
    end
    local n = math.random(4)
    local kind = n > 1 and BEST[math.random(#BEST)] or ONE[math.random(#ONE)]
    local children = {}
    for i = 1, n do
        children[i] = tree(depth - 1, names, strings)
    end
    return string.format("require 'routes.%s'{ " .. kind[2] .. " }", kind[1], table.concat(children, ", "))
end

-- class is what the client's answer is.
local function class(text, command)
    if text == outcomes.text("", "miss", command) then
        return 2
    elseif string.find(text, "_ERROR ", 1, true) then
        return 1
    end
    return 3
end

describe("the best answer wins in", function()
    local commands = { outcomes.command("get"), outcomes.command("ms foo 1 T60"), outcomes.command("incr"), outcomes.command("delete") }
    for seed = 1, 150 do
        math.randomseed(seed)
        local names, strings = { "b1" }, {}
        local route_text = string.format("require 'routes.allfastest'{ children = { b1, %s } }", tree(3, names, strings))
        local says = {}
        local command = commands[seed % #commands + 1]
        for i, outcome in ipairs(strings) do
            says[i] = string.format("local say%d = function() return %q end", i, outcomes.text("s", outcome, command))
        end
        local best, o = 0, {}
        for i in ipairs(names) do
            o[i] = OUTCOMES[math.random(#OUTCOMES)]
            best = math.max(best, CLASS[o[i]])
        end
        for _, outcome in ipairs(strings) do
            best = math.max(best, CLASS[outcome])
        end
        it(string.format("tree %d of %d backends: %s", seed, #names, command.line), function()
            route(table.concat(says, "\n") .. "\nreturn " .. route_text, table.unpack(names)) -- luacheck: ignore 143
            for i, name in ipairs(names) do
                outcomes.behave(name, o[i], command)
            end
            expect(class(send(command.line, command.value).text, command)):equals(best)
        end)
    end
end)

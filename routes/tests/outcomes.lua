-- outcomes: what children can answer, for the truth tables of handlers. A case has each child of a route behave in some way to a
-- command, and asks a model of the handler what must come of it.
--
--   outcomes.table{ names = { "a", "b" }, route = [[return ...]], model = function(o) return winner, seconds end }
--
-- o[i] is how child i behaves: "hit", "miss", "error", "timeout", "down" or "never". The model gives the child whose answer is the
-- client's, or the answer's text, and after how many seconds; nothing if there is no answer. A "hit" is success for what stores.

local M = {}

local unpack = table.unpack -- luacheck: ignore 143

M.all = { "hit", "miss", "error", "timeout", "down", "never" }

-- rank is res:rank() of an outcome; -1: there is no answer.
M.rank = { hit = 4, miss = 3, error = 2, timeout = 1, down = 0, never = -1 }

-- READ_TIMEOUT is how long a backend is waited for, in seconds.
M.READ_TIMEOUT = 3

-- commands: line and value as sent; hit and miss, what a backend answers then, %s being its name and %n its length; quiet, which of these
-- the client is not told.
M.commands = {
    { class = "read", line = "get foo", hit = "VALUE foo 0 %n\r\n%s\r\nEND", miss = "END" },
    { class = "read", line = "gets foo", hit = "VALUE foo 0 %n 77\r\n%s\r\nEND", miss = "END" },
    { class = "read", line = "mg foo v k O123", hit = "VA %n kfoo O123\r\n%s", miss = "EN" },
    { class = "read", line = "mg foo v q O123", hit = "VA %n O123\r\n%s", miss = "EN", quiet = { miss = true } },
    { class = "touch", line = "gat 60 foo", hit = "VALUE foo 0 %n\r\n%s\r\nEND", miss = "END" },
    { class = "touch", line = "touch foo 60", hit = "TOUCHED", miss = "NOT_FOUND" },
    { class = "store", line = "set foo 0 60 1", value = "x", hit = "STORED", miss = "NOT_STORED" },
    { class = "store", line = "set foo 0 60 1 noreply", value = "x", hit = "STORED", miss = "NOT_STORED", quiet = { hit = true, miss = true } },
    { class = "store", line = "ms foo 1 T60 O123 k", value = "x", hit = "HD O123 kfoo", miss = "NS O123 kfoo" },
    { class = "store", line = "ms foo 1 q O123", value = "x", hit = "HD O123", miss = "NS O123", quiet = { hit = true } },
    { class = "modify", line = "cas foo 0 60 1 77", value = "x", hit = "STORED", miss = "EXISTS" },
    { class = "modify", line = "append foo 0 60 1", value = "x", hit = "STORED", miss = "NOT_STORED" },
    { class = "modify", line = "incr foo 1", hit = "12", miss = "NOT_FOUND" },
    { class = "modify", line = "ma foo v q", hit = "VA 2\r\n12", miss = "NF", quiet = { hit = true } },
    { class = "modify", line = "mg foo v N30", hit = "VA %n W\r\n%s", miss = "EN" },
    { class = "delete", line = "delete foo", hit = "DELETED", miss = "NOT_FOUND" },
    { class = "delete", line = "md foo q k O123", hit = "HD kfoo O123", miss = "NF kfoo O123", quiet = { hit = true } },
}

-- whole are the commands that children are to answer in every way: one of each class.
M.whole = { ["get foo"] = true, ["gat 60 foo"] = true, ["ms foo 1 q O123"] = true, ["incr foo 1"] = true, ["md foo q k O123"] = true }

-- command finds one of them by the beginning of its line.
function M.command(line)
    for _, c in ipairs(M.commands) do
        if string.sub(c.line, 1, #line) == line then
            return c
        end
    end
    error("no command begins with " .. line, 2)
end

-- filled puts a backend's name into an answer.
local function filled(text, name)
    return (string.gsub(string.gsub(text, "%%n", #name), "%%s", name))
end

-- behave has the backend of that name answer command so.
function M.behave(name, outcome, command)
    local b = backend(name)
    if outcome == "timeout" or outcome == "down" then
        b:fails(outcome)
    elseif outcome == "never" then
        b:never()
    elseif outcome == "error" then
        b:answers("SERVER_ERROR " .. name)
    else
        b:answers(filled(command[outcome], name))
    end
end

-- text is what the client sees of that backend's answer.
function M.text(name, outcome, command)
    if outcome == "timeout" or outcome == "down" then
        return "SERVER_ERROR backend failure\r\n"
    elseif outcome == "error" then
        return "SERVER_ERROR " .. name .. "\r\n"
    elseif command.quiet and command.quiet[outcome] then
        return ""
    end
    return filled(command[outcome], name) .. "\r\n"
end

-- seconds is when all of these have been answered; nil: never.
function M.seconds(o)
    local at = 0
    for _, outcome in ipairs(o) do
        if outcome == "never" then
            return nil
        elseif outcome == "timeout" then
            at = M.READ_TIMEOUT
        end
    end
    return at
end

-- best is the first of the best outcomes: its place, and rank.
function M.best(o)
    local at, rank = 1, -2
    for i, outcome in ipairs(o) do
        if M.rank[outcome] > rank then
            at, rank = i, M.rank[outcome]
        end
    end
    return at, rank
end

-- each calls f with every way in which n children can behave.
function M.each(n, f, of)
    of = of or M.all
    local o = {}
    local function choose(i)
        if i > n then
            f({ unpack(o) })
            return
        end
        for _, outcome in ipairs(of) do
            o[i] = outcome
            choose(i + 1)
        end
    end
    choose(1)
end

-- sent is what seen() gives when these have been sent line, one after the other. What is down sees nothing.
function M.sent(names, o, line)
    local lines = {}
    for i, name in ipairs(names) do
        if o[i] ~= "down" then
            lines[#lines + 1] = name .. ": " .. line
        end
    end
    return lines
end

-- check runs one case of a table.
function M.check(t, command, o)
    route(t.route, unpack(t.names))
    for i, name in ipairs(t.names) do
        M.behave(name, o[i], command)
    end
    local call = start(command.line, command.value)
    local winner, seconds = t.model(o, command)
    if winner == nil then
        advance(1000)
        expect(call:done()):is_false()
    else
        local res = call:wait()
        if type(winner) == "number" then
            winner = M.text(t.names[winner], o[winner], command)
        end
        expect(res.text):equals(winner)
        expect(res.time):equals(seconds)
    end
    expect(seen()):equals((t.sent or M.sent)(t.names, o, command.line, command))
end

-- table makes an `it` of every case: the children in all ways with a command of each class, and hits and misses with the others; or with the
-- commands and outcomes that t says.
function M.table(t)
    for _, command in ipairs(t.commands or M.commands) do
        M.each(#t.names, function(o)
            it(command.line .. ": " .. table.concat(o, ", "), function()
                M.check(t, command, o)
            end)
        end, t.outcomes or not t.commands and not M.whole[command.line] and { "hit", "miss" } or M.all)
    end
end

return M

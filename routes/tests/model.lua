-- model: what truth tables of several handlers have in common: requests of each class, what a child may do with them, and how good that is.

local M = {}

-- requests, with what a server says of a hit or success, and of a miss. NAME in it is the server's name, one letter.
M.requests = {
    { class = "read", line = "get k", hit = "VALUE k 0 1\r\nNAME\r\nEND", miss = "END", fetch = true },
    { class = "read", line = "mg k v", hit = "VA 1\r\nNAME", miss = "EN", fetch = true },
    { class = "touch", line = "gat 60 k", hit = "VALUE k 0 1\r\nNAME\r\nEND", miss = "END", fetch = true },
    { class = "touch", line = "touch k 60", hit = "TOUCHED", miss = "NOT_FOUND" },
    { class = "store", line = "set k 0 60 1", value = "x", hit = "STORED", miss = "NOT_STORED" },
    { class = "store", line = "ms k 1 T60", value = "x", hit = "HD", miss = "NS" },
    { class = "modify", line = "incr k 1", hit = "2", miss = "NOT_FOUND" },
    { class = "modify", line = "add k 0 60 1", value = "x", hit = "STORED", miss = "NOT_STORED" },
    { class = "delete", line = "delete k", hit = "DELETED", miss = "NOT_FOUND" },
    { class = "delete", line = "md k", hit = "HD", miss = "NF" },
}

-- What a child does, from the best to the worst: rank is what ROUTES' order of answers makes of it.
M.outcomes = { "hit", "miss", "error", "timeout", "closed", "down" }
M.rank = { hit = 4, miss = 3, error = 2, timeout = 1, closed = 1, down = 0 }

-- apply has a backend do that with everything.
function M.apply(name, outcome, req)
    local b = backend(name)
    b:works()
    if outcome == "hit" or outcome == "miss" then
        b:answers((string.gsub(req[outcome], "NAME", name)))
    elseif outcome == "error" then
        b:answers("SERVER_ERROR " .. name)
    else
        b:fails(outcome)
    end
end

-- text is what a client is told of it.
function M.text(name, outcome, req)
    if outcome == "hit" or outcome == "miss" then
        return (string.gsub(req[outcome], "NAME", name)) .. "\r\n"
    elseif outcome == "error" then
        return "SERVER_ERROR " .. name .. "\r\n"
    end
    return "SERVER_ERROR backend failure\r\n"
end

-- sent is the line as seen() has it, nil for a backend that is down.
function M.sent(name, outcome, req)
    return outcome ~= "down" and name .. ": " .. req.line or nil
end

local function combine(outcomes, n, f, list)
    if #list == n then
        f(list)
        return
    end
    for _, o in ipairs(outcomes) do
        list[#list + 1] = o
        combine(outcomes, n, f, list)
        list[#list] = nil
    end
end

-- combinations calls f with every list of n outcomes; of more than two without "closed", which is as good as a timeout.
function M.combinations(n, f)
    combine(n > 2 and { "hit", "miss", "error", "timeout", "down" } or M.outcomes, n, f, {})
end

-- best is the number of the best outcome of a list, the first of equals; worst of the worst.
function M.best(list)
    local at = 1
    for i = 2, #list do
        if M.rank[list[i]] > M.rank[list[at]] then
            at = i
        end
    end
    return at
end

function M.worst(list)
    local at = 1
    for i = 2, #list do
        if M.rank[list[i]] < M.rank[list[at]] then
            at = i
        end
    end
    return at
end

return M

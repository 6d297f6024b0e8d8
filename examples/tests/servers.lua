-- What the tests of examples share: a pool's servers as one.

local M = {}
M.__index = M

-- at gives the servers at these ports of 127.0.0.1. Every method of a backend does it to all of them.
function M.at(...)
    local list = {}
    for i, port in ipairs({ ... }) do
        list[i] = backend("127.0.0.1:" .. port)
    end
    return setmetatable({ list = list }, M)
end

for _, name in ipairs{ "fails", "slow", "works" } do
    M[name] = function(self, ...)
        for _, b in ipairs(self.list) do
            b[name](b, ...)
        end
    end
end

-- set puts an item into each, so that it is where the pool looks; get finds it in any.
function M:set(...)
    for _, b in ipairs(self.list) do
        b:set(...)
    end
end

function M:get(key)
    for _, b in ipairs(self.list) do
        local value, more = b:get(key)
        if value then
            return value, more
        end
    end
    return nil
end

-- seen gives what they were sent, server by server.
function M:seen()
    local all = {}
    for _, b in ipairs(self.list) do
        for _, line in ipairs(b:seen()) do
            all[#all + 1] = line
        end
    end
    return all
end

-- counts gives how many requests each was sent.
function M:counts()
    local out = {}
    for i, b in ipairs(self.list) do
        out[i] = #b:seen()
    end
    return out
end

return M

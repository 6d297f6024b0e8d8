-- compare: what answers say of children, and which of several is given.
--
--   compare.failed(res)    no answer, or an error for which the child is to blame; CLIENT_ERROR is none, for any child would say it
--   compare.missed(res)    a read's miss: END, EN. Not NOT_FOUND, NOT_STORED and their like, which say that a command was done
--   compare.best(list)     the best by res:rank(); of equals the first
--   compare.both(list)     for what must reach all of them, such as deletes: the worst if one failed, else the best

local M = { SUCCESS = 4, MISS = 3, ERROR = 2, TIMEOUT = 1, UNSENT = 0 } -- what res:rank() gives

function M.failed(res)
    local rank = res:rank()
    return rank < M.ERROR or rank == M.ERROR and res:code() ~= mcp.MCMC_CODE_CLIENT_ERROR
end

function M.missed(res)
    return res:rank() == M.MISS and res:code() == mcp.MCMC_CODE_END
end

M.best = require "routes.best"

function M.both(list)
    local worst = list[1]
    for _, res in ipairs(list) do
        if res:rank() < worst:rank() then
            worst = res
        end
    end
    return worst:rank() < M.MISS and worst or M.best(list)
end

return M

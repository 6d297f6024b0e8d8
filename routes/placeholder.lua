-- placeholder: the empty item that mg with N leaves where a key is missing, while somebody fills it. To plain clients, and to meta ones that
-- do not ask for leases, such a key is missing: lease and fill see to that with this. As good as missing are also an item that was deleted
-- softly (md with I), and an empty one with the client flags NONE, by which fill remembers that there is no value.
--
--   local p = placeholder.new()                        in make
--   local stale, won, sent = p.marks(res)              of an answer to mg: X, W, Z, and more
--   local writer = p.writer(rctx, handles)             in the slot function; handles is a list of three, to one child; OBJECTS objects
--   writer(r, class)                                   answers a request of class "modify", or "touch" without a value

local M = {}

-- OBJECTS is how many objects a writer makes.
M.OBJECTS = 2

-- NONE are client flags.
M.NONE = 1853190003

-- adds is whether r stores only where nothing is.
local function adds(r)
    if r:command() == mcp.CMD_ADD then
        return true
    end
    local there, mode = r:flag_token("M")
    return there and string.sub(mode, 1, 1) == "E" -- ms's add
end

-- sure is whether r depends on a CAS, which no placeholder's is.
local function sure(r)
    return r:command() == mcp.CMD_CAS or r:command() == mcp.CMD_MG or r:has_flag("C")
end

function M.new()
    local self = {}

    -- look asks what is there, without leaving a placeholder. Arguments: request, whether its key is base64.
    local look = mcp.req_mutator_new(
        { t = "cmdset", cmd = "mg" }, { t = "keycopy", idx = 1 }, { t = "flagcopy", flag = "b", idx = 2 }, { t = "flagset", flag = "s" },
        { t = "flagset", flag = "c" }, { t = "flagset", flag = "f" })

    -- marks of an answer to mg: X, W, Z, size (there, number), CAS (there, token), client flags (there, number).
    local marks = mcp.res_inspector_new(
        { t = "hasflag", flag = "X" }, { t = "hasflag", flag = "W" }, { t = "hasflag", flag = "Z" }, { t = "flagint", flag = "s" },
        { t = "flagtoken", flag = "c" }, { t = "flagint", flag = "f" })

    -- drop deletes an item that has not been changed. Arguments: request, base64, CAS.
    local drop = mcp.req_mutator_new(
        { t = "cmdset", cmd = "md" }, { t = "keycopy", idx = 1 }, { t = "flagcopy", flag = "b", idx = 2 }, { t = "flagcopy", flag = "C", idx = 3 })

    -- again marks a stale item as wanting somebody to fill it. Arguments as drop's.
    local again = mcp.req_mutator_new(
        { t = "cmdset", cmd = "md" }, { t = "keycopy", idx = 1 }, { t = "flagcopy", flag = "b", idx = 2 }, { t = "flagcopy", flag = "C", idx = 3 },
        { t = "flagset", flag = "I" })

    -- swap replaces an item that has not been changed. Arguments: request, base64, CAS, TTL, client flags.
    local swap = mcp.req_mutator_new(
        { t = "cmdset", cmd = "ms" }, { t = "keycopy", idx = 1 }, { t = "valcopy", idx = 1 }, { t = "flagcopy", flag = "b", idx = 2 },
        { t = "flagcopy", flag = "C", idx = 3 }, { t = "flagcopy", flag = "T", idx = 4 }, { t = "flagcopy", flag = "F", idx = 5 })
    self.marks = marks

    function self.writer(rctx, handles)
        local ask, act = rctx:request_new(), rctx:request_new()

        -- missing looks: whether the key is as good as missing; then also its CAS, and whether the look has been told to fill it. Instead, nil
        -- and the answer if that is an error.
        local function missing(r, b, handle)
            look(ask, r, b)
            local res = rctx:enqueue_and_wait(ask, handle)
            if res:rank() < 3 then
                return nil, res
            end
            local stale, won, sent, _, size, _, cas, _, flags = marks(res) -- none of a miss
            return stale or size == 0 and (sent or flags == M.NONE), cas, stale and won
        end

        return function(r, class)
            if sure(r) then
                return rctx:enqueue_and_wait(r, handles[1])
            end
            local b = r:has_flag("b")
            if adds(r) then
                local res = rctx:enqueue_and_wait(r, handles[1])
                if res:code() ~= mcp.MCMC_CODE_NOT_STORED then
                    return res
                end
                local gone, cas = missing(r, b, handles[2])
                if not gone then
                    return gone == nil and cas or res
                end
                local _, ttl, flags
                if r:command() == mcp.CMD_ADD then
                    flags, ttl = r:token(3), r:token(4)
                else
                    _, ttl = r:flag_token("T")
                    _, flags = r:flag_token("F")
                end
                swap(act, r, b, cas, ttl, flags)
                local done = rctx:enqueue_and_wait(act, handles[3])
                return rctx:answer(r, done:rank() ~= 3 and done) -- changed meanwhile: it is not missing any more
            end
            local gone, cas, took = missing(r, b, handles[1])
            if gone == nil then
                return cas
            elseif not gone then
                return rctx:enqueue_and_wait(r, handles[2])
            elseif class == "modify" and r:has_flag("N") then -- it makes what is missing
                drop(act, r, b, cas)
                rctx:enqueue_and_wait(act, handles[2])
                return rctx:enqueue_and_wait(r, handles[3])
            elseif took then -- whoever reads next is to be told to fill
                again(act, r, b, cas)
                rctx:enqueue_and_wait(act, handles[2])
            end
            return rctx:answer(r, false)
        end
    end
    return self
end

return M

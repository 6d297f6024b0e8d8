-- limit: how many extra requests a handler may send, so that one child that fails does not become too much for the next. The field is a table:
--
--   { rate = 100, burst = 200 }    so many a second, in each worker; burst (rate, at least 1) at once after a quiet time
--   { share = 0.1, burst = 200 }   that part of the requests that the handler serves; burst (100) at once after a quiet time
--
-- rate = 0 or share = 0 without a burst is none at all.
--
-- new(limit) gives a bucket: request() notes a request that is served, take() whether one extra may be sent. A nil limit has a bucket without end.

local M = {}

local FIELDS = { rate = true, share = true, burst = true }

-- check says what is wrong with a limit, or nothing.
local function check(spec)
    for k, v in pairs(spec) do
        if not FIELDS[k] then
            return "there is no field \"" .. tostring(k) .. "\"; there are rate, share, burst"
        elseif type(v) ~= "number" or v < 0 or v ~= v then
            return k .. ": want a number that is not negative, got " .. tostring(v)
        end
    end
    if (spec.rate == nil) == (spec.share == nil) then
        return "want rate or share, and not both"
    elseif spec.share and spec.share > 1 then
        return "share: want at most 1, got " .. spec.share
    elseif spec.burst and spec.burst < 1 then
        return "burst: want at least 1, got " .. spec.burst
    end
end

-- field is that of the handlers that have a limit.
M.field = { "limit", "table", check = check,
    doc = "the most extra requests: { rate = a second in each worker, burst = at once } or { share = of all requests, burst = }; none without" }

local function nothing() end

local function always()
    return true
end

function M.new(spec)
    if spec == nil then
        return { request = nothing, take = always }
    end
    local rate, share = spec.rate, spec.share
    local burst = spec.burst or (rate or share) == 0 and 0 or share and 100 or math.max(rate, 1)
    local tokens = burst

    local function take()
        if tokens < 1 then
            return false
        end
        tokens = tokens - 1
        return true
    end
    if share then
        return { take = take, request = function()
            tokens = math.min(burst, tokens + share)
        end }
    end
    local now = mcp.time_mono_millis
    local last = now()
    return { request = nothing, take = function()
        local t = now()
        tokens, last = math.min(burst, tokens + (t - last) * rate / 1000), t
        return take()
    end }
end

return M

-- keys: the keys of requests, whichever way a client writes them. A meta command with the flag b has its key in base64; it is the same item as the
-- decoded one's if that can be written plainly.
--
--   keys.plain(r)              the key decoded, if it can be written plainly; else the base64 as it is, which no plain key of another request is
--                              taken for in derived(); and whether it is base64
--   keys.hash(text)            a number from 0 up to keys.HASHES - 1
--   keys.derived(prefix, r)    a key made of a prefix and the key of r, at most 250 bytes: where that is too long, of a hash of the key

local M = { HASHES = 2147483647 } -- 2^31-1, a prime: products with numbers up to 2^22 are exact

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local DIGITS = {}
for i = 1, #ALPHABET do
    DIGITS[string.byte(ALPHABET, i)] = i - 1
end

-- decode gives the bytes that base64 text stands for, nil if it is none or a byte is not for a plain key.
local function decode(text)
    local out, bits, n = {}, 0, 0
    local body = string.match(text, "^([%w+/]+)=?=?$")
    if not body then
        return nil
    end
    for i = 1, #body do
        bits, n = bits * 64 + DIGITS[string.byte(body, i)], n + 6
        if n >= 8 then
            n = n - 8
            local byte = math.floor(bits / 2 ^ n)
            bits = bits - byte * 2 ^ n
            if byte <= 32 or byte == 127 then
                return nil
            end
            out[#out + 1] = string.char(byte)
        end
    end
    return table.concat(out)
end

function M.plain(r)
    local key = r:key()
    if not r:has_flag("b") then
        return key, false
    end
    local plain = decode(key)
    return plain or key, plain == nil
end

-- hash is a polynomial over the bytes. The last two factors are one large one, so that keys that differ in their last byte are far apart.
function M.hash(text)
    local h = #text
    for i = 1, #text do
        h = (h * 1000003 + string.byte(text, i)) % M.HASHES
    end
    return h * 3935559 % M.HASHES * 2654435 % M.HASHES
end

function M.derived(prefix, r)
    local key, binary = M.plain(r)
    if binary then
        prefix = prefix .. "b:"
    end
    if #prefix + #key > 250 then
        return prefix .. "h:" .. M.hash(key) .. "." .. M.hash(string.reverse(key))
    end
    return prefix .. key
end

return M

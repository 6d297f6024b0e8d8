-- pattern: is a text a pattern of string.match? Lua finds out what is wrong with one when it comes to that part of it, which for a
-- configuration is too late.
--
--   pattern.good(text)    whether it is

local M = {}

-- class_end gives the place behind the set that begins at `at`, behind its bracket; nil if it does not end.
local function class_end(text, at)
    if string.sub(text, at, at) == "^" then
        at = at + 1
    end
    repeat -- a bracket that comes first is one of the set
        if at > #text then
            return nil
        end
        at = at + (string.sub(text, at, at) == "%" and 2 or 1)
    until string.sub(text, at, at) == "]"
    return at + 1
end

-- escape_end gives the place behind what begins with the % at `at`; nil if that is nothing. captures is how many have ended.
local function escape_end(text, at, captures)
    local c = string.sub(text, at + 1, at + 1)
    if c == "b" then
        return at + 3 <= #text and at + 4 or nil
    elseif c == "f" then
        return string.sub(text, at + 2, at + 2) == "[" and at + 2 or nil
    elseif string.find(c, "^%d") then
        return tonumber(c) >= 1 and tonumber(c) <= captures and at + 2 or nil
    end
    return c ~= "" and at + 2 or nil
end

function M.good(text)
    local open, ended, at = 0, 0, 1
    while at and at <= #text do
        local c = string.sub(text, at, at)
        if c == "%" then
            at = escape_end(text, at, ended)
        elseif c == "[" then
            at = class_end(text, at + 1)
        else
            if c == "(" then
                open = open + 1
            elseif c == ")" then
                open, ended = open - 1, ended + 1
            end
            at = open >= 0 and at + 1 or nil
        end
    end
    return at ~= nil and open == 0 and open + ended <= 32
end

return M

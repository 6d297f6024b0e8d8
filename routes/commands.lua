-- commands: what a request does to an item, whatever its command is called.
--
--   commands.class(r)
--     "read"    get, gets, me; mg that changes nothing
--     "touch"   gat, gats, touch; mg with T: a read, or nothing, and a new TTL
--     "store"   set; ms in mode set without C: replaces whatever is there
--     "modify"  add, replace, cas, append, prepend, incr, decr, ma, ms in other modes or with C, mg with N or R: it depends on the old item
--     "delete"  delete, md
--     "other"   everything else

local M = {}

local CLASS = {
    [mcp.CMD_GET] = "read", [mcp.CMD_GETS] = "read", [mcp.CMD_ME] = "read",
    [mcp.CMD_GAT] = "touch", [mcp.CMD_GATS] = "touch", [mcp.CMD_TOUCH] = "touch",
    [mcp.CMD_SET] = "store",
    [mcp.CMD_ADD] = "modify", [mcp.CMD_REPLACE] = "modify", [mcp.CMD_CAS] = "modify", [mcp.CMD_APPEND] = "modify", [mcp.CMD_PREPEND] = "modify",
    [mcp.CMD_INCR] = "modify", [mcp.CMD_DECR] = "modify", [mcp.CMD_MA] = "modify",
    [mcp.CMD_DELETE] = "delete", [mcp.CMD_MD] = "delete",
}

-- SET are the names of ms's mode set.
local SET = { S = true, s = true, set = true }

function M.class(r)
    local cmd = r:command()
    local class = CLASS[cmd]
    if class then
        return class
    elseif cmd == mcp.CMD_MG then
        if r:has_flag("N") or r:has_flag("R") then
            return "modify"
        end
        return r:has_flag("T") and "touch" or "read"
    elseif cmd == mcp.CMD_MS then
        local there, mode = r:flag_token("M")
        if r:has_flag("C") or there and not SET[mode] then
            return "modify"
        end
        return "store"
    end
    return "other"
end

return M

package engine

import "testing"

// rankedConfig sends each set to two functions that return strings, and returns what the second line of answers says of the results.
const rankedConfig = `
function mcp_config_pools() return mcp.pool({ mcp.backend("b", "127.0.0.1", 1) }) end
function mcp_config_routes()
    local function says(text)
        local g = mcp.funcgen_new()
        g:ready{ f = function() return function() return text end end }
        return g
    end
    local function told(texts, ranked, mode)
        local g, hs = mcp.funcgen_new(), {}
        for i, text in ipairs(texts) do hs[i] = g:new_handle(says(text)) end
        g:ready{ n = "told", ranked = ranked, f = function(rctx)
            return function(r)
                rctx:enqueue(r, hs)
                local line = "SERVER_ERROR " .. rctx:wait_cond(1, mode)
                for _, h in ipairs(hs) do
                    local res, class = rctx:result(h)
                    if type(res) == "userdata" then
                        line = line .. " " .. res:rank() .. (res:ok() and "ok" or "") .. "/" .. class
                    else
                        line = line .. " " .. tostring(res and "text") .. "/" .. tostring(class)
                    end
                end
                return line .. "\r\n"
            end
        end }
        return g
    end
    local texts = { "NOT_FOUND\r\n", "SERVER_ERROR no\r\n", "STORED\r\n" }
    mcp.attach(mcp.CMD_SET, told(texts, true, mcp.WAIT_GOOD))
    mcp.attach(mcp.CMD_ADD, told(texts, true, mcp.WAIT_OK))
    mcp.attach(mcp.CMD_REPLACE, told(texts, nil, mcp.WAIT_ANY))
    mcp.attach(mcp.CMD_GET, told({ "VALUE k 0 1\r\nx\r\nEND\r\n", "END\r\n" }, true, mcp.WAIT_GOOD))
    mcp.attach(mcp.CMD_DELETE, told({ "no answer at all", "" }, true, mcp.WAIT_GOOD))
end`

// Behind handles of a ranked generator strings are responses, and waits go by the rank.
func TestRankedResults(t *testing.T) {
	c := dial(t, startProxy(t, writeConfig(t, rankedConfig)))
	for _, d := range []struct{ request, answer string }{
		{"set k 0 0 1\r\nx\r\n", "SERVER_ERROR 1 3ok/16 2/32 4ok/8\r\n"}, // NOT_FOUND is not what WAIT_GOOD waits for
		{"add k 0 0 1\r\nx\r\n", "SERVER_ERROR 1 3ok/16 nil/nil nil/nil\r\n"},
		{"replace k 0 0 1\r\nx\r\n", "SERVER_ERROR 1 text/32 nil/nil nil/nil\r\n"}, // as in memcached
		{"get k\r\n", "SERVER_ERROR 1 4ok/8 nil/nil\r\n"},
		{"delete k\r\n", "SERVER_ERROR 0 0/32 0/32\r\n"},
	} {
		c.says(d.request)
		c.sees(d.answer)
	}
}

// A string that a child returned is quiet where an answer of a backend would be.
func TestRankedStringsAreQuiet(t *testing.T) {
	c := dial(t, startProxy(t, writeConfig(t, `
function mcp_config_pools() end
function mcp_config_routes()
    local direct = require "routes.direct"
    mcp.attach(mcp.CMD_MS, direct{ child = function() return "HD\r\n" end })
    mcp.attach(mcp.CMD_MG, direct{ child = function() return "EN\r\n" end })
    mcp.attach(mcp.CMD_MD, direct{ child = function() return "SERVER_ERROR no\r\n" end })
end`)))
	c.says("ms k 1 q\r\nx\r\nmg k v q\r\nmg k v\r\nms k 1\r\nx\r\nmd k q\r\n")
	c.sees("EN\r\nHD\r\nSERVER_ERROR no\r\n")
}

// The best and the worst of ranked results go by rank: of equals the first is the best, of equal errors the first is the worst.
func TestRankedBestAndWorst(t *testing.T) {
	c := dial(t, startProxy(t, writeConfig(t, `
function mcp_config_pools() return mcp.pool({ mcp.backend("b", "127.0.0.1", 1) }) end
function mcp_config_routes()
    local texts = { get = { "END", "VALUE k 0 1\r\na\r\nEND", "VALUE k 0 1\r\nb\r\nEND" }, touch = { "SERVER_ERROR a", "SERVER_ERROR b", "NOT_FOUND" },
        delete = { "x", "SERVER_ERROR b", "NOT_FOUND", "DELETED" } }
    for cmd, method in pairs{ get = "best_result", touch = "worst_result", delete = "worst_result" } do
        local g, hs = mcp.funcgen_new(), {}
        for i, text in ipairs(texts[cmd]) do hs[i] = g:new_handle(require "routes.direct"{ child = function() return text .. "\r\n" end }) end
        g:ready{ ranked = true, f = function(rctx)
            return function(r)
                rctx:enqueue(r, hs)
                rctx:wait_cond(#hs)
                return (rctx[method](rctx, hs))
            end
        end }
        mcp.attach(mcp["CMD_" .. string.upper(cmd)], g)
    end
end`)))
	c.says("get k\r\ntouch k 1\r\ndelete k\r\n")
	c.sees("VALUE k 0 1\r\na\r\nEND\r\nSERVER_ERROR a\r\nSERVER_ERROR backend failure\r\n")
}

-- allmajority: every request to every child, and the answer that most of them give.
--
-- There are three kinds of answers: hits and successes; misses, "not stored", "not found"; errors, timeouts and what could not be sent.
-- As soon as one kind has more than half of the children it is answered, and the other requests go on. If none ever has, all are
-- waited for and the most frequent kind wins, of two the worse. Within the kind it is the best answer, of equals the first listed
-- child's. Reads, writes and deletes alike.

local handler = require "routes.handler"

local HIT, MISS, ERROR = mcp.RES_GOOD, mcp.RES_OK, mcp.RES_ANY -- the kinds are the classes of results

return handler.define{
    name = "allmajority",
    doc = "Sends every request to all children and answers what most of them do.",
    fields = {
        { "children", "children", required = true, map = true, doc = "who is asked" },
    },
    example = [[route_allmajority{ children = { "a", "b", "c" } }]],
    make = function(f)
        return handler.route(f, function(rctx, h)
            local children = handler.listed(h.children)
            local n = #children
            local half = n / 2
            local votes, best = {}, {} -- by kind: how many have come, and the best of them

            -- poll counts the answers that are there. It gives the winner, and whether that is settled.
            local function poll()
                local all = 0
                votes[HIT], votes[MISS], votes[ERROR] = 0, 0, 0
                for i = 1, n do
                    local res, kind = rctx:result(children[i])
                    if res then
                        all, votes[kind] = all + 1, votes[kind] + 1
                        if votes[kind] == 1 or res:rank() > best[kind]:rank() then
                            best[kind] = res
                        end
                    end
                end
                local winner = ERROR
                if votes[MISS] > votes[winner] then
                    winner = MISS
                end
                if votes[HIT] > votes[winner] then
                    winner = HIT
                end
                return best[winner], votes[winner] > half or all == n
            end

            return function(r)
                rctx:enqueue(r, children)
                rctx:wait_cond(math.floor(half) + 1)
                local res, settled = poll()
                while not settled do
                    rctx:wait_cond(1)
                    res, settled = poll()
                end
                return res
            end
        end)
    end,
}

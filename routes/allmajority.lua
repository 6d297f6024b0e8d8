-- allmajority: every request to every child, and the answer that most of them give.
--
-- There are three kinds of answers: hits and successes; misses, "not stored", "not found"; errors, timeouts and what could not be sent.
-- As soon as one kind has more than half of the children it is answered, and the other requests go on. If none ever has, all are
-- waited for and the most frequent kind wins, of two the worse. Within the kind it is the best answer, of equals the first listed
-- child's. Reads, writes and deletes alike.

local handler = require "routes.handler"

local KIND = { [0] = 1, 1, 1, 2, 3 } -- by res:rank(): 1 errors, 2 misses, 3 hits

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
            local votes, best, ranks = {}, {}, {} -- by kind: how many have come, and the best of them

            -- poll counts the answers that are there. It gives the winner's kind, and whether that is settled.
            local function poll()
                local all = 0
                for kind = 1, 3 do
                    votes[kind], best[kind], ranks[kind] = 0, nil, -1
                end
                for i = 1, n do
                    local res = rctx:result(children[i])
                    if res then
                        local rank = res:rank()
                        local kind = KIND[rank]
                        all, votes[kind] = all + 1, votes[kind] + 1
                        if rank > ranks[kind] then
                            best[kind], ranks[kind] = res, rank
                        end
                    end
                end
                local winner = 1
                for kind = 2, 3 do
                    if votes[kind] > votes[winner] then
                        winner = kind
                    end
                end
                return winner, votes[winner] > half or all == n
            end

            return function(r)
                rctx:enqueue(r, children)
                rctx:wait_cond(math.floor(half) + 1)
                local winner, settled = poll()
                while not settled do
                    rctx:wait_cond(1)
                    winner, settled = poll()
                end
                return best[winner]
            end
        end)
    end,
}

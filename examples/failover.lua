-- A pool and a spare one, by a function generator. Reads that the main pool answers with an error, or not within 50 ms, go to the
-- spare; writes go to both, and the client has its answer as soon as the main pool has answered.

function mcp_config_pools()
    return {
        main = mcp.pool({ mcp.backend("127.0.0.1:11212") }, { name = "main" }),
        spare = mcp.pool({ mcp.backend("127.0.0.1:11213") }, { name = "spare" }),
    }
end

function mcp_config_routes(pools)
    local reads = mcp.funcgen_new()
    local main, spare = reads:new_handle(pools.main), reads:new_handle(pools.spare)
    reads:ready{ n = "reads", f = function(rctx)
        return function(r)
            local res, late = rctx:enqueue_and_wait(r, main, 0.05)
            if not late and res:ok() then
                return res
            end
            return rctx:enqueue_and_wait(r, spare)
        end
    end }

    local writes = mcp.funcgen_new()
    main, spare = writes:new_handle(pools.main), writes:new_handle(pools.spare)
    writes:ready{ n = "writes", f = function(rctx)
        return function(r)
            rctx:enqueue(r, { main, spare }) -- both are sent by the wait, which is for one
            return rctx:wait_handle(main)
        end
    end }

    mcp.attach(mcp.CMD_ANY_STORAGE, writes)
    mcp.attach(mcp.CMD_GET, reads)
    mcp.attach(mcp.CMD_GETS, reads)
    mcp.attach(mcp.CMD_MG, reads)
end

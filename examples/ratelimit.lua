-- Batch jobs, whose keys begin with batch/, get 1000 requests a second, and what comes over that finds nothing, at once; other keys know no limit.
-- For a pool that serves people and machines. The bucket is for the whole proxy, and holds a second's worth: so many may come in one burst.
-- batch_limited counts what was refused.
-- Costs: a set over the limit is answered NOT_STORED and not done. So would a delete be, so deletes pass it by here: what the job changes is read by
-- others. With fallback = "other" the rest goes to another pool instead.

pools{
    main = { backends = { "127.0.0.1:11212", "127.0.0.1:11213" } },
}

local limited = route_ratelimit{ child = "main", limit = 1001, fillrate = 100, tickrate = 100, global = true, name = "batch" }

routes{
    map = {
        batch = route_cmd{ groups = { delete = "main" }, default = limited },
    },
    default = "main",
}

-- Two ways to keep a crowd that wants the same key at once from the pool and from the database behind it. page/, values that are dear to make, by a
-- lease: of all who miss a key one is told so and is to set it; the others wait for that, up to a second, and a deleted page is still answered to
-- them for 30 seconds while one makes it anew. Other keys by coalescing: reads of one key at the same time share one request and its answer.
-- Costs: a lease is an empty item in the pool, and append, incr and touch first ask whether there is one; who misses and never sets makes the others
-- wait that second. Coalescing costs nothing, but all who miss together are told so together, too.

pools{
    main = { backends = { "127.0.0.1:11212", "127.0.0.1:11213", "127.0.0.1:11214" } },
}

routes{
    map = {
        page = route_lease{ child = "main", ttl = 10, wait = 1, stale = 30 },
    },
    default = route_coalesce{ child = "main", name = "main" }, -- counts main_shared
}

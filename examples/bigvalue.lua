-- Values over 200 KB are cut into chunks, which lie on different servers under keys of their own, and are put together again for who reads them. For
-- large values (a rendered page, a model) that hold up the one server that has them, and, with --max-item 3m at the proxy, for some that no server
-- would take. Clients see one value: all of the old one or all of the new, or a miss when a chunk is gone.
-- Costs: each chunk is one more request, and every set or delete, of small values too, first asks what is there: two requests in place of one. So it
-- is for one prefix, big/. A value that is cut cannot be appended to.

pools{
    main = { backends = { "127.0.0.1:11212", "127.0.0.1:11213", "127.0.0.1:11214", "127.0.0.1:11215" } },
}

routes{
    map = {
        big = route_bigvalue{ child = "main", threshold = 200000, max_chunks = 16 },
    },
    default = "main",
}

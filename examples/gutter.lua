-- A few spare servers, the gutter, stand in for those of a pool that fail: clients see misses and then hits in place of errors. For a cache whose
-- database cannot bear a server's whole share of reads. Items live in the gutter for 60 seconds at most, so that little that is old is left there;
-- while the pool is well it is sent nothing, but for deletes in the minute after it was last used.
-- Costs: the spare servers, about one for a hundred. A server that hangs costs each request its read timeout before the gutter is asked, so that is
-- short here; one that is marked bad costs nothing.

pools{
    main = {
        backends = { "127.0.0.1:11212", "127.0.0.1:11213", "127.0.0.1:11214" },
        backend_options = { connecttimeout = 1, readtimeout = 0.25 },
    },
    spare = { backends = { "127.0.0.1:11215" } },
}

routes{
    default = route_gutter{ child = "main", gutter = "spare", ttl = 60, stats = true, stats_name = "main" }, -- counts main_gutter
}

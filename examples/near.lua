-- The values of hot keys are kept in the proxy for two seconds and answered from there. For the few keys that everyone reads: their server is asked
-- now and then, however many clients there are. Kept are keys that are read more than 100 times a second here. A set or delete through this proxy
-- drops the copy: its clients read what was written. The store has a name, so a reload does not empty it.
-- Costs: what is written through another proxy is seen up to two seconds later; 256 MB of memory here. near_hits counts what was answered so.

pools{
    main = { backends = { "127.0.0.1:11212", "127.0.0.1:11213", "127.0.0.1:11214" } },
}

routes{
    default = route_near{ child = "main", ttl = 2, size = 256 * 1024 * 1024, promote = 100, name = "hot" },
}

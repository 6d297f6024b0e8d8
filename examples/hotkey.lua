-- A key that is read more than 1000 times a second is read from four places in turn: its own and three copies, under keys of their own, on whichever
-- servers those fall. For keys that are too hot for one server and must be as fresh as others; near.lua spares more, but may answer what is older. A
-- copy is made by who first reads it, and lives for ten seconds; other keys are left alone.
-- Costs: a set or delete of any key here is followed by deletes of its three copies, and waits for them: four requests in place of one. So it is for
-- one prefix, hot/, that is read much more than it is written.

pools{
    main = { backends = { "127.0.0.1:11212", "127.0.0.1:11213", "127.0.0.1:11214", "127.0.0.1:11215" } },
}

routes{
    map = {
        hot = route_hotkey{ child = "main", replicas = 4, threshold = 1000, ttl = 10 },
    },
    default = "main",
}

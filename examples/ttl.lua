-- No item stays longer than a day, and sessions half an hour. For a cache whose clients forget TTLs, or with data that one may not keep. The cap
-- holds for all that gives an item a TTL: set, add, cas, touch, gat and the meta commands; shorter TTLs stay. Sessions get their half hour whatever
-- the client says, and a new one with every touch.
-- Costs: no more requests; but what was meant for ever is there for a day. What is in the pool already keeps its TTL.

pools{
    main = { backends = { "127.0.0.1:11212", "127.0.0.1:11213" } },
}

routes{
    map = {
        session = route_ttl{ child = "main", ttl = 1800, action = "set" },
    },
    default = route_ttl{ child = "main", ttl = 86400, action = "min" },
}

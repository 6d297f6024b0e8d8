-- The same items in two zones. Reads are answered by this proxy's zone, and by the other one when that fails; sets and deletes go to both and are
-- answered with the worse answer when both have answered: STORED means that both have it. For data that is read much, in more than one place. What
-- changes an item in place (incr, append, add, cas, touch) is done in the first zone by name, east, and then deleted from the other, which reads it
-- from there.
-- Costs: the memory twice, writes as slow as the slowest zone. A zone that missed a write while it was down may still have the older item when it is
-- back; who wrote got an error. With write = "async" the first zone's answer is given instead.

local_zone("west") -- or local_zone_from_env("ZONE"), local_zone_from_file("/etc/zone"): one file for all proxies

pools{
    set_main = {
        west = { backends = { "127.0.0.1:11212", "127.0.0.1:11213" } },
        east = { backends = { "127.0.0.1:11214", "127.0.0.1:11215" } },
    },
}

routes{
    default = route_replicated{ children = "set_main", read = "near", write = "all", name = "main" },
}

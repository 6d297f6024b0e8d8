-- One pool, replicated in two zones. Reads ask this proxy's zone first and then the other; writes and deletes go to both.

my_zone("z1")

router{
    router_type = "keyprefix",
    match_prefix = "/(%a+)/",
    default_pool = nil, -- keys without a prefix have no route
}

pool{
    name = "foo",
    zones = {
        z1 = { "127.0.0.1:11212", "127.0.0.1:11213" },
        z2 = { "127.0.0.1:11214", "127.0.0.1:11215" },
    },
}

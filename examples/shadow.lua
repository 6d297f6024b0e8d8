-- A new pool is sent a copy of the requests for a tenth of the keys, and its answers are held beside the old one's. For new servers or a new version:
-- they bear real load, and show whether they answer alike, before anyone depends on them. Clients get the old pool's answer and wait for nothing
-- else. It is always the same tenth, so what is stored there is read there; after the longest TTL main_different should no longer grow. What differs
-- is logged, ten a second at most.
-- Costs: a tenth more requests. A pool that hangs has 500 copies waiting in each worker, and is sent no more until it answers.

pools{
    old = { backends = { "127.0.0.1:11212", "127.0.0.1:11213" } },
    new = { backends = { "127.0.0.1:11214", "127.0.0.1:11215" } },
}

routes{
    default = route_shadow{ child = "old", shadow = "new", key_fraction = 0.1, compare = true, outstanding = 500, name = "main" },
}

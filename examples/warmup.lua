-- A new pool takes over from an old one and is filled from it as it is read. For new servers, which would otherwise send every read to the database
-- on their first day. A read that misses in the new pool is answered from the old one, and added to the new one with what is left of its TTL. Sets go
-- to the new pool alone, deletes to both. When main_warm grows no more, take the old pool out: routes{ default = "new" }.
-- Costs: a miss is two requests, one after the other. incr and append find nothing of a key that is only in the old pool yet.

pools{
    old = { backends = { "127.0.0.1:11212", "127.0.0.1:11213" } },
    new = { backends = { "127.0.0.1:11214", "127.0.0.1:11215", "127.0.0.1:11216" } },
}

routes{
    default = route_warmup{ cold = "new", warm = "old", stats = true, stats_name = "main" },
}

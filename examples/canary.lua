-- Sets and deletes, which go to three replicas, are tried on one first; only after a clean answer are they sent to the others. For the day on which a
-- new version, or a value that nobody has thought of, kills whoever gets it: one replica is lost, not all. Reads go to the replicas in turn, and on
-- to the next after an error.
-- Costs: a set takes two round trips, one after the other, and nothing is stored while the canary is down: its error is the answer. With on =
-- function(r) ... end only some requests need a canary; others go to all at once.

pools{
    set_main = {
        { backends = { "127.0.0.1:11212" } }, -- the canary: the first
        { backends = { "127.0.0.1:11213" } },
        { backends = { "127.0.0.1:11214" } },
    },
}

local carefully = route_canary{ children = "set_main", n = 1 }

routes{
    default = route_cmd{
        groups = { store = carefully, delete = carefully },
        default = route_replicated{ children = "set_main", read = "spread", name = "main" },
    },
}

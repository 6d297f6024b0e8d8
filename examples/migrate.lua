-- Keys move from an old pool to a new one over six hours, each at a moment of its own, by its hash. For a change of servers that nobody should
-- notice, and that can be stopped half-way. A key that has moved is looked for in the old pool too, and copied, when it is first read, so the hit
-- rate does not fall. Deletes go to both pools from ten seconds before the first key until ten seconds after the last.
-- Costs: a miss of a key that has moved is two requests. Once it is over, let the warmup stand for as long as items live, and then take the old pool
-- out.

pools{
    old = { backends = { "127.0.0.1:11212", "127.0.0.1:11213" } },
    new = { backends = { "127.0.0.1:11214", "127.0.0.1:11215", "127.0.0.1:11216" } },
}

routes{
    default = route_migrate{
        from = "old",
        to = route_warmup{ cold = "new", warm = "old" },
        start = 1767236400, -- 2026-01-01 03:00 UTC: date -d '2026-01-01 03:00 UTC' +%s
        interval = 6 * 3600,
        skew = 10,
    },
}

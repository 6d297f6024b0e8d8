-- Three replicas; when the one that is asked takes longer than it usually does, a second is asked besides, and the first good answer counts. For
-- replicas that are slow now and then (garbage, a full disk, a noisy neighbour): the slowest reads take a few times what others do, not the pause.
-- Longer is twice the time within which that replica has answered 95 % of its reads of late, at least a millisecond. Sets and deletes go to all.
-- Costs: the memory three times, and at most 5 % more reads, also when all replicas are slow. main_sent and main_won count the reads that were sent
-- besides, and those of them that came first. Reads of a replica that is dead go to the next (main_retried).

pools{
    set_main = {
        { backends = { "127.0.0.1:11212" } },
        { backends = { "127.0.0.1:11213" } },
        { backends = { "127.0.0.1:11214" } },
    },
}

routes{
    default = route_hedged{
        children = "set_main",
        order = "spread", -- each in turn is asked first
        budget = 0.05,
        write = route_replicated{ children = "set_main", read = "spread", write = "all" },
        name = "main",
    },
}

-- One pool over four servers: each key lives on one of them, by its hash. For a cache that is larger than one server. With rendezvous a server that
-- is taken off the list takes only its own keys with it, a quarter, and one that is added draws an equal share from each of the others; that goes by
-- address, not by place in the list.
-- Costs: nothing is kept twice. While a server is down its quarter of the keys is answered with errors: gutter.lua and replicated.lua help there.

pools{
    main = {
        backends = { "127.0.0.1:11212", "127.0.0.1:11213", "127.0.0.1:11214", "127.0.0.1:11215" },
        options = { dist = "rendezvous" },
        backend_options = { connecttimeout = 1, readtimeout = 0.5 }, -- a server that hangs is an error after half a second
    },
}

routes{ default = "main" }

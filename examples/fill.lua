-- What the cache does not have is fetched over HTTP by the proxy, stored and answered: clients only ever get, and need no code for a miss. Keys that
-- begin with item/ are fetched from http://127.0.0.1:8080/item/..., once for all who wait. They stay for five minutes, less up to 10 % by chance, and
-- are answered for another minute while one request fetches them anew. A 404 is a miss, and is remembered for ten seconds.
-- Costs: a miss takes as long as the fetch; after two seconds it is an error. Who changes what is behind the URL must delete the key, or wait.

pools{
    main = { backends = { "127.0.0.1:11212", "127.0.0.1:11213" } },
}

routes{
    map = {
        item = route_fill{
            child = "main",
            url = "http://127.0.0.1:8080/%k",
            ttl = 300, jitter = 0.1, negative = 10, stale_while = 60,
            timeout = 2, max = 256 * 1024,
        },
    },
    default = "main",
}

-- What the cache does not have is fetched over HTTP by the proxy, stored and answered: clients only ever get, and need no code for a miss. item/7 is
-- fetched from http://127.0.0.1:8080/items/7, once for all who wait. It stays for five minutes, less up to 10 % by chance, and is answered for
-- one more while one request fetches it anew. A 404 is a miss, and is remembered for ten seconds.
-- Costs: a miss takes as long as the fetch; after two seconds it is an error. Who changes what is behind the URL must delete the key, or wait.

pools{
    items = { backends = { "127.0.0.1:11212", "127.0.0.1:11213" } }, -- keys are without item/ there, so nothing else should be
    main = { backends = { "127.0.0.1:11214", "127.0.0.1:11215" } },
}

local fetched = route_fill{
    child = "items",
    url = "http://127.0.0.1:8080/items/%k", -- the key in %k is escaped: a / in it would be %2F
    ttl = 300, jitter = 0.1, negative = 10, stale_while = 60,
    timeout = 2, max = 256 * 1024,
}

routes{
    map = { item = route_key{ strip = "item/", child = fetched } },
    default = "main",
}

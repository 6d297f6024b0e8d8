-- Three tenants, told apart by what their keys begin with. For a cache that several teams share: none takes another's time or reads its keys. search/
-- has servers of its own, and the prefix is cut off on the way there. shop/ and mail/ share a pool, where their prefixes keep them apart; each has so
-- many requests there at once, and 20 for one connection, and the rest wait for their turn. A key of no tenant is an error that says so.
-- Costs: a tenant that is over its share waits up to 0.1 s and then gets SERVER_ERROR, while the pool may be idle. Memory in the shared pool is not
-- divided.

pools{
    search = { backends = { "127.0.0.1:11212", "127.0.0.1:11213" } },
    shared = { backends = { "127.0.0.1:11214", "127.0.0.1:11215" } },
}

local function share(name, max)
    return route_inflight{ child = "shared", max = max, per_client = 20, queue = 1000, wait = 0.1, name = name } -- counts NAME_refused
end

routes{
    map = {
        search = route_key{ child = "search", strip = "search/" },
        shop = share("shop", 200),
        mail = share("mail", 50),
    },
    default = route_error{ message = "no such tenant: keys begin with search/, shop/ or mail/" },
}

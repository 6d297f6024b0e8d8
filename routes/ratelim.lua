-- ratelim: routelib's name of ratelimit.

return require "routes.ratelimit".also("ratelim", "Is ratelimit, under routelib's name.",
    [[route_ratelim{ child = "a", limit = 1000, fillrate = 100 }]])

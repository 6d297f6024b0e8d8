-- What the proxies of the tier do with keys, over the leaves that are registered in etcd with --pool=main.

pool{ name = "default", discover = { pool = "main" } }

router{ router_type = "flat" }

-- The smallest configuration: every key, over three leaves. `make run` starts these leaves and this proxy.
--
-- Change it while it runs, then: kill -HUP <pid of tidepool>   (or: curl -X POST localhost:9411/reload)

pool{
    name = "default",
    backends = {
        "nats://127.0.0.1:4301",
        "nats://127.0.0.1:4302",
        "nats://127.0.0.1:4303",
    },
}

router{ router_type = "flat" }

-- What the proxies of the tier do with keys. Edit it, `kubectl apply -k` again, and they reload within a minute or so: that is how long
-- kubelets take to swap the files of a ConfigMap. `tidepool check` and `tidepool test` tell beforehand whether it is right.

pool{
    name = "default",
    backends = {
        "nats://tidepool-leaf-0.tidepool-leaves.tidepool.svc:4301",
        "nats://tidepool-leaf-1.tidepool-leaves.tidepool.svc:4301",
        "nats://tidepool-leaf-2.tidepool-leaves.tidepool.svc:4301",
    },
}

router{ router_type = "flat" }

-- What the proxy beside the application does with keys. Edit it, `kubectl apply -k` again, and it is loaded within a minute or so: that is how long
-- kubelets take to swap the files of a ConfigMap. `tidepool check` and `tidepool test` tell beforehand whether it is right.

pool{ name = "default", discover = "srv+nats://_nats._tcp.tidepool-leaves.tidepool.svc" } -- leaves by DNS: as many as there are

router{ router_type = "flat" }

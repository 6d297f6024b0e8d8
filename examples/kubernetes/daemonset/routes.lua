-- Reads ask the leaf of this node first; what it has not is fetched from the others and kept on the node for ten seconds. Writes and deletes go to
-- the others and then to this node's leaf. Cost: what another node has written or deleted may be read here in its old form for those ten
-- seconds, so it is for keys that may be that stale.

pools{
    near = { backends = { "nats://127.0.0.1:4302" } },
    main = { discover = "srv+nats://_nats._tcp.tidepool-leaves.tidepool.svc" },
}

routes{ default = route_tier{ l1 = "near", l2 = "main", ttl = 10 } }

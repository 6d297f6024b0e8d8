-- Keys that begin with /foo/ go to one pool, /bar/ to another; the prefix is cut off on the way and put back in answers. A key
-- with neither has no route. host:port is a memcached server; a leaf would be nats://host:port.

pool{
    name = "foo",
    backends = { "127.0.0.1:11212", "127.0.0.1:11213" },
}

pool{
    name = "bar",
    backends = { "127.0.0.1:11214", "127.0.0.1:11215" },
}

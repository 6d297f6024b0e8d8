// Package etcd is the topology as etcd keeps it: leaves register there, proxies agree there on the membership of every pool, and
// whatever goes wrong with etcd, the last membership serves on.
//
// Who calls it: cmd/tidepool makes a Source for a proxy (Options.Proxy is set: it decides memberships and reports what it goes by), for a
// leaf (it registers itself and watches its pool) and for commands that ask (Proxies, Leaves, Config). Every method may be called
// concurrently. Functions that are handed in (Options.Probe, watchers) are called from this package's goroutines, none of which holds a lock
// that a method other than the watch's own stop and Refresh would want.
//
// # What lies in etcd
//
// Under the prefix, /tidepool if nothing else is said:
//
//	leaves/<pool>/<name>   a topo.Member, under the leaf's lease
//	pools/<pool>           the membership: a topo.Snapshot and what it takes to decide the next (document), under no lease
//	proxies/<id>           a ProxyInfo, under the proxy's lease
//	config                 the configuration, plain text; any other key outside the folders may hold one, too (Options.Config)
//	leader/<name>/...      elections
//
// # How a membership comes about
//
// A proxy mirrors everything under the prefix: one listing, one watch from its revision on. Where a pool's document does not fit the
// leaves' registrations it writes one that does, by compare-and-swap on the document's revision; who loses takes over what the winner wrote and
// looks again. So each proxy sees the same documents in the same order. What the next document is, is a pure function (plan) of the last one, the
// registrations, and which of the vanished still answer.
//
// # What is sure
//
// A watcher is never given a document with a lower epoch than the one before, whatever etcd says: one that was wiped or restored is given a
// document with a higher one, made from what proxies remember. A proxy is known to etcd as a user of a pool before it is given the pool's
// membership, so Settled cannot overlook it, as long as it reaches etcd. docs/topology.md says what is not sure.
package etcd

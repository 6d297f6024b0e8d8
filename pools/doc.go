// Package pools turns a key into a backend. A Pool is a named list of backends with a hash and a distribution; the
// Registry owns the backends themselves, shared by everything that names them.
//
// Who calls it: configuration (package luaapi) acquires backends from the engine's one Registry and makes Pools of them;
// sessions call Pool.Send for every request. A Pool is a stable object: routes hold it for as long as they like, while its
// membership, which is immutable, is swapped whole beneath them. Everything here may be called concurrently.
//
// What one client (Pending.Lane) sends for one key to a Pool is done in the order in which it was sent, whatever memberships come between: order.go.
//
// Ownership: a Pool does not own its backends. Whoever acquired them (a generation, or a discovered pool's feeder) releases
// them once no request can reach the Pool any more; the Registry closes a backend when the last holder has let go.
package pools

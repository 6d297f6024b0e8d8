// Package mc is the memcached protocol, text and meta: bytes only, no I/O, and no allocation on success.
//
// Who calls it: engine/server cuts what a client sent into Requests; pools/backend and leaf write the wire form of a
// Request and cut answers into Responses; leaf/command reads tokens and flags; luaapi edits Requests for scripts.
//
// Two rule sets, because memcached itself has two: a listener with a route attached words its refusals as memcached's
// proxy does and has its limits, any other listener as plain memcached does (version 1.6.45; where an older one differs
// in wording the newer is followed). A malformed request is not an error of the Parser but a Request with Bad set: it
// has its place in the order of answers like any other.
//
// One request, one answer: whatever AppendWire renders of what CheckWire lets pass is answered exactly once by every
// memcached since 1.6.0 on a machine of 64 bits and by a leaf. Everything pipelined over a shared connection rests on
// this, so what an old server would answer twice (a set whose flags are no number, or with a word too many: up to 1.6.39
// it takes the value for a command) or never (noreply, also with a zero byte behind it, q, a key named "noreply" after delete) is refused or rewritten here.
//
// Concurrency: nothing in this package is shared. A Parser belongs to one stream; a Request or Response to one
// goroutine at a time.
//
// Ownership: the slices of a Request or Response point into the buffer that it was parsed from and live as long as that
// does. Functions that render (AppendWire, SubGet, the edits) append to a buffer of the caller's and return it, as append
// does; what they rendered before into the same buffer stays valid, even where it had to grow.
package mc

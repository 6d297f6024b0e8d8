// Package routetest runs unit tests of routes, written in Lua: `tidepool test`. docs/testing.md is for those who write them.
//
// What is tested is the real thing: the engine's loader, sessions and workers, on a proxy that is offline (engine.Offline). Fake are the
// backends, in this process, and the clock. A backend without a script is a leaf's store on that clock, so values, TTLs, CAS numbers and
// leases are real; a script (answers, fails, slow, never) lies on top.
//
// Time is virtual (clock.go): when everything waits, the clock goes on to the next moment at which something is due. One thing runs at a
// time: the test's Lua, or one session, which is a coroutine that the clock resumes in an order that depends on nothing but the test. So the order
// of what backends see is the same every run, and a test that waits a day takes no time.
//
// A test file has a Lua state of its own. What it describes is collected first and then run, one `it` after the other; each has a proxy, backends,
// a clock and random numbers that begin anew. What is expensive is kept for the whole run: what files compile to, and the stores, which are
// emptied. A Runner belongs to one goroutine; two may run side by side.
package routetest

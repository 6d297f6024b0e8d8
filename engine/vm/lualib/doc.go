// Package lualib is Lua as scripts see it: the standard library of Lua 5.4, as far as a sandbox lets it through, on gopher-lua.
//
// gopher-lua's own library is not opened. Where it differs from Lua 5.4, a key proxy would notice: its upper and lower corrupt
// binary keys, %f and %g are missing from its patterns, its formats are Go's, a yield inside pcall is lost. So the library is
// written anew, each function a Go function that is guarded (a Go panic becomes a Lua error), charged to the step budget by what it
// does, and named, so that an argument error says which function and which argument.
//
//	host.go       Host, Options, Open: what is installed       meter.go      the step budget
//	frames.go     the one place that looks inside gopher-lua   yield.go      where a script may wait
//	pcall.go      pcall, xpcall over coroutines                coroutine.go  coroutine.*
//	call.go       calls from Go                                concat.go     the .. operator
//	ints.go       // & | ~ << >>, strings in arithmetic        closevar.go   local x <close>
//	base.go       the basic functions                          load.go       load, dofile, require, package
//	args.go       argument checks                              number.go     numbers as text
//	memory.go     what tables and varargs take              wording.go     errors of instructions, in Lua's words
//	str*.go       string.*                                     pattern*.go   the pattern matcher
//	tables.go ... table.*, math.*, utf8.*, os.*, io.*, debug.*
//	open.go       what --lua-unsafe restores                   globals.go    the list that the golden test compares
//
// A Host belongs to one Lua state; whoever holds the state's lock may use it. Hosts share nothing.
package lualib

import lua "github.com/yuin/gopher-lua"

func init() {
	// gopher-lua fills a table's array with nils up to any index below this: t[50000000] = 1 takes 800 MB. Numbers from here on
	// go to the hash part. It is a variable of the package, so it is set once for all states. A list can have this many items.
	lua.MaxArrayIndex = 1 << 20
}

// Package quick runs what routes do for a request, most often little: look at it, send it on, look at the answer.
//
// gopher-lua's own interpreter enters a Go function for each instruction and keeps a request that waits on a coroutine, which takes a microsecond to
// start and to resume. A Machine runs the same bytecode (gopher-lua's, which is Lua 5.1's) in one loop on registers of its own, and where
// a function waits all there is to keep is the registers and the number of the next instruction. It knows the instructions that
// routes are made of, on plain values, and the Go functions that Set.Add has named. Anything else (a metamethod that is a function, a closure to
// be made, any other Go function, every error) it leaves, before it has done a part of it: Left. Whoever runs it then puts the very frames and registers, whose layout
// is gopher-lua's, on a coroutine, which goes on there as if it had begun there. So what is not here costs time only, and what is here has
// to do exactly what gopher-lua does, errors excepted, which are always gopher-lua's.
package quick

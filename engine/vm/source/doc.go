// Package source turns the text of a script into a prototype that gopher-lua runs as Lua 5.4 would, under a step budget.
//
// Scripts are written for Lua 5.4 (memcached's proxy) and run on gopher-lua, a Lua 5.1. Every file, however it is loaded
// (start files, dofile, loadfile, require, load), goes through Compile:
//
//	scan      text -> tokens, with Lua's own lexical errors        scan.go, literal.go
//	parse     tokens -> gopher-lua's tree, with Lua's own errors   parse.go, expr.go, scope.go
//	lower     what gopher-lua lacks: // & | ~ << >>, <close>       intop.go, ints.go, close.go
//	repair    rewrite what gopher-lua would miscompile             repair.go
//	steps     insert the budget's count-down                       steps.go, tables.go
//	compile   gopher-lua's compiler, and its unchecked limits      compile.go, names.go
//
// lower, repair and steps are one walk over the tree (walk.go).
//
// Line numbers survive every stage, and so does, for error messages, what the operands of instructions are called. Names that the stages
// invent hold a parenthesis or a space, so no script can spell them.
//
// The result of Compile has upvalues (see Upvalues): whoever instantiates it supplies the counter and the helpers; engine/vm/
// lualib does. Compile keeps nothing and may run on any number of goroutines; its result is immutable and may be shared by
// states.
package source

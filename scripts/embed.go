// Package scripts holds the Lua entry files that are part of the binary: the declarative words of simple.lua.
package scripts

import _ "embed"

// SimpleName is what errors call the file.
const SimpleName = "[scripts/simple.lua]"

// Simple is loaded before every configuration. It defines pool, router and my_zone, and returns the two stages that
// serve when a configuration defines none of its own.
//
//go:embed simple.lua
var Simple []byte

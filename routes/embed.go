// Package routes is the route library: handlers in Lua, one a file. A script gets one with require "routes.NAME"; a handler
// takes a table of fields, checks it while loading, and returns a route.
package routes

import "embed"

// Files holds every handler as NAME.lua.
//
//go:embed *.lua
var Files embed.FS

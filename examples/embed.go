// Package examples holds the example configurations, one lesson a file; the smallest is what `tidepool dev` runs when it is
// given none.
package examples

import _ "embed"

// DefaultName is the file name of Default.
const DefaultName = "simple.lua"

// Default is the smallest configuration: every key, over the three leaves that `tidepool dev` starts.
//
//go:embed simple.lua
var Default string

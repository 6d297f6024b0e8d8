//go:build race

package server

// raceEnabled: sync.Pool forgets at random under the race detector, so that allocations are not the product's.
const raceEnabled = true

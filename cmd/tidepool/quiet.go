// A proxy that has become quiet gives back the memory that its work took.
//
// Go collects when the heap has grown by as much as was alive, and at least every two minutes. A proxy whose clients all connect, ask once
// and fall silent, as pools of connections do, would be left for two minutes with what that took: stacks that are deeper than waiting needs,
// and garbage. So it collects when there is nothing else to do. It costs nobody anything then: a few milliseconds, and not again until
// there has been work.

package main

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	quietEvery = 500 * time.Millisecond // how often is looked
	quietUse   = 0.02                   // the share of one processor below which nothing is going on
	quietWorth = 2 << 20                // bytes allocated since the last time from which it is worth the while
)

// sparesMemory gives memory back whenever the process has become quiet, until done. used is its processor time so far, allocated
// the bytes that it has allocated so far.
func sparesMemory(done <-chan struct{}, used func() (time.Duration, bool), allocated func() uint64) {
	var q quiet
	watchUse(done, quietEvery, used, func(used, took time.Duration) {
		if q.next(used, took, allocated()) {
			debug.FreeOSMemory() // collects first
		}
	})
}

// quiet decides.
type quiet struct {
	before uint64 // allocated when memory was last given back
}

// next is told of processor time used in some time, and of all bytes allocated so far; it reports whether memory is to be given back.
func (q *quiet) next(used, took time.Duration, allocated uint64) bool {
	if float64(used) > quietUse*float64(took) || allocated-q.before < quietWorth {
		return false
	}
	q.before = allocated
	return true
}

// heapAllocated is how many bytes the process has allocated so far.
func heapAllocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

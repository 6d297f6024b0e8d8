// What a leaf tells Go's garbage collector.

package main

import (
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
)

// limitHeap tells the garbage collector what the process may use: the items, a fifth on top for what is under way between
// two collections, and what a process needs that holds nothing. Without it a heap of long-lived items would be let grow
// to twice its size. Whoever sets GOMEMLIMIT knows better.
func limitHeap(items int64, log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	limit := items + items/5 + 96<<20
	debug.SetMemoryLimit(limit)
	log.Debug("heap limited", "bytes", limit)
}

// heapSlack is how much a process with leaves may use up between two collections, in bytes, beyond what it would.
const heapSlack = 16 << 20

// spareCollector has the collector come less often, by bytes that let the heap look larger than it is; they are never touched, so they take no memory, and are kept by being what it
// gives. Where items are not in Go's heap (leaf/store), what lives there are a few megabytes, and it would collect when as much as lives has come on top: at 8 kB
// a value, of which nats-server copies some, fifty times a second, a quarter of a leaf's time.
var spareCollector = sync.OnceValue(func() []byte { return make([]byte, heapSlack) })

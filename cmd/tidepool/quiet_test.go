// Memory is given back when there is nothing to do.

package main

import (
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestQuiet(t *testing.T) {
	const mib = 1 << 20
	type look struct {
		busy float64 // of one processor
		mib  uint64  // allocated in all
		want bool
	}
	for name, looks := range map[string][]look{
		"as soon as it is quiet":           {{0.5, 10, false}, {0.5, 90, false}, {0.01, 91, true}},
		"once":                             {{0, 10, true}, {0, 11, false}, {0, 11, false}},
		"again after some work":            {{0, 10, true}, {0.5, 20, false}, {0, 20, true}},
		"little by little, now and then":   {{0, 10, true}, {0, 11, false}, {0, 12, true}, {0, 13, false}},
		"nothing that would be worth it":   {{0, 1, false}, {0, 1, false}},
		"not while there is a little work": {{0.03, 50, false}, {0.03, 60, false}},
	} {
		var q quiet
		for i, l := range looks {
			if got := q.next(time.Duration(l.busy*float64(quietEvery)), quietEvery, l.mib*mib); got != l.want {
				t.Errorf("%s: look %d: given back: %v, want %v", name, i, got, l.want)
			}
		}
	}
}

func TestSparesMemory(t *testing.T) {
	forced := func() uint32 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NumForcedGC
	}
	before := forced()
	done := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		sparesMemory(done, func() (time.Duration, bool) { return 0, true }, func() uint64 { return 100 << 20 })
	})
	for until := time.Now().Add(patience); forced() == before; runtime.Gosched() {
		if time.Now().After(until) {
			t.Fatal("idle, and nothing was collected")
		}
	}
	close(done)
	all.Wait()
}

func TestHeapAllocated(t *testing.T) {
	before := heapAllocated()
	kept := make([]byte, quietWorth)
	if got := heapAllocated() - before; got < quietWorth {
		t.Errorf("allocated %d bytes more, want at least %d", got, len(kept))
	}
	runtime.KeepAlive(kept)
}

// Package stat holds what Tidepool counts: striped counters, gauges, latency histograms, and the metric names that
// people's dashboards rely on.
//
// The request path calls Add and Observe, which take no lock and allocate nothing; whoever answers `stats` or a
// Prometheus scrape calls Value and Snapshot. Everything may be used concurrently. A stripe is any number that differs
// between goroutines that run in parallel (a client connection's number does well): it only chooses which copy of the
// counter is written, so that processors do not fight over one cache line. Reading adds the copies up; a sum taken while
// others count is some value between the moments the reading began and ended.
//
// Nothing here registers itself anywhere: two proxies in one process have two sets.
package stat

import (
	"math/bits"
	"runtime"
	"sync/atomic"
)

// line is the padding unit in bytes: two cache lines, because processors fetch them in pairs.
const line = 128

// maxStripes bounds memory on machines with many processors.
const maxStripes = 64

// stripes is the number of copies: a power of two, at least the processors in use now.
func stripes() int {
	n := min(runtime.GOMAXPROCS(0), maxStripes)
	return 1 << bits.Len(uint(n-1))
}

// Counters are n counters that only grow, numbered from 0. Make them with NewCounters.
type Counters struct {
	n     int
	row   int // length of a stripe's row, padded
	mask  uint32
	cells []atomic.Uint64
}

// NewCounters makes n counters. Counters that are counted together belong into one set: within a stripe they lie
// side by side, so the padding is paid once for all of them.
func NewCounters(n int) *Counters {
	const per = line / 8
	row := (n+per-1)/per*per + per // one line more than needed: the slice itself may begin anywhere in a line
	s := stripes()
	return &Counters{n: n, row: row, mask: uint32(s - 1), cells: make([]atomic.Uint64, s*row)}
}

// Add adds v to counter i.
func (c *Counters) Add(stripe uint32, i int, v uint64) {
	c.cells[int(stripe&c.mask)*c.row+i].Add(v)
}

// Value is the sum of counter i over its stripes.
func (c *Counters) Value(i int) uint64 {
	var sum uint64
	for at := i; at < len(c.cells); at += c.row {
		sum += c.cells[at].Load()
	}
	return sum
}

// Sum is the sum of all counters.
func (c *Counters) Sum() uint64 {
	var sum uint64
	for i := range c.cells {
		sum += c.cells[i].Load()
	}
	return sum
}

// Len is the number of counters.
func (c *Counters) Len() int { return c.n }

// Counter is a single striped counter. Make it with NewCounter.
type Counter struct{ c *Counters }

// NewCounter makes a counter.
func NewCounter() *Counter { return &Counter{NewCounters(1)} }

// Add adds v.
func (c *Counter) Add(stripe uint32, v uint64) { c.c.Add(stripe, 0, v) }

// Value is the sum over the stripes.
func (c *Counter) Value() uint64 { return c.c.Value(0) }

// Gauge is a number that goes up and down. It is one word, not striped: for what changes rarely. The zero value is 0.
type Gauge struct{ v atomic.Int64 }

// Set sets the gauge.
func (g *Gauge) Set(v int64) { g.v.Store(v) }

// Add adds d, which may be negative, and returns the new value.
func (g *Gauge) Add(d int64) int64 { return g.v.Add(d) }

// Value is the gauge's value.
func (g *Gauge) Value() int64 { return g.v.Load() }

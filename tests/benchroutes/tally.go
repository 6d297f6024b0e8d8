// What is counted, and what is made of it.

package main

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// tally is what happened in one phase of a turn.
type tally struct {
	reads, misses, errors, stale, queries atomic.Int64
	deletes, refused                      atomic.Int64 // refused: answered with an error at first, and done again later

	mu       sync.Mutex
	answered []time.Duration // when the cache had answered, from when the read was due
	served   []time.Duration // when the client had the value
}

func (t *tally) got(list *[]time.Duration, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*list = append(*list, took)
}

// hits is the share of reads that the cache answered with a value.
func (t *tally) hits() float64 {
	return 1 - t.share(&t.misses) - t.share(&t.errors)
}

func (t *tally) share(n *atomic.Int64) float64 {
	return float64(n.Load()) / float64(max(t.reads.Load(), 1))
}

// at is the quantile q of a list, in milliseconds.
func at(list []time.Duration, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return float64(sorted[int(q*float64(len(sorted)-1))]) / 1e6
}

// median is that of what of gives of each turn, spread the least and the greatest.
func median[T any](list []T, of func(T) float64) float64 {
	xs := sorted(list, of)
	return xs[len(xs)/2]
}

func spread[T any](list []T, of func(T) float64) (least, most float64) {
	xs := sorted(list, of)
	return xs[0], xs[len(xs)-1]
}

func sorted[T any](list []T, of func(T) float64) (xs []float64) {
	for _, x := range list {
		xs = append(xs, of(x))
	}
	slices.Sort(xs)
	return xs
}

// What is printed: medians, and how they stand to the last contender's.

package main

import (
	"fmt"
	"slices"
	"strings"
)

// table shows one depth. Ratios are to the last contender, which is nutcracker where it runs.
func table(cs []contender, results [][]result, depth int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d in flight per connection\n", depth)
	fmt.Fprintf(&b, "  %-32s %10s %7s %8s %8s %8s %10s\n", "", "req/s", "ratio", "p50 µs", "p99 µs", "p999 µs", "CPU µs/req")
	base := median(results[len(cs)-1]).PerSecond
	for i, c := range cs {
		m := median(results[i])
		fmt.Fprintf(&b, "  %-32s %10.0f %7.2f %8.0f %8.0f %8.0f %10.2f\n", c.name, m.PerSecond, m.PerSecond/base, m.P50, m.P99, m.P999, m.CPU)
	}
	b.WriteByte('\n')
	return b.String()
}

// median takes each number's own.
func median(rs []result) result {
	of := func(f func(result) float64) float64 {
		var all []float64
		for _, r := range rs {
			all = append(all, f(r))
		}
		slices.Sort(all)
		n := len(all)
		return (all[(n-1)/2] + all[n/2]) / 2
	}
	return result{
		PerSecond: of(func(r result) float64 { return r.PerSecond }),
		P50:       of(func(r result) float64 { return r.P50 }),
		P99:       of(func(r result) float64 { return r.P99 }),
		P999:      of(func(r result) float64 { return r.P999 }),
		CPU:       of(func(r result) float64 { return r.CPU }),
	}
}

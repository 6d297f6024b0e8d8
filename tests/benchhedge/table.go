// What came of a row.

package main

import (
	"fmt"
	"io"
	"slices"
)

// tell writes a row's lines, and says if it misses its aim. Both have a turn in every round; a ratio is of two turns of the same.
func tell(w io.Writer, r *row, direct, hedged []result) error {
	var cuts []float64
	for i := range direct {
		cuts = append(cuts, direct[i].P999/hedged[i].P999)
	}
	cut := median(cuts, func(x float64) float64 { return x })
	extra := slices.MaxFunc(hedged, func(a, b result) int { return int(1e9 * (a.extra() - b.extra())) }).extra()
	fmt.Fprintf(w, "| **%s** | | | | | |\n", r.what)
	line(w, "without", direct, "", "")
	line(w, "hedged", hedged, fmt.Sprintf("%.2f %%", extra*100), fmt.Sprintf("%.1f (%.1f to %.1f)", cut, slices.Min(cuts), slices.Max(cuts)))
	switch {
	case extra > r.extra:
		return fmt.Errorf("row %s %w: %.2f %% more requests, want at most %.0f %%", r.name, errMissed, extra*100, r.extra*100)
	case cut < r.faster:
		return fmt.Errorf("row %s %w: p99.9 is cut by %.1f, want %.0f", r.name, errMissed, cut, r.faster)
	}
	return nil
}

func line(w io.Writer, name string, turns []result, extra, cut string) {
	us := func(of func(result) float64) string {
		return fmt.Sprintf("%.2f ms", median(turns, of)/1e3)
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", name, us(func(r result) float64 { return r.P50 }), us(func(r result) float64 { return r.P99 }),
		us(func(r result) float64 { return r.P999 }), extra, cut)
}

// median is that of what of gives.
func median[T any](list []T, of func(T) float64) float64 {
	var xs []float64
	for _, x := range list {
		xs = append(xs, of(x))
	}
	slices.Sort(xs)
	return xs[len(xs)/2]
}

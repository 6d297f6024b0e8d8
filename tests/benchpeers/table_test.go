// What is printed of the rounds.

package main

import (
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	f := func(want float64, speeds ...float64) {
		t.Helper()
		var rs []result
		for _, s := range speeds {
			rs = append(rs, result{PerSecond: s, CPU: -s})
		}
		if got := median(rs); got.PerSecond != want || got.CPU != -want {
			t.Errorf("%v: got %+v, want %v", speeds, got, want)
		}
	}
	f(5, 5)
	f(5, 9, 5, 1)
	f(4, 1, 3, 5, 9)
}

func TestTable(t *testing.T) {
	cs := []contender{{name: "ours"}, {name: "theirs"}}
	got := table(cs, [][]result{{{PerSecond: 90000, P99: 250.4}}, {{PerSecond: 100000, CPU: 1.375}}}, 16)
	lines := strings.Split(got, "\n")
	f := func(i int, want ...string) {
		t.Helper()
		if got := strings.Fields(lines[i]); strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("line %d: %q, want %q", i, got, want)
		}
	}
	f(0, "16", "in", "flight", "per", "connection")
	f(2, "ours", "90000", "0.90", "0", "250", "0", "0.00")
	f(3, "theirs", "100000", "1.00", "0", "0", "0", "1.38")
}

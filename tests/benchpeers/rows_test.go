// The rows: chosen by name, each whole.

package main

import (
	"strings"
	"testing"
	"time"
)

func TestPick(t *testing.T) {
	f := func(names, want string) {
		t.Helper()
		rs, err := pick(names)
		var got []string
		for _, r := range rs {
			got = append(got, r.name)
		}
		if err != nil || strings.Join(got, ",") != want {
			t.Errorf("%q: %v, %v", names, got, err)
		}
	}
	f("depth16,depth1", "depth1,depth16")
	f("idle1000", "idle1000")
	if rs, err := pick(""); err != nil || len(rs) != len(rows) {
		t.Errorf("%d rows, %v", len(rs), err)
	}
	if _, err := pick("depth1,deep"); err == nil || !strings.Contains(err.Error(), `cannot find row "deep": want some of`) {
		t.Errorf("got %v", err)
	}
}

// A row without a turn would panic, one without measures say nothing.
func TestRowsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.name] || r.title == "" || r.turn == nil || r.subject.start == nil || len(r.peers) == 0 || len(r.measures) == 0 || r.shape.keys < r.shape.conns {
			t.Errorf("row %q: %+v", r.name, r)
		}
		seen[r.name] = true
	}
}

func TestBenchArgs(t *testing.T) {
	s := common(16).with(func(s *shape) { s.multiget, s.rate = 10, 1234.4 })
	got := strings.Join(benchArgs(s, contender{addr: "127.0.0.1:1"}, 7, time.Second), " ")
	want := "bench 127.0.0.1:1 --conns 16 --depth 16 --multiget 10 --size 100 --keys 10000 --seed 7 --duration 1s --json --rate 1234"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

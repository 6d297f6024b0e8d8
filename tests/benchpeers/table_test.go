// What is made of the rounds, and what is printed.

package main

import (
	"errors"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	f := func(want float64, all ...float64) {
		t.Helper()
		if got := median(all); got != want {
			t.Errorf("%v: got %v, want %v", all, got, want)
		}
	}
	f(5, 5)
	f(5, 9, 5, 1)
	f(4, 1, 3, 5, 9)
}

// rates are turns with these requests/s and CPU of a hundredth.
func rates(all ...float64) (out []result) {
	for _, v := range all {
		out = append(out, result{PerSecond: v, CPU: v / 100})
	}
	return out
}

// A ratio is of two turns of the same round: a machine that was half as fast in one says nothing.
func TestRatiosAreOfTheSameRound(t *testing.T) {
	got := spreadOf(perSecond(1).ratios(rates(100, 50, 220), rates(100, 50, 200)))
	if got != (spread{1, 1, 1.1}) {
		t.Errorf("got %+v", got)
	}
	if got := perSecond(1).ratios(rates(0), rates(0)); got[0] != 1 {
		t.Errorf("nothing to nothing is %v", got[0])
	}
}

// A p99 that is below the one without a proxy is noise, not a gain.
func TestNoiseIsNoRatio(t *testing.T) {
	f := func(want string, ours, theirs []float64) {
		t.Helper()
		var rs [2][]result
		for i, all := range [][]float64{ours, theirs} {
			for _, v := range all {
				rs[i] = append(rs[i], result{Added: v})
			}
		}
		s := spreadOf(added(1).ratios(rs[0], rs[1]))
		if got := s.String() + ", " + added(1).verdict(s); got != want {
			t.Errorf("%v to %v: %q, want %q", ours, theirs, got, want)
		}
	}
	f("1.50 (1.00–2.00), no, but in some rounds", []float64{200, 100, -5}, []float64{100, 100, 100})
	f("-, cannot be told: the noise is larger", []float64{200, -100, 5}, []float64{100, 100, -100})
	f("-, cannot be told: the noise is larger", []float64{1, 0}, []float64{0, 1})
}

func TestVerdict(t *testing.T) {
	f := func(m measure, mid, least, greatest float64, want string) {
		t.Helper()
		if got := m.verdict(spread{mid, least, greatest}); got != want {
			t.Errorf("%s, %v (%v to %v): %q, want %q", m.name, mid, least, greatest, got, want)
		}
	}
	f(perSecond(1), 1, 1, 1.2, "yes")
	f(perSecond(1), 1.1, 0.9, 1.2, "yes, not in every round")
	f(perSecond(1), 0.99, 0.9, 1.2, "no, but in some rounds")
	f(perSecond(1), 0.9, 0.8, 0.99, "no")
	f(cpu(1.2), 1.1, 1, 1.2, "yes")
	f(cpu(1.2), 1.1, 1, 1.3, "yes, not in every round")
	f(cpu(1.2), 1.3, 1.1, 1.4, "no, but in some rounds")
	f(cpu(1.2), 1.4, 1.3, 1.5, "no")
}

// The better of one and two threads is the peer, by the row's first measure; who is beside it never is, unless there is no peer.
func TestPeerIsTheBest(t *testing.T) {
	f := func(want int, named bool, m measure, others ...[]result) {
		t.Helper()
		o := outcome{row: row{peers: theirs, measures: []measure{m}}, named: named, names: []string{"ours"}, results: [][]result{rates(1, 1, 1)}}
		for range others {
			o.names = append(o.names, "other")
		}
		o.results = append(o.results, others...)
		o.choosePeer()
		if o.peer != want {
			t.Errorf("peer %d, want %d", o.peer, want)
		}
	}
	f(2, true, perSecond(1), rates(9, 1, 1), rates(2, 2, 2), rates(100, 100, 100))
	f(1, true, cpu(1), rates(9, 1, 1), rates(2, 2, 2), rates(0, 0, 0))
	f(1, false, perSecond(1), rates(5, 5, 5))
	f(0, false, perSecond(1))
}

func TestOrderOfTurns(t *testing.T) {
	first := map[int]bool{}
	for round := range 3 {
		seen := map[int]bool{}
		for _, i := range order(3, round) {
			seen[i] = true
		}
		first[order(3, round)[0]] = true
		if len(seen) != 3 {
			t.Errorf("round %d: %v", round, order(3, round))
		}
	}
	if len(first) != 3 {
		t.Errorf("rounds begin with %v", first)
	}
}

func TestAddedLatency(t *testing.T) {
	rs := [][]result{{{P99: 300}, {P99: 90}}, {{P99: 100}, {P99: 100}}}
	addedTo(rs, 1)
	if rs[0][0].Added != 200 || rs[0][1].Added != -10 || rs[1][0].Added != 0 {
		t.Errorf("got %+v", rs)
	}
}

func sample() outcome {
	return outcome{
		row: row{name: "r", title: "some load", shape: common(16), measures: []measure{perSecond(1.05), cpu(0)}}, named: true, peer: 1,
		names:   []string{"ours", "theirs", "third"},
		results: [][]result{rates(9000, 11000, 10000), rates(10000, 10000, 10000), rates(1, 1, 1)},
	}
}

// lines compares text with what is wanted of it, spaces apart.
func lines(t *testing.T, got string, want ...string) {
	t.Helper()
	gots := strings.Split(strings.TrimSpace(got), "\n")
	for i, w := range want {
		if i >= len(gots) || strings.Join(strings.Fields(gots[i]), " ") != w {
			t.Errorf("line %d: want %q of\n%s", i, w, got)
		}
	}
	if len(gots) != len(want) {
		t.Errorf("%d lines, want %d:\n%s", len(gots), len(want), got)
	}
}

func TestTable(t *testing.T) {
	o := sample()
	lines(t, o.table(),
		"r: some load (16 connections, 16 in flight on each, 100-byte values, 10000 keys)",
		"medians; ratio (least–greatest) req/s p50 µs p99 µs p999 µs CPU µs requests/s ratio CPU ratio",
		"ours 10000 0 0 0 100.00 1.00 (0.90–1.10) 1.00 (0.90–1.10)",
		"theirs * 10000 0 0 0 100.00 1.00 (1.00–1.00) 1.00 (1.00–1.00)",
		"third 1 0 0 0 0.01 0.00 (0.00–0.00) 0.00 (0.00–0.00)")
}

func TestTableOfTheOpenLoop(t *testing.T) {
	o := outcome{row: row{name: "r", title: "open", shape: common(1).with(func(s *shape) { s.rate = 5000 }), measures: []measure{added(1)}}, named: true, peer: 1, direct: 2,
		names:   []string{"ours", "theirs", "none"},
		results: [][]result{{{P99: 300, Late: 7}}, {{P99: 200, Late: 8}}, {{P99: 100, Late: 9}}}}
	addedTo(o.results, o.direct)
	lines(t, o.table(),
		"r: open (16 connections, 5000 requests/s in all, 100-byte values, 10000 keys)",
		"medians; ratio (least–greatest) req/s p50 µs p99 µs p999 µs CPU µs late µs added p99 added p99 ratio",
		"ours 0 0 300 0 0.00 7 200 µs 2.00 (2.00–2.00)",
		"theirs * 0 0 200 0 0.00 8 100 µs 1.00 (1.00–1.00)",
		"none 0 0 100 0 0.00 9 0.00 µs -")
}

func TestTableOfIdleConnections(t *testing.T) {
	o := outcome{row: row{name: "r", title: "idle", shape: common(1), idle: 5, measures: []measure{perConn(10)}}, named: true, peer: 1,
		names: []string{"ours", "theirs"}, results: [][]result{{{PerConn: 9000}}, {{PerConn: 3000}}}}
	lines(t, o.table(),
		"r: idle",
		"medians; ratio (least–greatest) RSS per connection RSS ratio",
		"ours 9.00 kB 3.00 (3.00–3.00)",
		"theirs * 3.00 kB 1.00 (1.00–1.00)")
	lines(t, strings.Join(o.line(perConn(10)), "\n"),
		"RSS per connection", "10.00 kB or less", "3.000", "3.00–3.00", "9.00 kB", "3.00 kB (theirs)", "yes")
}

func TestSummary(t *testing.T) {
	alone := sample()
	alone.named = false
	nobody := sample()
	nobody.named, nobody.peer, nobody.row.measures = false, 0, nobody.row.measures[:1]
	bad := outcome{row: row{title: "bad load"}, err: errors.New("3 errors\nmany lines")}
	none := outcome{row: row{title: "no load"}, skipped: "memcached is not there"}
	lines(t, summary([]outcome{sample(), alone, nobody, bad, none}),
		"| row | measure | aim | ratio | least–greatest | ours | peer | met |",
		"|---|---|---|---|---|---|---|---|",
		"| some load | requests/s | 1.05 or more | 1.000 | 0.90–1.10 | 10,000 | 10,000 (theirs) | no, but in some rounds |",
		"| | proxy CPU per request | - | 1.000 | 0.90–1.10 | 100 µs | 100 µs (theirs) | - |",
		"| some load | requests/s | 1.05 or more | 1.000 | 0.90–1.10 | 10,000 | 10,000 (theirs) | not compared: the peer is missing |",
		"| | proxy CPU per request | - | 1.000 | 0.90–1.10 | 100 µs | 100 µs (theirs) | - |",
		"| some load | requests/s | 1.05 or more | - | - | 10,000 | none | not compared: the peer is missing |",
		"| bad load | | | | | | | FAILED: 3 errors |",
		"| no load | | | | | | | not measured: memcached is not there |")
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 12.345: "12.35", -3: "-3.00", 100: "100", 1234.4: "1,234", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := number(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}

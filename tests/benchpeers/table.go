// What is printed: a plain table of each row's contenders, and all rows' ratios in markdown.

package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// spread is the median of the rounds, and their least and greatest.
type spread struct{ mid, min, max float64 }

// spreadOf what may be empty: then nothing is told.
func spreadOf(all []float64) spread {
	if len(all) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	return spread{median(all), slices.Min(all), slices.Max(all)}
}

func (s spread) untold() bool { return math.IsNaN(s.mid) }

func (s spread) String() string {
	if s.untold() {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.mid, s.min, s.max)
}

// median of what is not empty.
func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

func values(rs []result, of func(result) float64) (out []float64) {
	for _, r := range rs {
		out = append(out, of(r))
	}
	return out
}

// ratios compares two contenders turn by turn of the same round. 0 to 0 is 1. Of differences, a round tells nothing in which one is not
// above zero: the noise was larger. If most rounds are such, none of them is believed.
func (m measure) ratios(a, b []result) (out []float64) {
	for i := range a {
		x, y := m.of(a[i]), m.of(b[i])
		if m.difference && (x <= 0 || y <= 0) {
			continue
		}
		if x == 0 && y == 0 {
			x, y = 1, 1
		}
		out = append(out, x/y)
	}
	if 2*len(out) <= len(a) {
		return nil
	}
	return out
}

// verdict says whether the aim is met by what was measured.
func (m measure) verdict(s spread) string {
	met := func(v float64) bool { return v == m.aim || m.better(v, m.aim) }
	worst, best := s.min, s.max
	if m.less {
		worst, best = s.max, s.min
	}
	switch {
	case s.untold():
		return "cannot be told: the noise is larger"
	case met(s.mid) && met(worst):
		return "yes"
	case met(s.mid):
		return "yes, not in every round"
	case met(best):
		return "no, but in some rounds"
	}
	return "no"
}

// wanted is the aim in words.
func (m measure) wanted() string {
	if m.aim == 0 {
		return "-"
	}
	unit := ""
	if m.own {
		unit = m.unit
	}
	if m.less {
		return fmt.Sprintf("%.2f%s or less", m.aim, unit)
	}
	return fmt.Sprintf("%.2f%s or more", m.aim, unit)
}

// table shows the row's contenders, each with its ratio to the peer.
func (o *outcome) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s%s\n", o.row.name, o.row.title, o.row.terms())
	if why := o.why(); why != "" {
		fmt.Fprintf(&b, "  %s\n\n", why)
		return b.String()
	}
	fmt.Fprintf(&b, "  %-34s", "medians; ratio (least–greatest)")
	if o.row.idle == 0 {
		fmt.Fprintf(&b, " %9s %8s %8s %8s %8s", "req/s", "p50 µs", "p99 µs", "p999 µs", "CPU µs")
	}
	if o.row.shape.rate > 0 {
		fmt.Fprintf(&b, " %8s", "late µs") // p99, of the generator: less than this cannot be told
	}
	for _, m := range o.row.measures {
		if o.row.idle > 0 || m.name == "added p99" {
			fmt.Fprintf(&b, "  %18s", m.name)
		}
		fmt.Fprintf(&b, "  %21s", short(m.name)+" ratio")
	}
	b.WriteByte('\n')
	for i, name := range o.names {
		if i > 0 && i == o.peer {
			name += " *"
		}
		fmt.Fprintf(&b, "  %-34s", name)
		mid := func(of func(result) float64) float64 { return median(values(o.results[i], of)) }
		if o.row.idle == 0 {
			fmt.Fprintf(&b, " %9.0f %8.0f %8.0f %8.0f %8.2f", mid(func(r result) float64 { return r.PerSecond }),
				mid(func(r result) float64 { return r.P50 }), mid(func(r result) float64 { return r.P99 }),
				mid(func(r result) float64 { return r.P999 }), mid(func(r result) float64 { return r.CPU }))
		}
		if o.row.shape.rate > 0 {
			fmt.Fprintf(&b, " %8.0f", mid(func(r result) float64 { return r.Late }))
		}
		for _, m := range o.row.measures {
			if o.row.idle > 0 || m.name == "added p99" {
				fmt.Fprintf(&b, "  %18s", number(mid(m.of))+m.unit)
			}
			ratio := "-"
			if o.peer > 0 && (o.direct == 0 || i != o.direct) {
				ratio = spreadOf(m.ratios(o.results[i], o.results[o.peer])).String()
			}
			fmt.Fprintf(&b, "  %21s", ratio)
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.String()
}

// short is a measure's name where there is little room.
func short(name string) string {
	switch name {
	case "proxy CPU per request":
		return "CPU"
	case "RSS per connection":
		return "RSS"
	}
	return name
}

// terms are the numbers of a row's load, after its title.
func (r *row) terms() string {
	s := r.shape
	load := fmt.Sprintf("%d in flight on each", s.depth)
	switch {
	case r.idle > 0:
		return "" // it says all
	case s.rate > 0:
		load = fmt.Sprintf("%.0f requests/s in all", s.rate)
	}
	return fmt.Sprintf(" (%d connections, %s, %d-byte values, %d keys)", s.conns, load, s.size, s.keys)
}

// why says why there is nothing to show; "": there is.
func (o *outcome) why() string {
	switch {
	case o.err != nil:
		return "FAILED: " + o.err.Error()
	case o.skipped != "":
		return "not measured: " + o.skipped
	}
	return ""
}

// summary is the table of all rows.
func summary(os []outcome) string {
	var b strings.Builder
	b.WriteString("| row | measure | aim | ratio | least–greatest | ours | peer | met |\n|---|---|---|---|---|---|---|---|\n")
	for _, o := range os {
		if why := o.why(); why != "" {
			first, _, _ := strings.Cut(why, "\n")
			fmt.Fprintf(&b, "| %s | | | | | | | %s |\n", o.row.title, strings.ReplaceAll(first, "|", "/"))
			continue
		}
		for i, m := range o.row.measures {
			title := "| " + o.row.title
			if i > 0 {
				title = "|"
			}
			fmt.Fprintf(&b, "%s | %s |\n", title, strings.Join(o.line(m), " | "))
		}
	}
	return b.String()
}

// line is what the table of all rows says of one measure.
func (o *outcome) line(m measure) []string {
	mine := spreadOf(values(o.results[0], m.of))
	ours, ratio, rounds, peer, met := number(mine.mid)+m.unit, "-", "-", "none", "-"
	judged := mine
	if o.peer > 0 {
		r := spreadOf(m.ratios(o.results[0], o.results[o.peer]))
		if !r.untold() {
			ratio, rounds = fmt.Sprintf("%.3f", r.mid), fmt.Sprintf("%.2f–%.2f", r.min, r.max)
		}
		peer = fmt.Sprintf("%s%s (%s)", number(median(values(o.results[o.peer], m.of))), m.unit, o.names[o.peer])
		if !m.own {
			judged = r
		}
	}
	switch {
	case m.aim == 0:
	case !m.own && !o.named:
		met = "not compared: the peer is missing"
	default:
		met = m.verdict(judged)
	}
	return []string{m.name, m.wanted(), ratio, rounds, ours, peer, met}
}

// number has three digits that mean something, and thousands apart.
func number(v float64) string {
	if math.Abs(v) < 100 {
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	s := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if v < 0 {
		s = "-" + s
	}
	return s
}

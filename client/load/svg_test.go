// What is drawn: whole XML, points where they belong, names as they are.

package load

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
)

// drawn is what a test looks at of an SVG.
type drawn struct {
	Text []struct {
		X    float64 `xml:"x,attr"`
		Y    float64 `xml:"y,attr"`
		Says string  `xml:",chardata"`
	} `xml:"text"`
	Lines []struct {
		Points string `xml:"points,attr"`
		Stroke string `xml:"stroke,attr"`
		Dash   string `xml:"stroke-dasharray,attr"`
	} `xml:"polyline"`
	Height float64 `xml:"height,attr"`
}

func draw(t *testing.T, logarithmic bool, runs ...Report) (d drawn) {
	t.Helper()
	var b strings.Builder
	if err := Plot(&b, runs, logarithmic); err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal([]byte(b.String()), &d); err != nil {
		t.Fatalf("%v:\n%s", err, b.String())
	}
	for _, l := range d.Lines {
		lastX, lastY := 0.0, math.Inf(1)
		for _, p := range strings.Fields(l.Points) {
			var x, y float64
			if _, err := fmt.Sscanf(p, "%f,%f", &x, &y); err != nil {
				t.Fatalf("point %q: %v", p, err)
			}
			if x < max(lastX, plotLeft) || x > plotLeft+plotWidth+0.1 || y > lastY || y < plotTop-0.1 || y > plotTop+plotHeight+0.1 {
				t.Errorf("point %q after %v,%v: percentiles and latencies rise, inside the frame", p, lastX, lastY)
			}
			lastX, lastY = x, y
		}
	}
	return d
}

// tick gives where a text stands.
func (d *drawn) tick(t *testing.T, says string) (x, y float64) {
	t.Helper()
	for _, text := range d.Text {
		if text.Says == says {
			return text.X, text.Y - 4
		}
	}
	t.Fatalf("%q is not in %+v", says, d.Text)
	return 0, 0
}

// distributed is a run of n answers whose percentile p took us(p).
func distributed(name string, n int, us func(rest float64) float64) Report {
	r := Report{Name: name, Requests: int64(n), PerSecond: 1000}
	var h histogram
	for i := range n {
		h.observe(int64(us(1-float64(i)/float64(n)) * 1e3))
	}
	ps := h.percentiles()
	for i, v := range h.quantiles(ps) {
		r.Percentiles = append(r.Percentiles, Percentile{ps[i] * 100, float64(v) / 1e3})
	}
	return r
}

func TestPlotPutsPointsWhereTheyBelong(t *testing.T) {
	run := distributed("a <&> b", 10_000, func(rest float64) float64 { return 100 / rest }) // 100 µs to 1 s
	for _, logarithmic := range []bool{false, true} {
		d := draw(t, logarithmic, run)
		if len(d.Lines) != 1 {
			t.Fatalf("%d lines", len(d.Lines))
		}
		x99, _ := d.tick(t, "99 %")
		_, y10ms := d.tick(t, map[bool]string{false: "0 µs", true: "10 ms"}[logarithmic]) // 10 ms of 1 s is as good as nothing
		found := false
		for _, p := range strings.Fields(d.Lines[0].Points) {
			var x, y float64
			_, _ = fmt.Sscanf(p, "%f,%f", &x, &y)
			if math.Abs(x-x99) < 12 && math.Abs(y-y10ms) < 12 {
				found = true
			}
		}
		if !found {
			t.Errorf("logarithmic %v: no point at 99 %% and 10 ms (%v,%v): %s", logarithmic, x99, y10ms, d.Lines[0].Points)
		}
		x0, _ := d.tick(t, "0 %")
		x9999, _ := d.tick(t, "99.99 %")
		if x0 != plotLeft || math.Abs(x9999-plotLeft-plotWidth) > 0.1 || math.Abs(x99-(x0+x9999)/2) > 0.1 {
			t.Errorf("0 %%, 99 %% and 99.99 %% are at %v, %v and %v", x0, x99, x9999)
		}
		last := d.Text[len(d.Text)-1]
		if !strings.HasPrefix(last.Says, "a <&> b: 1000 requests/s") || last.Y > d.Height {
			t.Errorf("the legend is %+v, height %v", last, d.Height)
		}
	}
}

func TestPlotOfSeveral(t *testing.T) {
	var runs []Report
	for i := range len(colours) + 1 {
		runs = append(runs, distributed(fmt.Sprint("run ", i), 100*(i+1), func(rest float64) float64 { return 50 }))
	}
	runs = append(runs, distributed("one", 1, func(float64) float64 { return 0.01 }), distributed("slow", 3, func(float64) float64 { return 3e6 }))
	d := draw(t, false, runs...)
	draw(t, true, runs...)
	seen := map[string]bool{}
	for _, l := range d.Lines {
		if seen[l.Stroke+l.Dash] {
			t.Errorf("two lines look the same: %s %q", l.Stroke, l.Dash)
		}
		seen[l.Stroke+l.Dash] = true
	}
	if len(d.Lines) != len(runs) || len(d.Text) < len(runs)+8 {
		t.Errorf("%d lines, %d texts", len(d.Lines), len(d.Text))
	}
}

func TestPlotWithoutAnything(t *testing.T) {
	for want, runs := range map[string][]Report{
		"want one run":                           nil,
		`cannot plot "x": it has no percentiles`: {{Name: "x", Requests: 5}},
		`cannot plot "y": it has no percentiles`: {distributed("x", 5, func(float64) float64 { return 1 }), {Addr: "y"}},
	} {
		if err := Plot(io.Discard, runs, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestDurationForPeople(t *testing.T) {
	for us, want := range map[float64]string{0: "0 µs", 0.25: "0.25 µs", 999.4: "999 µs", 999.6: "1 ms", 1234: "1.23 ms", 20_000: "20 ms", 999_600: "1 s", 12_345_678: "12.3 s"} {
		if got := duration(us); got != want {
			t.Errorf("%v: %q, want %q", us, got, want)
		}
	}
}

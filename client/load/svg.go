// Latency by percentile, drawn.

package load

import (
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"
)

// Plot draws runs together as an SVG. From left to right each further stretch is a tenth of the answers that remain: 0 %, 90 %, 99 %, 99.9 %,
// so that the tail, which a cache's users feel, has most of the room. With logarithmic, latencies are drawn so, too.
func Plot(w io.Writer, runs []Report, logarithmic bool) error {
	if len(runs) == 0 {
		return errors.New("cannot plot: want one run at least")
	}
	p := plot{log: logarithmic, least: math.Inf(1)}
	for _, r := range runs {
		if len(r.Percentiles) == 0 || r.Requests < 1 {
			return fmt.Errorf("cannot plot %q: it has no percentiles", r.label())
		}
		p.right = max(p.right, math.Log10(float64(r.Requests)))
		p.top = max(p.top, r.Percentiles[len(r.Percentiles)-1].US)
		p.least = min(p.least, max(r.Percentiles[0].US, 0.1))
	}
	p.scale()
	p.height = plotTop + plotHeight + 60 + 18*len(runs)
	p.frame()
	for i, r := range runs {
		p.curve(i, &r)
	}
	p.b.WriteString("</svg>\n")
	_, err := io.WriteString(w, p.b.String())
	return err
}

// label is what a run is called in a legend.
func (r *Report) label() string {
	if r.Name != "" {
		return r.Name
	}
	return r.Addr
}

// Pixels.
const (
	plotLeft, plotTop     = 80, 40
	plotWidth, plotHeight = 800, 360
	plotAll               = plotLeft + plotWidth + 30
)

// plot is a drawing under way. Latencies are microseconds.
type plot struct {
	b          strings.Builder
	log        bool
	height     int
	right      float64 // how many tenths of tenths are shown
	least, top float64
	ticks      []float64
}

// scale chooses where lines for latencies are, and how far they reach.
func (p *plot) scale() {
	p.right = max(p.right, 1)
	if p.log {
		for v := math.Pow10(int(math.Floor(math.Log10(p.least)))); ; v *= 10 {
			p.ticks = append(p.ticks, v)
			if v >= p.top {
				break
			}
		}
		if len(p.ticks) == 1 { // all is one power of ten
			p.ticks = append(p.ticks, p.ticks[0]*10)
		}
	} else {
		step := math.Pow10(int(math.Floor(math.Log10(max(p.top, 1) / 5))))
		for _, f := range []float64{1, 2, 5, 10} {
			if step*f*6 >= p.top {
				step *= f
				break
			}
		}
		for v := 0.0; ; v += step {
			p.ticks = append(p.ticks, v)
			if v >= p.top {
				break
			}
		}
		if len(p.ticks) == 1 {
			p.ticks = append(p.ticks, step)
		}
	}
	p.least, p.top = p.ticks[0], p.ticks[len(p.ticks)-1]
}

// x is where a fraction of the answers is, by what remains above it.
func (p *plot) x(rest float64) float64 {
	at := p.right
	if rest > 0 {
		at = min(at, -math.Log10(rest))
	}
	return plotLeft + at/p.right*plotWidth
}

func (p *plot) y(us float64) float64 {
	at := us / p.top
	if p.log {
		at = math.Log10(max(us, p.least)/p.least) / math.Log10(p.top/p.least)
	}
	return plotTop + (1-at)*plotHeight
}

func (p *plot) frame() {
	fmt.Fprintf(&p.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="sans-serif" font-size="12" fill="#333">
<title>Latency by percentile</title>
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="%d" y="24" font-size="15">Latency by percentile</text>
`, plotAll, p.height, plotLeft)
	for _, v := range p.ticks {
		y := p.y(v)
		fmt.Fprintf(&p.b, "<path d=\"M%d %.1fh%d\" stroke=\"#ddd\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", plotLeft, y, plotWidth, plotLeft-8, y+4, duration(v))
	}
	for n := 0; float64(n) <= p.right; n++ {
		x := p.x(math.Pow10(-n))
		fmt.Fprintf(&p.b, "<path d=\"M%.1f %dv%d\" stroke=\"#ddd\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s %%</text>\n", x, plotTop, plotHeight, x, plotTop+plotHeight+18, nines(n))
	}
	fmt.Fprintf(&p.b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">share of the answers that came within</text>\n", plotLeft+plotWidth/2, plotTop+plotHeight+38)
}

// colours that people tell apart, whatever they see (Okabe and Ito).
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"}

// curve draws a run, and what it is called.
func (p *plot) curve(i int, r *Report) {
	dash := ""
	if i >= len(colours) { // the colours are used up: the same, dashed
		dash = fmt.Sprintf(` stroke-dasharray="%d 3"`, 3*(i/len(colours)))
	}
	stroke := fmt.Sprintf(`fill="none" stroke="%s" stroke-width="2"%s`, colours[i%len(colours)], dash)
	var points []string
	for _, pc := range r.Percentiles {
		rest := max(1-pc.Percent/100, 1/float64(r.Requests)) // the last answer is there, not at infinity
		points = append(points, fmt.Sprintf("%.1f,%.1f", p.x(rest), p.y(pc.US)))
	}
	fmt.Fprintf(&p.b, "<polyline %s points=\"%s\"/>\n", stroke, strings.Join(points, " "))
	y := plotTop + plotHeight + 62 + 18*i
	fmt.Fprintf(&p.b, "<path d=\"M%d %dh24\" %s/><text x=\"%d\" y=\"%d\">%s: %.0f requests/s, p50 %s, p99 %s, p99.9 %s</text>\n",
		plotLeft, y-4, stroke, plotLeft+32, y, html.EscapeString(r.label()), r.PerSecond, duration(r.P50), duration(r.P99), duration(r.P999))
}

// nines is the percentage at which a tenth remains, n times over: 0, 90, 99, 99.9.
func nines(n int) string {
	switch n {
	case 0:
		return "0"
	case 1:
		return "90"
	case 2:
		return "99"
	}
	return "99." + strings.Repeat("9", n-2)
}

// duration is a latency for people.
func duration(us float64) string {
	f := func(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }
	switch {
	case us >= 999_500:
		return f(us/1e6) + " s"
	case us >= 999.5:
		return f(us/1e3) + " ms"
	}
	return f(us) + " µs"
}

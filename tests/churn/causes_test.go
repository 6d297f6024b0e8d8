// Causes: which requests fail, and why.

package churn

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// conditions are what is the matter at one moment. All methods may be called concurrently; the zero value: nothing is.
type conditions struct {
	mu   sync.Mutex
	n    map[string]int
	text atomic.Pointer[string]
}

// begin notes that something is the matter until over is called.
func (c *conditions) begin(what string) (over func()) {
	c.change(what, 1)
	return func() { c.change(what, -1) }
}

func (c *conditions) change(what string, by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	if c.n[what] += by; c.n[what] == 0 {
		delete(c.n, what)
	}
	text := strings.Join(slices.Sorted(maps.Keys(c.n)), ", ")
	c.text.Store(&text)
}

// String is what is the matter now.
func (c *conditions) String() string {
	if text := c.text.Load(); text != nil && *text != "" {
		return *text
	}
	return "none of all this"
}

// durations are some, measured by any goroutine.
type durations struct {
	mu  sync.Mutex
	all []time.Duration
}

func (d *durations) add(one time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, one)
}

// String tells the middle and the end.
func (d *durations) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) == 0 {
		return "none"
	}
	slices.Sort(d.all)
	return fmt.Sprintf("median %v, most %v", d.all[len(d.all)/2].Round(time.Millisecond), d.all[len(d.all)-1].Round(time.Millisecond))
}

// failures are requests that were answered with an error. All methods may be called concurrently.
type failures struct {
	mu                sync.Mutex
	lines, during     map[string]int
	took              durations
	instant, mid, end int // within 10 ms, within 1 s, later
}

func (f *failures) add(line, during string, took time.Duration) {
	f.took.add(took)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lines == nil {
		f.lines, f.during = map[string]int{}, map[string]int{}
	}
	f.lines[strings.TrimPrefix(line, "SERVER_ERROR ")]++
	f.during[during]++
	switch {
	case took <= 10*time.Millisecond:
		f.instant++
	case took <= time.Second:
		f.mid++
	default:
		f.end++
	}
}

// report tells all of it, most first, in parts of n requests.
func (f *failures) report(say func(what, format string, args ...any), n int64, reasons map[string]float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	share := func(k int) float64 { return 100 * float64(k) / float64(max(1, n)) }
	table := func(what string, m map[string]int) {
		order := slices.SortedFunc(maps.Keys(m), func(a, b string) int { return m[b] - m[a] })
		for _, text := range order {
			say(what, "%8d (%.3f %%) %s", m[text], share(m[text]), text)
			what = ""
		}
	}
	table("  the line", f.lines)
	table("  while", f.during)
	say("  took", "%8d within 10 ms, %d within 1 s, %d longer; %v", f.instant, f.mid, f.end, &f.took)
	why := map[string]int{}
	for text, n := range reasons {
		why[text] = int(n)
	}
	table("  as proxies count", why)
}

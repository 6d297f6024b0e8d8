// What came of a run.

package load

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/stat"
)

// Report is what came of a run. Times are microseconds.
type Report struct {
	Addr      string  `json:"addr"`
	Seconds   float64 `json:"seconds"`
	Requests  int64   `json:"requests"`
	PerSecond float64 `json:"requests_per_second"`
	Hits      int64   `json:"hits"`   // and stored
	Misses    int64   `json:"misses"` // a multiget with a missing key is one
	Errors    int64   `json:"errors"` // error lines
	Wrong     int64   `json:"wrong"`  // answers that cannot be right
	Mean      float64 `json:"mean_us"`
	P50       float64 `json:"p50_us"`
	P90       float64 `json:"p90_us"`
	P99       float64 `json:"p99_us"`
	P999      float64 `json:"p999_us"`
	Max       float64 `json:"max_us"`
	CPU       float64 `json:"cpu_us_per_request,omitempty"` // of the processes given, user and system
}

func (r *run) report(took time.Duration, before, after time.Duration) Report {
	var s stat.Snapshot
	r.latency.Snapshot(&s)
	us := func(q float64) float64 { return float64(s.Quantile(q)) / 1e3 }
	n := r.count.Value(requests)
	rep := Report{
		Addr: r.o.Addr, Seconds: took.Seconds(),
		Requests: int64(n), PerSecond: float64(n) / took.Seconds(),
		Hits: int64(r.count.Value(hits)), Misses: int64(r.count.Value(misses)),
		Errors: int64(r.count.Value(errorLines)), Wrong: int64(r.count.Value(wrong)),
		Mean: float64(s.Mean()) / 1e3, P50: us(0.5), P90: us(0.9), P99: us(0.99), P999: us(0.999), Max: us(1),
	}
	if n > 0 && len(r.o.PIDs) > 0 {
		rep.CPU = float64((after - before).Microseconds()) / float64(n)
	}
	return rep
}

// String is the report for people.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.0f requests/s (%d in %.1f s)\n", r.PerSecond, r.Requests, r.Seconds)
	fmt.Fprintf(&b, "latency  p50 %.0f  p90 %.0f  p99 %.0f  p99.9 %.0f  max %.0f us\n", r.P50, r.P90, r.P99, r.P999, r.Max)
	fmt.Fprintf(&b, "answers  %d hits, %d misses, %d errors, %d wrong\n", r.Hits, r.Misses, r.Errors, r.Wrong)
	if r.CPU > 0 {
		fmt.Fprintf(&b, "cpu      %.2f us per request\n", r.CPU)
	}
	return b.String()
}

// JSON is the report for programs.
func (r Report) JSON() string {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err.Error() // a struct of numbers and a string: it cannot be
	}
	return string(b)
}

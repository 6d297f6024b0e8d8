// What came of a run.

package load

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"time"
)

// Report is what came of a run. Times are microseconds.
type Report struct {
	Addr        string       `json:"addr"`
	Name        string       `json:"name,omitempty"`
	Seconds     float64      `json:"seconds"`
	Requests    int64        `json:"requests"`
	PerSecond   float64      `json:"requests_per_second"`
	Rate        float64      `json:"rate,omitempty"` // that was asked for, in an open loop
	Hits        int64        `json:"hits"`           // and stored
	Misses      int64        `json:"misses"`         // a multiget with a missing key is one
	Errors      int64        `json:"errors"`         // error lines
	Wrong       int64        `json:"wrong"`          // answers that cannot be right
	Mean        float64      `json:"mean_us"`
	P50         float64      `json:"p50_us"`
	P90         float64      `json:"p90_us"`
	P99         float64      `json:"p99_us"`
	P999        float64      `json:"p999_us"`
	Max         float64      `json:"max_us"`
	Late        float64      `json:"sent_late_p99_us,omitempty"`             // in an open loop: how long after they were due requests were sent
	CPU         float64      `json:"cpu_us_per_request,omitempty"`           // of the processes given, user and system
	OwnCPU      float64      `json:"generator_cpu_us_per_request,omitempty"` // of this process
	OwnShare    float64      `json:"generator_share_of_machine,omitempty"`   // of the time of all processors, 0 to 1
	Busy        float64      `json:"machine_busy,omitempty"`                 // share of the time of all processors that was used by anyone
	Percentiles []Percentile `json:"percentiles,omitempty"`                  // closer and closer to 100, for plots
}

// Percentile is a point of a distribution: so many percent of the answers came within so many microseconds.
type Percentile struct {
	Percent float64 `json:"percent"`
	US      float64 `json:"us"`
}

// usage is what processors have done up to a moment.
type usage struct{ pids, own, busy, all time.Duration }

func usageNow(pids []int) (u usage, err error) {
	if u.pids, err = cpuTimes(pids); err != nil {
		return u, err
	}
	u.own, _ = ownTime() // where it is not known, it is not reported
	u.busy, u.all = machineTimes()
	return u, nil
}

func (r *run) report(took time.Duration, before, after usage) Report {
	var all, late histogram
	var n [counters]int64
	for _, c := range r.conns {
		all.add(&c.latency)
		late.add(&c.late)
		for i := range n {
			n[i] += c.count[i]
		}
	}
	rep := Report{
		Addr: r.o.Addr, Name: r.o.Name, Seconds: took.Seconds(), Rate: r.o.Rate,
		Requests: n[requests], PerSecond: float64(n[requests]) / took.Seconds(),
		Hits: n[hits], Misses: n[misses], Errors: n[errorLines], Wrong: n[wrong],
	}
	if rep.Requests == 0 {
		return rep
	}
	qs := all.quantiles([]float64{0.5, 0.9, 0.99, 0.999, 1})
	for i, to := range []*float64{&rep.P50, &rep.P90, &rep.P99, &rep.P999, &rep.Max} {
		*to = float64(qs[i]) / 1e3
	}
	rep.Mean = all.mean() / 1e3
	ps := all.percentiles()
	for i, v := range all.quantiles(ps) {
		rep.Percentiles = append(rep.Percentiles, Percentile{ps[i] * 100, float64(v) / 1e3})
	}
	if late.count > 0 {
		rep.Late = float64(late.quantiles([]float64{0.99})[0]) / 1e3
	}
	each := func(d time.Duration) float64 { return float64(d) / 1e3 / float64(rep.Requests) }
	rep.CPU, rep.OwnCPU = each(after.pids-before.pids), each(after.own-before.own)
	rep.OwnShare = (after.own - before.own).Seconds() / took.Seconds() / float64(runtime.NumCPU())
	if d := after.all - before.all; d > 0 {
		rep.Busy = float64(after.busy-before.busy) / float64(d)
	}
	return rep
}

// String is the report for people.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.0f requests/s (%d in %.1f s)\n", r.PerSecond, r.Requests, r.Seconds)
	fmt.Fprintf(&b, "latency  p50 %.0f  p90 %.0f  p99 %.0f  p99.9 %.0f  max %.0f us\n", r.P50, r.P90, r.P99, r.P999, r.Max)
	fmt.Fprintf(&b, "answers  %d hits, %d misses, %d errors, %d wrong\n", r.Hits, r.Misses, r.Errors, r.Wrong)
	if r.Rate > 0 {
		fmt.Fprintf(&b, "sent     99 %% within %.0f us of when they were due\n", r.Late)
	}
	if r.CPU > 0 {
		fmt.Fprintf(&b, "cpu      %.2f us per request\n", r.CPU)
	}
	if r.OwnShare > 0 {
		fmt.Fprintf(&b, "load     this generator took %.2f us per request, %.0f %% of the machine, which was busy for %.0f %%\n", r.OwnCPU, r.OwnShare*100, r.Busy*100)
	}
	return b.String()
}

// JSON is the report for programs, a field on each line.
func (r Report) JSON() string {
	ps := r.Percentiles
	r.Percentiles = nil
	b, err := json.MarshalIndent(r, "", "  ")
	if err == nil && len(ps) > 0 {
		var line []byte
		if line, err = json.Marshal(ps); err == nil {
			b = append(b[:len(b)-len("\n}")], fmt.Sprintf(",\n  \"percentiles\": %s\n}", line)...)
		}
	}
	if err != nil {
		return err.Error() // a struct of numbers and strings: it cannot be
	}
	return string(b)
}

// One turn: `tidepool bench` against one contender.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
)

// result is what `tidepool bench --json` says of one turn.
type result struct {
	PerSecond float64 `json:"requests_per_second"`
	P50       float64 `json:"p50_us"` // microseconds, as all times here
	P99       float64 `json:"p99_us"`
	P999      float64 `json:"p999_us"`
	CPU       float64 `json:"cpu_us_per_request"` // of the proxy alone
	Errors    int64   `json:"errors"`
	Wrong     int64   `json:"wrong"`
}

// load measures one contender. A wrong answer is no measurement.
func load(ctx context.Context, s *settings, c contender, depth int) (r result, err error) {
	cmd := exec.CommandContext(ctx, s.tidepool, "bench", c.addr,
		"--conns", strconv.Itoa(s.conns),
		"--depth", strconv.Itoa(depth),
		"--size", strconv.Itoa(s.size),
		"--duration", s.duration.String(),
		"--pid", strconv.Itoa(c.pid),
		"--json")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%w\n%s", err, errs.String())
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, fmt.Errorf("cannot read what bench says: %w\n%s", err, out)
	}
	if r.Errors > 0 || r.Wrong > 0 {
		return r, fmt.Errorf("%d errors and %d wrong answers", r.Errors, r.Wrong)
	}
	return r, nil
}

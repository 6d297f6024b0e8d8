// One turn: `tidepool bench` against one contender.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// result is what came of one turn.
type result struct {
	PerSecond float64 `json:"requests_per_second"`
	P50       float64 `json:"p50_us"` // microseconds, as all times here
	P99       float64 `json:"p99_us"`
	P999      float64 `json:"p999_us"`
	CPU       float64 `json:"cpu_us_per_request"` // of the proxy alone
	Late      float64 `json:"sent_late_p99_us"`   // by the generator, in the open loop
	Requests  int64   `json:"requests"`
	Misses    int64   `json:"misses"`
	Errors    int64   `json:"errors"`
	Wrong     int64   `json:"wrong"`

	Added   float64 `json:"-"` // to p99 without a proxy, in the open loop
	PerConn float64 `json:"-"` // bytes resident, of an idle connection
}

// spare is how much longer than its load a turn may take: the keys are set first, and 100 kB each take a while.
const spare = time.Minute

// closedTurn is the row's load.
func closedTurn(ctx context.Context, b *bench, r *row, c contender, round int) (result, error) {
	return b.load(ctx, r.shape, c, round, b.s.duration)
}

// load measures one contender. A wrong answer is no measurement, and misses are less work than hits.
func (b *bench) load(ctx context.Context, s shape, c contender, round int, duration time.Duration) (r result, err error) {
	ctx, cancel := context.WithTimeout(ctx, duration+spare)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.s.tidepool, benchArgs(s, c, b.s.seed+uint64(round), duration)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%w\n%s", err, errs.String())
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, fmt.Errorf("cannot read what bench says: %w\n%s", err, out)
	}
	if r.Errors > 0 || r.Wrong > 0 || r.Misses > 0 || r.Requests == 0 {
		return r, fmt.Errorf("of %d answers %d are errors, %d wrong and %d misses", r.Requests, r.Errors, r.Wrong, r.Misses)
	}
	return r, nil
}

func benchArgs(s shape, c contender, seed uint64, duration time.Duration) []string {
	args := []string{"bench", c.addr,
		"--conns", strconv.Itoa(s.conns),
		"--depth", strconv.Itoa(s.depth),
		"--multiget", strconv.Itoa(max(1, s.multiget)),
		"--size", strconv.Itoa(s.size),
		"--keys", strconv.Itoa(s.keys),
		"--seed", strconv.FormatUint(seed, 10),
		"--duration", duration.String(),
		"--json"}
	if s.rate > 0 {
		args = append(args, "--rate", strconv.FormatFloat(s.rate, 'f', 0, 64))
	}
	if c.proc != nil {
		args = append(args, "--pid", strconv.Itoa(c.proc.PID()))
	}
	return args
}

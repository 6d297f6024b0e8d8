// What it costs a leaf's clients that another leaf takes its items.

package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/proc"
)

const (
	recoverItems  = 500_000
	recoverBefore = 5 * time.Second // of load before the other leaf starts
	warmPatience  = 2 * time.Minute
)

// sample is one request: when it was sent, and how long it took.
type sample struct {
	at   time.Time
	took time.Duration
}

// measureRecovery loads a leaf of 500,000 items as fast as it answers, has another recover from it, and compares the latencies before
// with those while items are read. The other leaf runs on the same machine: niced, so that it takes only what is left, as from a machine
// of its own; and not.
func measureRecovery(ctx context.Context, s *settings) error {
	fmt.Printf("recovery: latency at a leaf of %d items, one get or set at a time on each connection, before and while another leaf takes its items\n", recoverItems)
	fmt.Printf("  %-26s %9s %9s %9s %9s %9s %9s\n", "the other leaf", "req/s", "p50 µs", "p99 µs", "p99.9 µs", "read in", "warm in")
	for _, nice := range []bool{true, false} {
		before, during, err := s.recovered(ctx, nice)
		if err != nil {
			return fmt.Errorf("cannot measure recovery: %w", err)
		}
		name := "reads"
		if nice {
			name = "reads, niced"
		}
		before.print("is not there", "", "")
		during.print(name, during.read.Round(10*time.Millisecond).String(), during.warm.Round(10*time.Millisecond).String())
	}
	fmt.Println()
	return nil
}

// span is what happened in a stretch of time.
type span struct {
	took       []time.Duration // sorted
	length     time.Duration
	read, warm time.Duration
}

func (p *span) print(name, read, warm string) {
	q := func(share float64) float64 {
		return float64(p.took[min(len(p.took)-1, int(share*float64(len(p.took))))]) / 1e3
	}
	fmt.Printf("  %-26s %9.0f %9.0f %9.0f %9.0f %9s %9s\n", name, float64(len(p.took))/p.length.Seconds(), q(0.5), q(0.99), q(0.999), read, warm)
}

func (s *settings) recovered(ctx context.Context, nice bool) (before, during span, err error) {
	c, err := s.start(ctx, "leaf")
	if err != nil {
		return before, during, err
	}
	defer c.stop()
	if _, err := c.set(ctx, 0, recoverItems); err != nil {
		return before, during, err
	}
	load, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	var all []sample
	done := make(chan error, 1)
	go func() {
		done <- c.with(load, func(ctx context.Context, worker int, cl *client) error {
			mine, err := cl.busy(ctx, worker)
			mu.Lock()
			all = append(all, mine...)
			mu.Unlock()
			return err
		})
	}()
	began := time.Now()
	time.Sleep(recoverBefore)
	started := time.Now()
	read, over, warm, err := s.recoverFrom(c.addr, nice)
	stop()
	if loadErr := <-done; err == nil && loadErr != nil && ctx.Err() == nil {
		err = loadErr
	}
	if err != nil {
		return before, during, err
	}
	before = cut(all, began.Add(time.Second), started)
	during = cut(all, read, over)
	during.read, during.warm = over.Sub(read), warm
	return before, during, ctx.Err()
}

// recoverFrom runs a leaf until it has recovered from the one at addr, and says when items were read.
func (s *settings) recoverFrom(addr string, nice bool) (read, over time.Time, warm time.Duration, err error) {
	args := []string{"-n", "0", s.tidepool}
	if nice {
		args[1] = "19"
	}
	p, err := proc.Start(exec.Command("nice", append(args, "leaf", "--name", "other", "--listen", "127.0.0.1:0", "--memory", fmt.Sprintf("%dMiB", s.memory),
		"--log-format", "json", "--recover-from", "nats://"+addr)...))
	if err != nil {
		return read, over, 0, err
	}
	defer p.Stop(stopPatience)
	if _, err = p.Logged(0, warmPatience, "recovery: reading"); err != nil {
		return read, over, 0, err
	}
	read = time.Now()
	f, err := p.Logged(0, warmPatience, "recovery is over")
	if err != nil {
		return read, over, 0, err
	}
	over = time.Now()
	if n, ok := f["items"].(float64); !ok || n < recoverItems*0.9 {
		return read, over, 0, fmt.Errorf("only %v items came", f["items"])
	}
	took, _ := f["took"].(string)
	warm, err = time.ParseDuration(took)
	return read, over, warm, err
}

// busy asks for, or sets, a key at a time until ctx ends.
func (c *client) busy(ctx context.Context, worker int) (all []sample, err error) {
	key := uint64(worker) * 7919
	keys := make([]uint64, 1)
	for n := 0; ctx.Err() == nil; n++ {
		key = key*6364136223846793005 + 1442695040888963407
		keys[0] = key >> 33 % recoverItems
		began := time.Now()
		if _, err := c.ask(n%10 == 0, keys); err != nil {
			return all, err
		}
		all = append(all, sample{began, time.Since(began)})
	}
	return all, nil
}

func cut(all []sample, from, to time.Time) (p span) {
	for _, s := range all {
		if s.at.After(from) && s.at.Before(to) {
			p.took = append(p.took, s.took)
		}
	}
	slices.Sort(p.took)
	if len(p.took) == 0 {
		p.took = []time.Duration{0}
	}
	p.length = to.Sub(from)
	return p
}

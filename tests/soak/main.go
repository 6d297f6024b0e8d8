// Command soak runs a proxy over two leaves at full memory for as long as asked, kills the leaves in turn, which recover from each
// other, or stops them for a while, reloads the proxy all the while, and verifies every answer. `make soak` runs it.
//
// The route is a replicated one: a write is acknowledged when both leaves have it, a read asks the one and then the other.
// So whatever is killed when, a client never sees a value older than what was acknowledged to it, nor one that it never wrote.
// Besides the answers, it watches resident memory and goroutines of all three processes. It says its seed; times of faults follow from it.
// All processes are its own, on loopback, and are ended by their ids.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tidepool-proxy/tidepool/client/load"
)

// settings are the flags.
type settings struct {
	tidepool string
	duration time.Duration
	memory   int // MiB of each leaf
	keys     int
	kill     time.Duration // mean time from one leaf's recovery to the other's death
	reload   time.Duration // mean time between reloads
	seed     uint64
	out      io.Writer
}

func main() {
	s := settings{out: os.Stdout}
	flag.StringVar(&s.tidepool, "tidepool", "bin/tidepool", "the binary to run")
	flag.DurationVar(&s.duration, "duration", 10*time.Minute, "how long")
	flag.IntVar(&s.memory, "memory", 64, "MiB of each leaf")
	flag.IntVar(&s.keys, "keys", 400_000, "keys of 400 bytes, half of them text and half meta; those of the default need 2.5 times the memory")
	flag.DurationVar(&s.kill, "kill", 20*time.Second, "mean time from one leaf's recovery to the other's death")
	flag.DurationVar(&s.reload, "reload", 4*time.Second, "mean time between reloads")
	flag.Uint64Var(&s.seed, "seed", uint64(time.Now().UnixNano()), "of keys and of the times of faults")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, &s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak: FAILED:", err)
		os.Exit(1)
	}
	fmt.Println("soak: passed")
}

// valueSize makes a few hundred thousand items fill a leaf.
const valueSize = 400

// run soaks, and gives what was wrong.
func run(ctx context.Context, s *settings) error {
	fmt.Fprintf(s.out, "seed %d; %v, two leaves of %d MiB, %d keys\n", s.seed, s.duration, s.memory, s.keys)
	w, err := startWorld(ctx, s)
	if err != nil {
		return err
	}
	defer w.end()
	if err := w.measureBase(ctx); err != nil {
		return err
	}
	reports, err := w.underFaults(ctx)
	for _, r := range reports {
		fmt.Fprint(s.out, r)
	}
	w.tell()
	if err != nil {
		return err
	}
	for _, r := range reports {
		if r.Wrong > 0 {
			return fmt.Errorf("%d answers were wrong", r.Wrong)
		}
		if r.Hits < r.Requests/10 {
			return fmt.Errorf("%d hits of %d requests: that is no cache", r.Hits, r.Requests)
		}
	}
	return w.judge(ctx)
}

// underFaults runs the loads, the faults and the watch until the time is up.
func (w *world) underFaults(ctx context.Context) ([]load.Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loads := []load.Options{{Prefix: "text:"}, {Prefix: "meta:", Meta: true}}
	type outcome struct {
		load.Report
		err error
	}
	ended := make(chan outcome, len(loads))
	for i, o := range loads {
		o.Addr, o.Duration, o.Seed = w.addr, w.s.duration, w.s.seed+uint64(i)
		// One in flight on each connection: a read that asks the second leaf may else see a write that its client sent after it.
		o.Conns, o.Depth, o.Keys, o.Sizes, o.Zipf, o.Sets = 24, 1, w.s.keys/2, load.Fixed(valueSize), 0.7, 0.3
		o.NoFill = true // faults do not wait until every key is set
		o.Timeout = time.Minute
		go func() {
			r, err := load.Run(ctx, o)
			ended <- outcome{r, err}
		}()
	}
	faults, watched := make(chan error, 1), make(chan struct{})
	quiet, calm := context.WithCancel(ctx)
	go func() { faults <- w.faults(quiet) }()
	go func() { w.watch(quiet); close(watched) }()

	var reports []load.Report
	var first error
	faulted := false
	for len(reports) < len(loads) {
		select {
		case o := <-ended:
			reports = append(reports, o.Report)
			if o.err != nil && first == nil {
				first = o.err
			}
		case err := <-faults:
			if faulted = true; err != nil && first == nil {
				first = err
			}
		}
		if first != nil {
			cancel() // the rest would say nothing more
		}
	}
	calm()
	if !faulted {
		if err := <-faults; err != nil && first == nil {
			first = err
		}
	}
	<-watched
	return reports, first
}

// Command benchleaf measures one leaf beside one of Debian's memcached with the same memory, on one machine in one run: what a
// get and a set cost, the hit ratio on several traces, resident memory, and what a flood of new keys leaves; and what it costs a
// leaf's clients that another leaf takes its items. `make bench` runs it.
//
// Both are real processes. A leaf is spoken to as a proxy does, in frames over NATS; memcached over TCP, pipelined; both
// with 16 requests in flight per connection. Every trace gets processes of its own. They are ended by their ids.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/peer"
	"github.com/tidepool-proxy/tidepool/tests/traces"
)

// settings are the flags.
type settings struct {
	tidepool  string
	memcached string
	memory    int // MiB
	speed     time.Duration
	rounds    int
	seed      uint64
	traces    []traces.Trace
	flood     bool
	recovery  bool
}

// What is measured with: as small items as caches are full of.
const (
	valueSize = 100
	inFlight  = 16 // requests of a connection
	workers   = 4  // connections
)

func main() {
	var s settings
	names := flag.String("traces", "zipf0.9,zipf1.1,scan,jump,drift", "the traces whose hit ratio is measured; none: none")
	flag.StringVar(&s.tidepool, "tidepool", "bin/tidepool", "the binary to measure")
	flag.IntVar(&s.memory, "memory", 256, "MiB of each cache")
	flag.DurationVar(&s.speed, "speed", 3*time.Second, "how long one turn of gets, and one of sets, takes; 0: none")
	flag.IntVar(&s.rounds, "rounds", 3, "turns of each cache")
	flag.Uint64Var(&s.seed, "seed", 1, "of the traces")
	flag.BoolVar(&s.flood, "flood", true, "measure what a flood of new keys leaves")
	flag.BoolVar(&s.recovery, "recovery", true, "measure latency while another leaf takes a leaf's items")
	flag.Parse()
	for _, name := range strings.FieldsFunc(*names, func(r rune) bool { return r == ',' }) {
		if name == "none" {
			continue
		}
		t, err := traces.Find(name)
		if err != nil {
			fmt.Fprintf(os.Stderr, "benchleaf: cannot read -traces: %v\n", err)
			os.Exit(2)
		}
		s.traces = append(s.traces, t)
	}
	if s.memcached = peer.Find("memcached"); s.memcached == "" {
		fmt.Println("PEER MISSING: memcached: measuring the leaf alone (make ci-deps installs it)")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &s); err != nil {
		fmt.Fprintln(os.Stderr, "benchleaf:", err)
		stop()
		os.Exit(1)
	}
}

// run measures and prints, part by part.
func run(ctx context.Context, s *settings) error {
	fmt.Printf("%d processors shared by load and cache; %d MiB, 16-byte keys, %d-byte values, %d connections, %d in flight on each\n\n",
		runtime.NumCPU(), s.memory, valueSize, workers, inFlight)
	if s.speed > 0 {
		if err := measureSpeed(ctx, s); err != nil {
			return err
		}
	}
	if len(s.traces) > 0 {
		if err := measureHits(ctx, s); err != nil {
			return err
		}
	}
	if s.flood {
		if err := measureFlood(ctx, s); err != nil {
			return err
		}
	}
	if s.recovery {
		return measureRecovery(ctx, s)
	}
	return nil
}

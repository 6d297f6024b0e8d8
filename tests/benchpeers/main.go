// Command benchpeers measures Tidepool beside its peers, on one machine in one run: a proxy with a Lua route over three leaves, the
// same over three memcached servers, and Debian's nutcracker over those same servers where it is installed. `make bench` runs it.
//
// Every contender is a real process on a port of 127.0.0.1 that the kernel chose; the load comes from `tidepool bench`, which checks
// every answer. Contenders take turns, round after round, so that a machine that is slow for a minute is slow for all of them;
// what is printed is the median of the rounds. Processes are ended by their ids, whatever happens.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// settings are the flags.
type settings struct {
	tidepool string
	rounds   int
	duration time.Duration
	conns    int
	depths   []int
	size     int
}

func main() {
	var s settings
	depths := flag.String("depths", "1,16", "requests in flight per connection, each measured by itself")
	flag.StringVar(&s.tidepool, "tidepool", "bin/tidepool", "the binary to measure")
	flag.IntVar(&s.rounds, "rounds", 3, "rounds, in each of which every contender has its turn")
	flag.DurationVar(&s.duration, "duration", 3*time.Second, "how long one turn takes")
	flag.IntVar(&s.conns, "conns", 16, "connections")
	flag.IntVar(&s.size, "size", 100, "bytes of a value")
	flag.Parse()
	for _, d := range strings.Split(*depths, ",") {
		n, err := strconv.Atoi(d)
		if err != nil || n < 1 {
			fmt.Fprintf(os.Stderr, "benchpeers: cannot read -depths %q: want numbers above 0\n", *depths)
			os.Exit(2)
		}
		s.depths = append(s.depths, n)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &s); err != nil {
		fmt.Fprintln(os.Stderr, "benchpeers:", err)
		stop()
		os.Exit(1)
	}
}

// run starts everything, measures and prints.
func run(ctx context.Context, s *settings) error {
	dir, err := os.MkdirTemp("", "tidepool-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var ps procs
	defer ps.stop()
	contenders, err := field(ctx, s, &ps, dir)
	if err != nil {
		return err
	}
	fmt.Printf("%d processors shared by load, proxy and backends; %d connections, %d-byte values, %s a turn, %d rounds, every answer checked\n\n",
		runtime.NumCPU(), s.conns, s.size, s.duration, s.rounds)
	for _, depth := range s.depths {
		results := make([][]result, len(contenders))
		for round := range s.rounds {
			for i := range contenders {
				// Every round begins with another, so that nobody is always the one after somebody.
				i = (i + round) % len(contenders)
				r, err := load(ctx, s, contenders[i], depth)
				if err != nil {
					return fmt.Errorf("cannot measure %s: %w", contenders[i].name, err)
				}
				results[i] = append(results[i], r)
			}
		}
		fmt.Print(table(contenders, results, depth))
	}
	return nil
}

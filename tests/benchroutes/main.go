// Command benchroutes measures what leases and a gutter save the database behind a cache. `make bench-routes` runs it.
//
// It plays an application that reads through a cache: many clients over connections of their own, to a real proxy over real backends (`tidepool
// memcached`), and a database of its own that takes some time for each query and counts them. Reads are due at a fixed rate, each client's in turn; what is
// measured is when the client had the value, from the moment at which its read was due. Every answer is verified: a value names its key and its version, and
// one that is older than what a confirmed delete has left is stale.
//
// lease.go has a crowd that wants one key, and a set of keys that expire; gutter.go a pool of which one backend dies, or hangs and comes back with
// what it had. The same load goes through a route with and one without the handler, in turns. The run fails if an answer was wrong, a value was stale where
// the row forbids it, or a row misses its aim.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// settings are the flags.
type settings struct {
	tidepool string
	parts    []string
	rounds   int
	duration time.Duration // of a turn of the lease part, and of each phase of the gutter part
	rate     float64
	conns    int
	query    time.Duration
}

// part is one table.
type part struct {
	name string
	run  func(context.Context, *settings, io.Writer) error
}

var parts = []part{{"crowd", crowds}, {"set", sets}, {"gutter", gutters}}

var errMissed = errors.New("misses its aim")

func main() {
	var s settings
	only := flag.String("parts", "crowd,set,gutter", "what to measure, with commas")
	flag.StringVar(&s.tidepool, "tidepool", "bin/tidepool", "the binary to measure")
	flag.IntVar(&s.rounds, "rounds", 3, "rounds, in each of which every route has its turn")
	flag.DurationVar(&s.duration, "duration", 8*time.Second, "how long a turn takes, and each phase of the gutter's")
	flag.Float64Var(&s.rate, "rate", 2000, "reads a second")
	flag.IntVar(&s.conns, "conns", 400, "clients")
	flag.DurationVar(&s.query, "query", 50*time.Millisecond, "what a query of the database takes")
	flag.Parse()
	s.parts = strings.Split(*only, ",")
	if err := s.check(); err != nil || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "benchroutes: want parts of crowd, set, gutter, and numbers above 0")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &s, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchroutes:", err)
		stop()
		os.Exit(1)
	}
}

func (s *settings) check() error {
	for _, name := range s.parts {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			return fmt.Errorf("there is no part %q", name)
		}
	}
	if s.rounds < 1 || s.conns < 1 || s.rate <= 0 || s.duration <= 0 || s.query < 0 {
		return errors.New("a number is too small")
	}
	return nil
}

// run measures every part and writes its table.
func run(ctx context.Context, s *settings, w io.Writer) error {
	fmt.Fprintf(w, "%d rounds of %v, %.0f reads/s by %d clients, a query of the database takes %v; all on one machine.\n",
		s.rounds, s.duration, s.rate, s.conns, s.query)
	var missed []error
	for _, p := range parts {
		if !slices.Contains(s.parts, p.name) {
			continue
		}
		if err := p.run(ctx, s, w); errors.Is(err, errMissed) {
			missed = append(missed, err)
		} else if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return errors.Join(missed...)
}

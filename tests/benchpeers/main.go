// Command benchpeers measures Tidepool beside its peers, on one machine in one run: memcached's own proxy, whose binary the user gives,
// and Debian's nutcracker where it is installed. `make bench-peers` runs it; `make bench` runs the rows that need no peer.
//
// Every contender is a real process on a port of 127.0.0.1 that the kernel chose, over the same three memcached servers or over three
// leaves; the load comes from `tidepool bench`, which checks every answer. A row (rows.go) is one kind of load. Its contenders
// take turns, round after round, each round beginning with another, so that a machine that is slow for a minute is slow for
// all of them. A ratio is taken of two turns of the same round; what is printed is the median of the rounds' ratios, and their
// least and greatest. A row with an error, a wrong answer or misses has failed, and so has the run. Processes are ended by their
// ids, whatever happens.
package main

import (
	"context"
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
	tidepool  string
	peer      string // a memcached with its proxy; "": none
	proxylibs string // a folder of memcached-proxylibs; "": none
	rounds    int
	duration  time.Duration
	settle    time.Duration
	seed      uint64
	rows      []row
}

func main() {
	var s settings
	names := flag.String("rows", "", "the rows to measure, of:\n"+rowList()+"(default: all)")
	flag.StringVar(&s.tidepool, "tidepool", "bin/tidepool", "the binary to measure")
	flag.StringVar(&s.peer, "peer-memcached", os.Getenv("PEER_MEMCACHED"), "a memcached that was built with --enable-proxy")
	flag.StringVar(&s.proxylibs, "proxylibs", os.Getenv("PROXYLIBS"), "a folder of memcached-proxylibs: its routelib routes in memcached's proxy (default: the same in the proxy's own API)")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds, in each of which every contender has its turn")
	flag.DurationVar(&s.duration, "duration", 3*time.Second, "how long one turn takes")
	flag.DurationVar(&s.settle, "settle", 2*time.Second, "how long idle connections are idle before memory is read")
	flag.Uint64Var(&s.seed, "seed", 1, "of the load, in the first round; each round has the next")
	flag.Parse()
	rows, err := pick(*names)
	if err == nil && flag.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if err == nil && (s.rounds < 1 || s.duration <= 0 || s.settle < 0) {
		err = fmt.Errorf("want -rounds and -duration above 0, and -settle not below")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchpeers:", err)
		os.Exit(2)
	}
	s.rows = rows
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, &s, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchpeers:", err)
		stop()
		os.Exit(1)
	}
}

// pick gives the rows that are named, in their own order; all for "".
func pick(names string) (out []row, err error) {
	if names == "" {
		return rows, nil
	}
	want := strings.Split(names, ",")
	for _, name := range want {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == name }) {
			return nil, fmt.Errorf("cannot find row %q: want some of\n%s", name, rowList())
		}
	}
	for _, r := range rows {
		if slices.Contains(want, r.name) {
			out = append(out, r)
		}
	}
	return out, nil
}

func rowList() string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "  %-12s %s\n", r.name, r.title)
	}
	return b.String()
}

// run measures row by row and prints. A row that fails does not keep the others from being measured.
func run(ctx context.Context, s *settings, w io.Writer) error {
	dir, err := os.MkdirTemp("", "tidepool-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{s: s, dir: dir, w: w}
	defer b.ps.stop()
	if err := b.findPeers(); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\n\n%s\n", machine(ctx, s, b), terms(s))
	var done []outcome
	failed := 0
	for _, r := range s.rows {
		began := time.Now()
		o := b.measure(ctx, r)
		if ctx.Err() != nil {
			fmt.Fprint(w, summary(done))
			return fmt.Errorf("stopped in row %s", r.name)
		}
		done = append(done, o)
		if o.err != nil {
			failed++
		}
		fmt.Fprintf(os.Stderr, "%s: %.0f s\n", r.name, time.Since(began).Seconds())
		fmt.Fprint(w, o.table())
	}
	fmt.Fprint(w, summary(done))
	if failed > 0 {
		return fmt.Errorf("%d rows failed", failed)
	}
	return nil
}

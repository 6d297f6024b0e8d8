// Command benchhedge measures what hedged reads save and what they cost, over replicas that are slow now and then. `make bench-hedge` runs it.
//
// It starts three memcached-speaking backends, which are slow as a row says (rows.go), and for each row two real proxies over
// them: one that reads without hedging, and one with route_hedged at its defaults. Reads come at a fixed rate, whether or not earlier ones are answered
// (the generator of `tidepool bench`, which verifies every value; latency counts from when a request was due). The two take turns, round after round. What
// hedging costs is counted at the backends: gets that they were asked for, above those that clients sent. The run fails if an answer was wrong,
// missing or an error, or a row misses its aim.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tidepool-proxy/tidepool/client/load"
	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// settings are the flags.
type settings struct {
	tidepool string
	rounds   int
	duration time.Duration
	rate     float64
	conns    int
	rows     []row
}

// serveEnv, in the environment, makes this program the backends' process.
const serveEnv = "TIDEPOOL_BENCHHEDGE_SERVES"

func main() {
	if os.Getenv(serveEnv) != "" {
		if err := serveBackends(replicas); err != nil {
			fmt.Fprintln(os.Stderr, "benchhedge:", err)
			os.Exit(1)
		}
		return
	}
	var s settings
	only := flag.String("rows", "", "the rows to measure, by name, with commas (default: all)")
	flag.StringVar(&s.tidepool, "tidepool", "bin/tidepool", "the binary to measure")
	flag.IntVar(&s.rounds, "rounds", 3, "rounds, in each of which both have their turn")
	flag.DurationVar(&s.duration, "duration", 10*time.Second, "how long one turn takes")
	flag.Float64Var(&s.rate, "rate", 1000, "reads a second")
	flag.IntVar(&s.conns, "conns", 100, "client connections")
	flag.Parse()
	for _, r := range rows {
		if *only == "" || slices.Contains(strings.Split(*only, ","), r.name) {
			s.rows = append(s.rows, r)
		}
	}
	if len(s.rows) == 0 || flag.NArg() > 0 || s.rounds < 1 || s.conns < 1 || s.rate <= 0 || s.duration <= 0 {
		fmt.Fprintln(os.Stderr, "benchhedge: want rows of first, spread, all, bad, full, fixed, and numbers above 0")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &s, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchhedge:", err)
		stop()
		os.Exit(1)
	}
}

// result is one turn.
type result struct {
	load.Report
	asked int64 // gets at the backends
}

func (r result) extra() float64 { return float64(r.asked-r.Requests) / float64(r.Requests) }

// run measures every row and writes a table of them.
func run(ctx context.Context, s *settings, w io.Writer) error {
	fmt.Fprintf(w, "%d rounds of %v, %.0f reads/s over %d connections, three replicas; all on one machine.\n\n", s.rounds, s.duration, s.rate, s.conns)
	fmt.Fprintf(w, "| | p50 | p99 | p99.9 | more requests | p99.9 cut by |\n|---|---|---|---|---|---|\n")
	var missed []error
	for i := range s.rows {
		r := &s.rows[i]
		if err := measure(ctx, s, r, w); errors.Is(err, errMissed) {
			missed = append(missed, err)
		} else if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return errors.Join(missed...)
}

var errMissed = errors.New("misses its aim")

// measure runs one row.
func measure(ctx context.Context, s *settings, r *row, w io.Writer) error {
	backends, err := startBackends(replicas)
	if err != nil {
		return err
	}
	defer backends.close()
	names := [2]string{"without", "hedged"}
	var turns [2][]result
	var addrs [2]string
	for i, route := range []string{r.direct, r.hedged} {
		p, addr, err := startProxy(ctx, s, backends.addrs, route)
		if err != nil {
			return err
		}
		defer p.Stop(5 * time.Second)
		addrs[i] = addr
	}
	if err := fill(ctx, s, addrs[1]); err != nil { // the one that writes to all
		return err
	}
	for i, f := range r.faults {
		if err := backends.slow(i, f); err != nil {
			return err
		}
	}
	for round := range s.rounds {
		for i := range turns {
			i = (i + round) % len(turns)
			res, err := turn(ctx, s, r, backends, addrs[i])
			if err != nil {
				return fmt.Errorf("%s: %w", names[i], err)
			}
			turns[i] = append(turns[i], res)
		}
	}
	return tell(w, r, turns[0], turns[1])
}

// startProxy starts a proxy whose one route is given in the words of declarative files.
func startProxy(ctx context.Context, s *settings, backends []string, route string) (*proc.Process, string, error) {
	var text strings.Builder
	text.WriteString("pools{\n")
	for i, addr := range backends {
		fmt.Fprintf(&text, "    %c = { backends = { %q }, backend_options = { connections = 8 } },\n", 'a'+i, addr)
	}
	fmt.Fprintf(&text, "}\nroutes{ default = %s }\n", route)
	dir, err := os.MkdirTemp("", "benchhedge")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(dir) // it has been read when the proxy listens
	config := filepath.Join(dir, "hedge.lua")
	if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
		return nil, "", err
	}
	addr, err := proc.FreePorts(1)
	if err != nil {
		return nil, "", err
	}
	p, err := proc.Start(exec.Command(s.tidepool, "proxy", config, "--listen", addr[0], "--admin", "none", "--log-level", "warn"))
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := p.AwaitListening(ctx, addr[0]); err != nil {
		p.Stop(time.Second)
		return nil, "", err
	}
	return p, addr[0], nil
}

const keys = 1000

// fill has every replica store every key.
func fill(ctx context.Context, s *settings, addr string) error {
	_, err := load.Run(ctx, load.Options{Addr: addr, Conns: min(s.conns, keys), Keys: keys, Sets: -1, Duration: time.Millisecond})
	return err
}

// turn loads one of the two.
func turn(ctx context.Context, s *settings, r *row, b *backends, addr string) (result, error) {
	o := load.Options{Addr: addr, Conns: min(s.conns, keys), Keys: keys, Sets: -1, NoFill: true, Rate: s.rate, Duration: s.duration, Timeout: time.Minute}
	if r.closed {
		o.Rate = 0
	}
	before, err := b.asked()
	if err != nil {
		return result{}, err
	}
	rep, err := load.Run(ctx, o)
	if err != nil {
		return result{}, err
	}
	after, err := b.asked()
	if err == nil && rep.Wrong+rep.Errors+rep.Misses > 0 {
		err = fmt.Errorf("%d wrong answers, %d errors, %d misses", rep.Wrong, rep.Errors, rep.Misses)
	}
	return result{rep, after - before}, err
}

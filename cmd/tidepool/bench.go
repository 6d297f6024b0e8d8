// tidepool bench.

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/client/load"
)

func newBenchCommand() *cobra.Command {
	var o load.Options
	var asJSON, quiet bool
	protocol, sizes, svg := "text", "", ""
	c := &cobra.Command{
		Use:   "bench [ADDR]",
		Short: "Send a verified load to a memcached address and say how fast the answers come",
		Long: `Send gets and sets to a memcached address (default 127.0.0.1:11211) and verify every answer. Without --rate each
connection keeps --depth requests in flight; with it requests are due at a fixed rate and latency counts from then. Exits
non-zero if an answer was wrong. It shares the machine with what it measures: compare in one run on one machine, and look at
what share of the machine the generator itself took (a machine that is busy for 100 % is the limit, not the server alone).`,
		Example: `  tidepool bench
  tidepool bench 127.0.0.1:11211 --conns 16 --depth 16 --duration 10s --pid $(pgrep -f 'tidepool proxy')
  tidepool bench --size 60-200:9,4000-16000:1 --svg latency.svg
  tidepool bench unix:/run/tidepool.sock --rate 20000 --json --name 'half load' > half.json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{c.CommandPath(), fmt.Sprintf("unexpected argument %q", args[1])}
			}
			return nil
		},
	}
	fs := c.Flags()
	fs.IntVar(&o.Conns, "conns", 16, "connections")
	fs.IntVar(&o.Depth, "depth", 1, "requests in flight on each connection, or with --rate due on it at once")
	fs.Float64Var(&o.Rate, "rate", 0, "requests a second in all, due whether or not earlier ones are answered (default: closed loop)")
	fs.DurationVar(&o.Duration, "duration", 0, "how long (default 5s)")
	fs.StringVar(&sizes, "size", "100", "bytes of a value: 100, 50-1000, or some with weights: 100:9,1000-8000:1")
	fs.IntVar(&o.Keys, "keys", 10_000, "number of keys")
	fs.StringVar(&o.Prefix, "prefix", "", "what every key begins with")
	fs.Float64Var(&o.Zipf, "zipf", 0, "skew of the keys, such as 0.9 (default: uniform)")
	fs.Float64Var(&o.Sets, "sets", 0.1, "share of sets, 0 to 1")
	fs.StringVar(&protocol, "protocol", protocol, "text or meta")
	fs.IntVar(&o.Multiget, "multiget", 1, "keys of one get")
	fs.BoolVar(&o.NoFill, "no-fill", false, "do not set every key first")
	fs.Uint64Var(&o.Seed, "seed", 1, "of everything random")
	fs.IntSliceVar(&o.PIDs, "pid", nil, "`process` whose CPU time is measured; may be given again")
	fs.BoolVar(&o.Remote, "remote", false, "allow an address outside this machine")
	fs.BoolVar(&asJSON, "json", false, "report as JSON, which bench plot reads")
	fs.StringVar(&o.Name, "name", "", "what the run is called in its JSON and in plots")
	fs.StringVar(&svg, "svg", "", "draw latency by percentile into this `file`, as SVG")
	fs.BoolVar(&quiet, "quiet", false, "no progress on standard error")
	c.RunE = func(c *cobra.Command, args []string) error {
		o.Addr = defaultListen
		if len(args) == 1 {
			o.Addr = args[0]
		}
		switch protocol {
		case "text":
		case "meta":
			o.Meta = true
		default:
			return usageError{c.CommandPath(), fmt.Sprintf("invalid argument %q for \"--protocol\" flag: want text or meta", protocol)}
		}
		var err error
		if o.Sizes, err = load.ParseSizes(sizes); err != nil {
			return usageError{c.CommandPath(), err.Error()}
		}
		if o.Sets == 0 {
			o.Sets = -1
		}
		if !quiet && !asJSON {
			o.Progress = c.ErrOrStderr()
		}
		rep, err := load.Run(c.Context(), o)
		if rep.Requests > 0 {
			if asJSON {
				fmt.Fprintln(c.OutOrStdout(), rep.JSON())
			} else {
				fmt.Fprint(c.OutOrStdout(), rep)
			}
			if svg != "" {
				if svgErr := writeSVG(svg, rep); err == nil {
					err = svgErr
				}
			}
		}
		if err == nil && rep.Wrong > 0 {
			err = errors.New("cannot trust what answers there: answers were wrong")
		}
		return err
	}
	c.AddCommand(newBenchPlotCommand())
	return c
}

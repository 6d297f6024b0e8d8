// tidepool bench plot.

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/client/load"
)

func newBenchPlotCommand() *cobra.Command {
	var logarithmic bool
	c := &cobra.Command{
		Use:   "plot FILE...",
		Short: "Draw the latencies of runs by percentile, as one SVG on standard output",
		Long: `Draw the latencies of runs together, by percentile, as an SVG on standard output. Each FILE is what tidepool bench --json wrote;
a run is called what --name said, or as its file. From left to right each further stretch is a tenth of the answers that
remain (90 %, 99 %, 99.9 %), as in HdrHistogram's plots.`,
		Example: `  tidepool bench 127.0.0.1:11211 --json > direct.json
  tidepool bench 127.0.0.1:11311 --json > proxy.json
  tidepool bench plot direct.json proxy.json > latency.svg`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{c.CommandPath(), "want files that tidepool bench --json wrote"}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			var runs []load.Report
			for _, path := range args {
				r, err := readReport(path)
				if err != nil {
					return err
				}
				runs = append(runs, r)
			}
			return load.Plot(c.OutOrStdout(), runs, logarithmic)
		},
	}
	c.Flags().BoolVar(&logarithmic, "log", false, "a logarithmic scale for latencies, too")
	return c
}

// readReport reads what a run reported as JSON. One without a name is called as its file.
func readReport(path string) (r load.Report, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return r, fmt.Errorf("cannot read a run: %w", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("cannot read a run: %q is not what tidepool bench --json writes: %w", path, err)
	}
	if r.Name == "" {
		r.Name = strings.TrimSuffix(filepath.Base(path), ".json")
	}
	return r, nil
}

// writeSVG draws one run into a file.
func writeSVG(path string, r load.Report) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("cannot write the plot: %w", err)
	}
	defer func() {
		if closeErr := f.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("cannot write the plot: %w", closeErr)
		}
	}()
	return load.Plot(f, []load.Report{r}, false)
}

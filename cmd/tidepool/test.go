// tidepool test.

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/engine/routetest"
)

// gcPercent is how much more than what is in use may be garbage: a run is short, and makes two Lua states for each test.
const gcPercent = 400

func newTestCommand() *cobra.Command {
	var f scriptFlags
	var filter, junit string
	var seed uint64
	var verbose, coverage bool
	c := &cobra.Command{
		Use:   "test FILE...",
		Short: "Run unit tests of routes, written in Lua, without a network and in virtual time",
		Long: `Run test files written in Lua. They load a configuration on a proxy of their own, with fake backends and a clock that
goes on by itself, send requests, and say what should come of it. FILE may be a folder (all of its files whose names end in
_test.lua), or folder/... (and those of the folders below it).

  describe("failover", function()
      before_each(function()
          route([[return require "routes.failover"{ children = { a, b } }]], "a", "b")
      end)
      it("asks the next when the first does not answer", function()
          backend("a"):fails("timeout")
          backend("b"):set("foo", "bar")
          local res = send("get foo")
          expect(res.value):equals("bar")
          expect(res.time):equals(3)
          expect(seen()):equals{ "a: get foo", "b: get foo" }
      end)
  end)

docs/testing.md has all words. The exit code is 0 if all passed, 1 if something failed, and 2 if the command line is wrong.`,
		Example: `  tidepool test routes/tests/...
  tidepool test my_test.lua --filter 'failover .*timeout'`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{c.CommandPath(), "want a test file, or a folder of them"}
			}
			return nil
		},
		ValidArgsFunction: completeLua,
	}
	f.add(c.Flags())
	c.Flags().StringVar(&filter, "filter", "", "run only the tests whose full name has a part that matches this regular expression")
	c.Flags().Uint64Var(&seed, "seed", 1, "where the random numbers of tests and configurations begin")
	c.Flags().StringVar(&junit, "junit", "", "write what came of the tests to this file, as JUnit's XML")
	c.Flags().BoolVar(&coverage, "coverage", false, "tell how many lines of the configurations' files have run, and which have not")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "tell of every test, also of those that pass")
	c.RunE = func(c *cobra.Command, args []string) error {
		paths, err := routetest.Files(args)
		if err != nil {
			return usageError{c.CommandPath(), err.Error()}
		}
		match, err := regexp.Compile(filter)
		if err != nil {
			return usageError{c.CommandPath(), fmt.Sprintf("cannot read filter %q: %v", filter, err)}
		}
		out := c.OutOrStdout()
		debug.SetGCPercent(gcPercent)
		began := time.Now()
		all, covered := routetest.RunAll(paths, routetest.Options{
			Filter: match, Seed: seed, LuaPath: luaPath(), StartArg: f.startArg, Unsafe: f.luaUnsafe, Print: out, Coverage: coverage,
			Done: func(res routetest.Result) { tellResult(out, &res, verbose) },
		}, runtime.GOMAXPROCS(0))
		took := time.Since(began)
		for _, c := range covered {
			tellCoverage(out, &c)
		}
		if len(all) == 0 {
			return usageError{c.CommandPath(), fmt.Sprintf("no test matches the filter %q", filter)}
		}
		if junit != "" {
			if err := writeJUnit(junit, all); err != nil {
				return err
			}
		}
		return tellSummary(out, all, took)
	}
	return c
}

// tellResult tells of a test that failed, or verbosely of any.
func tellResult(w io.Writer, res *routetest.Result, verbose bool) {
	name := res.Name
	if name == "" {
		name = res.File
	}
	switch {
	case res.Failure != nil:
		fmt.Fprintf(w, "FAIL  %s\n", name)
		fmt.Fprintln(w, "    "+strings.ReplaceAll(res.Failure.Error(), "\n", "\n    "))
	case verbose:
		fmt.Fprintf(w, "ok    %s (%.1f ms)\n", name, res.Took.Seconds()*1e3)
	}
}

func tellCoverage(w io.Writer, c *routetest.Covered) {
	fmt.Fprintf(w, "%6.1f %%  %s", 100*c.Share(), c.File)
	if len(c.Never) > 0 {
		fmt.Fprintf(w, ": %d of %d lines never ran: %s", len(c.Never), c.Lines, c.Missed())
	}
	fmt.Fprintln(w)
}

func writeJUnit(path string, all []routetest.Result) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("cannot write JUnit results: %w", err)
	}
	if err := errors.Join(routetest.WriteJUnit(f, all), f.Close()); err != nil {
		return err
	}
	return nil
}

// tellSummary tells how many passed, and gives an error if not all did, or if that cannot be told.
func tellSummary(w io.Writer, all []routetest.Result, took time.Duration) error {
	failed := 0
	for _, res := range all {
		if res.Failure != nil {
			failed++
		}
	}
	_, err := fmt.Fprintf(w, "%d passed, %d failed in %.2f s\n", len(all)-failed, failed, took.Seconds())
	if failed > 0 {
		return reported{errors.New("tests failed")}
	}
	return err
}

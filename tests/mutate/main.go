// Command mutate tests the tests of the route library: it changes one thing in a handler, runs the handler's tests, and tells if none of them
// notices. `make mutate` runs it, MUTATE=-help lists its flags.
//
// A mutant is a file of routes/ with one operator, number, word, condition or statement changed (engine/vm/source makes them from the syntax
// tree, so that each is a script); names, texts for people and documentation stay. Those of a handler are tried with routes/tests/NAME_test.lua
// and NAME_*_test.lua, those of what handlers share with all tests that use it. Only cases are run that reach the statement, which a run
// with coverage says beforehand, at most -cases of them, and only up to the first that fails: then the mutant is killed. One that loops is killed
// by its step budget.
//
// A mutant that no test kills is a test that is missing, code that is not needed, or the same in other words. The file alive lists those of the
// last kind, each with its reason. The run fails if one lives that is not listed, if one that is listed does not, or if more than 5 % live.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// settings are the flags.
type settings struct {
	handlers string // comma-separated; "" is all
	routes   string // folder
	tests    string // folder
	alive    string // file
	list     bool
	verbose  bool
	parallel int
	cases    int     // that a mutant must pass to live
	most     float64 // percent that may live
	out      io.Writer
}

func main() {
	s := settings{out: os.Stdout}
	flag.StringVar(&s.handlers, "handlers", "", "only these files of routes/, without .lua, separated by commas")
	flag.StringVar(&s.routes, "routes", "routes", "the folder of the route library")
	flag.StringVar(&s.tests, "tests", "routes/tests", "the folder of its tests")
	flag.StringVar(&s.alive, "alive", "tests/mutate/alive", "the list of mutants that are known to live")
	flag.BoolVar(&s.list, "list", false, "list the mutants, and run nothing")
	flag.BoolVar(&s.verbose, "v", false, "tell of every mutant what killed it")
	flag.IntVar(&s.parallel, "parallel", runtime.GOMAXPROCS(0), "how many run at once")
	flag.IntVar(&s.cases, "cases", 300, "how many cases a mutant must pass to live, where more would reach it")
	flag.Float64Var(&s.most, "most", 5, "percent that may live")
	flag.Parse()
	debug.SetGCPercent(400) // a case makes two Lua states, and little of them stays
	if err := run(&s); err != nil {
		fmt.Fprintln(os.Stderr, "mutate: FAILED:", err)
		os.Exit(1)
	}
}

// run does what the settings say, and gives why it failed.
func run(s *settings) error {
	began := time.Now()
	var names []string
	if s.handlers != "" {
		names = strings.Split(s.handlers, ",")
	}
	modules, err := readModules(s.routes, names)
	if err != nil {
		return err
	}
	if s.list {
		for _, m := range modules {
			for i := range m.mutants {
				fmt.Fprintln(s.out, m.mutants[i].long())
			}
		}
		return nil
	}
	known, err := readAlive(s.alive)
	if err != nil {
		return err
	}
	if err := runAll(s, modules); err != nil {
		return err
	}
	return report(s, modules, known, time.Since(began))
}

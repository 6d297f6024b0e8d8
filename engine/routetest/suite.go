// A test file that stays open, and modules of the route library that others stand in for: what tests of tests need (tests/mutate).

package routetest

import (
	"maps"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/vm"
)

// Suite is a test file whose cases are run one by one, in any order, as often as wanted. What a case leaves behind in the file's own variables is there
// for the next. Close it.
type Suite struct{ f *file }

// Open opens a test file. It belongs to the Runner's goroutine.
func (r *Runner) Open(path string) (*Suite, error) {
	f, err := r.openFile(path)
	if err != nil {
		return nil, err
	}
	return &Suite{f}, nil
}

// Close frees what the file holds.
func (s *Suite) Close() { s.f.close() }

// Len is how many cases there are.
func (s *Suite) Len() int { return len(s.f.cases) }

// Run runs a case.
func (s *Suite) Run(i int) Result { return s.f.run(s.f.cases[i]) }

// RunCovered runs a case, and gives the lines of the library's modules that ran, by module ("failover") and line. The Runner must have
// Options.Coverage.
func (s *Suite) RunCovered(i int) (Result, map[string][]int) {
	c := s.f.r.cover
	clear(c.runs)
	res := s.Run(i)
	lines := map[string][]int{}
	for name, numbers := range c.lines {
		module, ok := strings.CutPrefix(name, "[routes/")
		if !ok {
			continue
		}
		module = strings.TrimSuffix(module, ".lua]")
		for line, n := range numbers {
			if c.runs[n] {
				lines[module] = append(lines[module], line)
			}
		}
	}
	return res, lines
}

// Use has cases that run from now on find proto where they require a module of the route library ("failover"). Nil: the library's own again, as
// it was when Use was first called.
func (r *Runner) Use(module string, proto *vm.Proto) error {
	if r.own == nil {
		var err error
		if r.own, err = engine.Library(r.o.Routes, r.compile); err != nil {
			return err
		}
	}
	if r.library == nil {
		r.library = maps.Clone(r.own)
	} else {
		r.library = maps.Clone(r.library)
	}
	module = "routes." + module
	if proto == nil {
		proto = r.own[module]
	}
	r.library[module] = proto
	return nil
}

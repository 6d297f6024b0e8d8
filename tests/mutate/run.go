// Running mutants: which cases reach what, and which mutant fails them.

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/routetest"
	"github.com/tidepool-proxy/tidepool/engine/vm"
)

// runAll says of every mutant whether it lives.
func runAll(s *settings, modules []*module) error {
	paths, err := routetest.Files([]string{s.tests})
	if err != nil {
		return err
	}
	library := os.DirFS(s.routes)
	if err := reach(s, library, paths, modules); err != nil {
		return err
	}
	var all []*mutant
	for _, m := range modules {
		for i := range m.mutants {
			all = append(all, &m.mutants[i])
		}
	}
	return each(s.parallel, len(all), func() *worker { return newWorker(s, library, paths, false) }, func(w *worker, i int) error {
		return w.try(all[i])
	})
}

// reach runs all tests with coverage, and notes which cases reach which statements. All must pass.
func reach(s *settings, library fs.FS, paths []string, modules []*module) error {
	byName := map[string]*module{}
	for _, m := range modules {
		byName[m.name] = m
	}
	var mu sync.Mutex
	err := each(s.parallel, len(paths), func() *worker { return newWorker(s, library, paths, true) }, func(w *worker, i int) error {
		if !slices.ContainsFunc(modules, func(m *module) bool { return m.tested(paths[i]) }) {
			return nil
		}
		suite, err := w.open(i)
		if err != nil {
			return err
		}
		for c := range suite.Len() {
			res, lines := suite.RunCovered(c)
			if res.Failure != nil {
				return fmt.Errorf("a test fails before anything is changed: %s\n%w", res.Name, res.Failure)
			}
			mu.Lock()
			for name, ran := range lines {
				if m := byName[name]; m != nil && m.tested(paths[i]) {
					m.reached(place{i, c}, ran, m.own(paths[i]))
				}
			}
			mu.Unlock()
		}
		return nil
	})
	for _, m := range modules {
		for line, list := range m.cases {
			m.cases[line] = spread(list, s.cases)
		}
	}
	return err
}

func (m *module) reached(p place, lines []int, own bool) {
	if len(lines) > 0 {
		m.tests++
	}
	slices.Sort(lines)
	way := fmt.Sprint(lines)
	for _, line := range lines {
		m.cases[line] = append(m.cases[line], reaching{p, way, own})
	}
}

// spread gives at most so many of the cases that reach a line: those of the module's own tests, which are all given, and those first that take another way through the module than any before them in their
// file, and of every file one after the other. A few of a large table of cases fail as all of it would.
func spread(all []reaching, most int) []reaching {
	slices.SortFunc(all, func(a, b reaching) int { return cmp.Or(a.file-b.file, a.number-b.number) })
	files := map[int]int{}            // cases of the file so far
	ways := map[int]map[string]bool{} // of the file
	type turn struct {
		again bool // the file has one of its way
		turn  int
	}
	turns := map[place]turn{}
	for _, c := range all {
		if ways[c.file] == nil {
			ways[c.file] = map[string]bool{}
		}
		turns[c.place] = turn{ways[c.file][c.way], files[c.file]}
		ways[c.file][c.way] = true
		files[c.file]++
	}
	slices.SortStableFunc(all, func(a, b reaching) int {
		x, y := turns[a.place], turns[b.place]
		return cmp.Or(trueFirst(a.own, b.own), trueFirst(y.again, x.again), x.turn-y.turn)
	})
	for most < len(all) && all[most].own {
		most++
	}
	return all[:min(len(all), most)]
}

func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// each calls do for every number below n, in workers that are made for it, until one fails.
func each(parallel, n int, newWorker func() *worker, do func(w *worker, i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, max(1, min(parallel, n)))
	for k := range errs {
		wg.Go(func() {
			w := newWorker()
			defer w.close()
			for i := int(next.Add(1)) - 1; i < n && errs[k] == nil; i = int(next.Add(1)) - 1 {
				errs[k] = do(w, i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// steps is the budget of a request: more than any test wants, and a twentieth of what a proxy gives, for every turn of a loop that does not end may wait.
const steps = 50_000

// worker tries mutants, one after the other.
type worker struct {
	s      *settings
	runner *routetest.Runner
	paths  []string
	suites map[int]*routetest.Suite
	recent map[*module][]place // that killed, the last in front
}

func newWorker(s *settings, library fs.FS, paths []string, coverage bool) *worker {
	return &worker{
		s: s, paths: paths, suites: map[int]*routetest.Suite{}, recent: map[*module][]place{},
		runner: routetest.New(routetest.Options{Seed: 1, Routes: library, Coverage: coverage, Steps: steps}),
	}
}

func (w *worker) close() {
	for i := range w.suites {
		w.shut(i)
	}
	w.runner.Close()
}

func (w *worker) shut(file int) {
	w.suites[file].Close()
	delete(w.suites, file)
}

func (w *worker) open(file int) (*routetest.Suite, error) {
	if w.suites[file] == nil {
		suite, err := w.runner.Open(w.paths[file])
		if err != nil {
			return nil, err
		}
		w.suites[file] = suite
	}
	return w.suites[file], nil
}

// slow is how long a mutant may take before it is told of, for who waits.
const slow = time.Minute

// try runs the tests of a mutant until one fails.
func (w *worker) try(m *mutant) error {
	cases := m.of.cases[m.Statement]
	if len(cases) == 0 {
		m.alive, m.why = true, "no test runs it"
		return nil
	}
	alarm := time.AfterFunc(slow, func() { fmt.Fprintf(os.Stderr, "mutate: still at %s\n", m.long()) })
	defer alarm.Stop()
	proto, err := mutation.Compile(m.of.src, m.of.chunk(), m.n)
	if err != nil {
		return fmt.Errorf("cannot compile %s: %w", m.long(), err)
	}
	for _, p := range w.order(m.of, cases) {
		res, err := w.run(m, proto, p)
		if err != nil {
			return err
		}
		if res.Failure == nil {
			continue
		}
		if ok, err := w.confirm(m, proto, p); err != nil || !ok {
			if err != nil {
				return err
			}
			continue
		}
		m.why = res.Name
		w.killed(m.of, p)
		return nil
	}
	m.alive, m.why = true, fmt.Sprintf("%d tests pass", len(cases))
	return nil
}

// run runs a case with the mutant in its module's place.
func (w *worker) run(m *mutant, proto *vm.Proto, p place) (routetest.Result, error) {
	suite, err := w.open(p.file)
	if err != nil {
		return routetest.Result{}, err
	}
	if err := w.runner.Use(m.of.name, proto); err != nil {
		return routetest.Result{}, err
	}
	defer w.runner.Use(m.of.name, nil)
	return suite.Run(p.number), nil
}

// confirm reports whether a case that failed does so because of the mutant, and not because of what an earlier case left behind: it
// passes without the mutant, or else fails with it when the file is opened anew.
func (w *worker) confirm(m *mutant, proto *vm.Proto, p place) (bool, error) {
	if w.suites[p.file].Run(p.number).Failure == nil {
		return true, nil
	}
	w.shut(p.file)
	res, err := w.run(m, proto, p)
	w.shut(p.file)
	return res.Failure != nil, err
}

// order is cases with those in front that killed others lately.
func (w *worker) order(m *module, cases []reaching) []place {
	var first []place
	for _, p := range w.recent[m] {
		if slices.ContainsFunc(cases, func(c reaching) bool { return c.place == p }) {
			first = append(first, p)
		}
	}
	for _, c := range cases {
		if !slices.Contains(w.recent[m], c.place) {
			first = append(first, c.place)
		}
	}
	return first
}

// most is how many killers are remembered.
const most = 64

func (w *worker) killed(m *module, p place) {
	list := slices.DeleteFunc(w.recent[m], func(q place) bool { return q == p })
	w.recent[m] = slices.Insert(list, 0, p)[:min(len(list)+1, most)]
}

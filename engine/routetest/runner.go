// A run: files, their cases, and what came of them.

package routetest

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"time"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/vm"
)

// Options say how tests are run. The zero value runs all of them and tells nobody meanwhile.
type Options struct {
	Filter   *regexp.Regexp // part of the full name of the cases that are run; nil: all are
	Seed     uint64         // of random numbers
	LuaPath  string         // where require of configurations looks, besides the folders of the test and the configuration, in LUA_PATH's form
	StartArg string         // mcp.start_arg of configurations
	Unsafe   bool           // configurations get the whole standard library
	Steps    int64          // what one request may take, as engine.Options.LuaSteps
	Routes   fs.FS          // the route library, files NAME.lua; nil: that of the binary
	Print    io.Writer      // where print of test files goes; nil: nowhere
	Coverage bool           // which lines run is noted: see Runner.Coverage
	Done     func(Result)   // told of each case; nil: nobody
}

// Result is what came of a case, or of a file that could not be run; that has no name.
type Result struct {
	Case
	Took    time.Duration // real time
	Failure *Failure      // nil: it passed
}

// Runner runs test files. Close it.
type Runner struct {
	o      Options
	clock  *clock
	stores stores
	protos *protos
	cover  *coverage // nil: nobody asks

	library map[string]*vm.Proto // of the routes; made when it is first wanted
	own     map[string]*vm.Proto // what Use gives back
}

// New makes a Runner.
func New(o Options) *Runner {
	r := &Runner{o: o, clock: &clock{}, protos: newProtos()}
	r.stores.clock = r.clock
	if o.Coverage {
		r.cover = &coverage{lines: map[string]map[int]int{}}
	}
	return r
}

// Close frees what was kept for the run.
func (r *Runner) Close() {
	r.stores.close()
	r.clock.close()
}

// Run runs a file and gives what came of each case, in order.
func (r *Runner) Run(path string) []Result {
	f, err := r.openFile(path)
	if err != nil {
		res := Result{Case: Case{File: path}}
		if fail, ok := err.(*Failure); ok {
			res.Failure = fail
		} else {
			res.Failure = &Failure{Text: err.Error()}
		}
		r.o.done(res)
		return []Result{res}
	}
	defer f.close()
	var all []Result
	for _, c := range f.cases {
		if r.o.Filter != nil && !r.o.Filter.MatchString(c.Name) {
			continue
		}
		res := f.run(c)
		r.o.done(res)
		all = append(all, res)
	}
	return all
}

func (r *Runner) print(line string) {
	if r.o.Print != nil {
		fmt.Fprintln(r.o.Print, line)
	}
}

// newWorld makes the world of a case of a file.
func (r *Runner) newWorld(path string, seed uint64) (*world, error) {
	if r.library == nil {
		var err error
		if r.library, err = engine.Library(r.o.Routes, r.compile); err != nil {
			return nil, err
		}
	}
	o := engine.Options{
		LuaPath:   filepath.Join(filepath.Dir(path), "?.lua") + ";" + r.o.LuaPath + ";;",
		StartArg:  r.o.StartArg,
		LuaUnsafe: r.o.Unsafe,
		LuaSteps:  r.o.Steps,
		Seed:      seed,
		Compile:   r.compile,
		Library:   r.library,
	}
	if r.cover != nil {
		o.Covered = r.cover.ran
	}
	return newWorld(r.clock, &r.stores, o), nil
}

// protos is what files compile to, for as long as their texts stay as they are.
type protos struct {
	all map[string][]compiled // by name
}

type compiled struct {
	text  string
	proto *vm.Proto
	err   error
}

func newProtos() *protos { return &protos{all: map[string][]compiled{}} }

// get gives what a file compiles to.
func (p *protos) get(src []byte, name string, compile func(src []byte, name string) (*vm.Proto, error)) (*vm.Proto, error) {
	for i := range p.all[name] {
		if c := &p.all[name][i]; c.text == string(src) {
			return c.proto, c.err
		}
	}
	c := compiled{text: string(src)}
	c.proto, c.err = compile(src, name)
	p.all[name] = append(p.all[name], c)
	return c.proto, c.err
}

// compile compiles what is tested.
func (r *Runner) compile(src []byte, name string) (*vm.Proto, error) {
	if r.cover != nil && counts(name) {
		return r.protos.get(src, name, r.cover.compile)
	}
	return r.protos.get(src, name, vm.Compile)
}

// A test file: its state, what it describes, and one case's run.

package routetest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm"
)

// file is one test file.
type file struct {
	r     *Runner
	path  string
	state *vm.State
	root  *group
	group *group // that is being described, or whose case runs
	cases []*Case
	world *world // of the case that runs

	backendMT, clientMT, callMT, expectMT, failureMT *lua.LTable
	findFn                                           lua.LValue
}

// group is what a describe holds.
type group struct {
	parent        *group
	name          string // with its parents'
	before, after []*lua.LFunction
}

// Case is one `it`.
type Case struct {
	File string
	Name string // with the names of the describes around it
	Line int

	group *group
	fn    *lua.LFunction
}

func (g *group) full(name string) string {
	if g.name == "" {
		return name
	}
	return g.name + " " + name
}

// openFile runs a test file, which collects its cases.
func (r *Runner) openFile(path string) (*file, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read tests: %w", err)
	}
	proto, err := vm.Compile(src, path)
	if err != nil {
		return nil, err
	}
	f := &file{r: r, path: path, root: &group{}}
	f.group = f.root
	f.state, err = vm.New(vm.Options{
		Path:  filepath.Join(filepath.Dir(path), "?.lua") + ";" + filepath.Join(filepath.Dir(path), "?", "init.lua"),
		Print: r.print,
		Now:   r.clock.Wall,
		Seed:  r.seed(path),
	})
	if err != nil {
		return nil, err
	}
	f.findFn = vm.Field(f.state.Global("string"), "find")
	f.open()
	if err := f.state.RunProto(proto); err != nil {
		f.state.Close()
		return nil, f.failure(err)
	}
	return f, nil
}

func describe(f *file, L *lua.LState) int {
	name, fn := L.CheckString(1), L.CheckFunction(2)
	f.collecting(L, "describe")
	outer := f.group
	f.group = &group{parent: outer, name: outer.full(name)}
	L.Push(fn)
	L.Call(0, 0)
	f.group = outer
	return 0
}

func it(f *file, L *lua.LState) int {
	name, fn := L.CheckString(1), L.CheckFunction(2)
	f.collecting(L, "it")
	c := &Case{File: f.path, Name: f.group.full(name), group: f.group, fn: fn}
	if d, ok := L.GetStack(1); ok {
		if _, err := L.GetInfo("Sl", d, lua.LNil); err == nil {
			c.Line = d.CurrentLine
		}
	}
	f.cases = append(f.cases, c)
	return 0
}

func hook(f *file, L *lua.LState, what string, list *[]*lua.LFunction) int {
	f.collecting(L, what)
	*list = append(*list, L.CheckFunction(1))
	return 0
}

// collecting refuses what belongs outside of tests.
func (f *file) collecting(L *lua.LState, what string) {
	if f.world != nil {
		L.RaiseError("%s cannot stand in a test", what)
	}
}

// seed is where random numbers of something begin.
func (r *Runner) seed(name string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d\x00%s", r.o.Seed, name)
	return h.Sum64() | 1
}

// run runs one case.
func (f *file) run(c *Case) Result {
	seed := f.r.seed(filepath.Base(f.path) + "\x00" + c.Name)
	began := time.Now()
	res := Result{Case: *c}
	var err error
	if f.world, err = f.r.newWorld(f.path, seed); err != nil {
		res.Failure = f.failure(err)
		return res
	}
	f.group = c.group
	f.state.Host.Seed(seed)
	for _, fn := range c.group.hooks(nil) {
		if err = f.call(fn); err != nil {
			break
		}
	}
	if err == nil {
		err = f.call(c.fn)
	}
	for g := c.group; g != nil; g = g.parent {
		for _, fn := range g.after {
			if after := f.call(fn); err == nil {
				err = after
			}
		}
	}
	troubles := f.world.troubles()
	if ended := f.world.end(); err == nil {
		err = ended
	}
	f.world = nil
	res.Took = time.Since(began)
	if err != nil {
		res.Failure = f.failure(err)
		res.Failure.Log = troubles
	}
	return res
}

// hooks are the functions before each case, the outermost first.
func (g *group) hooks(list []*lua.LFunction) []*lua.LFunction {
	if g.parent != nil {
		list = g.parent.hooks(list)
	}
	return append(list, g.before...)
}

func (f *file) call(fn *lua.LFunction) error {
	_, err := f.state.Call(fn)
	return err
}

// failure is an error as it is told.
func (f *file) failure(err error) *Failure {
	var script *vm.ScriptError
	if !errors.As(err, &script) {
		return &Failure{Text: err.Error()}
	}
	if ud, ok := script.Value.(*lua.LUserData); ok {
		if x, ok := ud.Value.(*Failure); ok {
			return x
		}
	}
	x := &Failure{Text: script.Message}
	for line := range strings.Lines(script.Traceback) {
		at := strings.TrimSpace(line)
		if m := framePlace.FindStringSubmatch(at); m != nil && !strings.HasPrefix(x.Text, m[1]+": ") {
			x.From = append(x.From, m[1])
		}
	}
	return x
}

// framePlace finds file:line in a line of a traceback; what is in brackets is not the user's.
var framePlace = regexp.MustCompile(`^([^\[].*?:\d+): in `)

func (f *file) close() { f.state.Close() }

// Package vm runs scripts: pooled Lua states with their lock, their step budget and their coroutines.
//
// A State is one Lua state. A proxy has one for configuring, which lives as long as the process, and a few for serving
// (workers), which are new with each generation. Everything that touches a state's Lua happens with its lock held: a
// client connection's session locks a worker once, runs a Task for every request that it has just read, each until it waits
// or ends, and unlocks. Different states share nothing but Go objects that are safe for concurrent use.
//
// A Task is one request's run, on a machine of package quick as far as that knows what to do, and else on a coroutine. Tasks are pooled, and so are
// their threads as long as they end normally, because a new one costs 2 µs and 11 kB. A script waits by calling a Go function that arranges for an answer and then returns
// State.Wait: that suspends the machine, yields the coroutine, or, where Lua is inside a Go call that cannot be yielded across (the callback of
// string.gsub, a script's own coroutine), blocks in place with the lock released.
package vm

import (
	"fmt"
	"strings"
	"sync"
	"time"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"github.com/tidepool-proxy/tidepool/engine/vm/lualib"
	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

// Default step budgets. A step is a loop turn, a function entry or a jump to a label; builtins charge by bytes.
const (
	DefaultSteps     = 1_000_000  // one request
	DefaultLoadSteps = 10_000_000 // one file, or one configuration stage
)

// Options configure a State. The zero value is a sandboxed state with the default budgets and no output.
type Options struct {
	Steps     int64                         // budget of one request; 0 = DefaultSteps
	LoadSteps int64                         // budget of loading; 0 = DefaultLoadSteps
	Unsafe    bool                          // give scripts the whole standard library
	Print     func(string)                  // where print writes; nil = nowhere
	Path      string                        // package.path; "" = lualib's default
	Modules   map[string]*lua.FunctionProto // what require finds before it looks for files, compiled by package source
	Now       func() time.Time              // what os.time and os.clock go by; nil: time.Now
	Seed      uint64                        // of math.random; 0: a random one

	// Read is how scripts read files while they load; nil: os.ReadFile.
	Read func(path string) ([]byte, error)
	// Compile is how files and strings are compiled that scripts load; nil: the function Compile. What it gives may be run in many states.
	Compile func(src []byte, name string) (*lua.FunctionProto, error)
	// Covered is told of every line that runs, as CompileCovered has numbered it; nil: nobody is.
	Covered func(at int)
}

// State is one Lua state. Every method but Lock needs the lock held, unless it says otherwise.
type State struct {
	L    *lua.LState
	Host *lualib.Host
	Data any // the API's own data for this state

	mu      sync.Mutex
	opts    Options
	entry   *lua.LFunction // function(f, r) local x = f(r) return x end
	cur     *Task
	free    *Task
	spare   []*lua.LState // threads that have no task
	loading bool
	closed  bool
}

// entrySource enters a route from a frame of its own: gopher-lua ends a coroutine that yields in the tail call of
// its bottom function (LUA: `return pool(r)`), and only there.
const (
	entrySource = `return function(f, r) local x = f(r) return x end`
	entryName   = "[entry]" // hidden from tracebacks
)

// entryProto compiles it, once.
var entryProto = sync.OnceValues(func() (*lua.FunctionProto, error) {
	chunk, err := parse.Parse(strings.NewReader(entrySource), entryName)
	if err != nil {
		return nil, err
	}
	return lua.Compile(chunk, entryName)
})

// New makes a state. The caller owns it, unlocked.
func New(o Options) (*State, error) {
	if o.Steps == 0 {
		o.Steps = DefaultSteps
	}
	if o.LoadSteps == 0 {
		o.LoadSteps = DefaultLoadSteps
	}
	s := &State{opts: o, Host: &lualib.Host{}}
	s.L = lua.NewState(lualib.StateOptions())
	s.Host.Reset(o.LoadSteps)
	err := lualib.Open(s.L, s.Host, lualib.Options{
		Unsafe:  o.Unsafe,
		Loading: func() bool { return s.loading },
		Print:   o.Print,
		Path:    o.Path,
		Preload: s.preload(o.Modules),
		Now:     o.Now,
		Seed:    o.Seed,
		Compile: o.Compile,
		Covered: o.Covered,

		ReadFile: o.Read,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot open the standard library: %w", err)
	}
	chunk, err := entryProto()
	if err != nil {
		return nil, fmt.Errorf("cannot make the entry frame: %w", err)
	}
	v, err := s.Call(s.L.NewFunctionFromProto(chunk))
	if err != nil {
		return nil, fmt.Errorf("cannot make the entry frame: %w", err)
	}
	s.entry = v.(*lua.LFunction)
	return s, nil
}

// Lock takes the state for the calling goroutine.
func (s *State) Lock() { s.mu.Lock() }

// Unlock gives it back.
func (s *State) Unlock() { s.mu.Unlock() }

// Run compiles src, under the name that errors shall show, and runs it as loading code.
func (s *State) Run(src []byte, name string) error {
	proto, err := source.Compile(src, name)
	if err != nil {
		return err
	}
	return s.RunProto(proto)
}

// RunProto runs a compiled chunk as loading code. A proto may be run in several states.
func (s *State) RunProto(proto *lua.FunctionProto) error {
	_, err := s.CallProto(proto)
	return err
}

// CallProto is RunProto and gives what the chunk returns.
func (s *State) CallProto(proto *lua.FunctionProto) (lua.LValue, error) {
	return s.Call(s.Host.Bind(proto))
}

// preload makes loaders of modules for require, which runs inside loading code.
func (s *State) preload(modules map[string]*lua.FunctionProto) map[string]func(*lua.LState) (lua.LValue, error) {
	loaders := make(map[string]func(*lua.LState) (lua.LValue, error), len(modules))
	for name, proto := range modules {
		loaders[name] = func(L *lua.LState) (lua.LValue, error) {
			if err := L.CallByParam(lua.P{Fn: s.Host.Bind(proto), NRet: 1}); err != nil {
				return nil, err
			}
			v := L.Get(-1)
			L.Pop(1)
			return v, nil
		}
	}
	return loaders
}

// Call calls fn as loading code, with the loading budget, and gives its first result. Errors are *ScriptError.
func (s *State) Call(fn lua.LValue, args ...lua.LValue) (v lua.LValue, err error) {
	s.loading = true
	s.Host.Reset(s.opts.LoadSteps)
	outer := s.Host.Leave()
	defer func() {
		s.Host.Return(outer)
		s.loading = false
		if r := recover(); r != nil {
			err = recovered(r)
		}
	}()
	res, err := s.Host.Call(s.L, fn, args...)
	if err != nil {
		return lua.LNil, scriptError(err)
	}
	if len(res) == 0 {
		return lua.LNil, nil
	}
	return res[0], nil
}

// Loading reports whether loading code is running.
func (s *State) Loading() bool { return s.loading }

// Current is the task that is running, nil while loading.
func (s *State) Current() *Task { return s.cur }

// Close ends the state. Tasks that still wait are dropped.
func (s *State) Close() {
	if s.closed {
		return
	}
	s.closed = true
	s.free, s.spare = nil, nil
	s.L.Close()
}

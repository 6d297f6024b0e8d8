// Host: what one Lua state shares between its library, its budget and the program around it.

package lualib

import (
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/quick"
	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

// Host belongs to one Lua state. It is not safe for concurrent use: whoever holds the state's lock holds the host. The zero
// value is ready for Open.
type Host struct {
	// Nest, while above zero, forbids waiting: CanYield says no. Builtins that call scripts need not raise it, because
	// CanYield sees their frames.
	Nest int

	Quick quick.Set // what machines know of the state
	desk  *lua.LState

	L       *lua.LState
	opts    Options
	meter   meter
	names   map[*lua.LFunction]string // builtins by their dotted names
	rand    *rand.Rand
	started time.Time

	bound     map[string]*lua.Upvalue // what compiled code finds under its hidden names
	co        natives
	protected protected
	loop      mainLoop          // gopher-lua's
	watched   mainLoop          // ours
	thrown    func(*lua.LState) // LState.Panic of coroutines
	depth     int               // coroutines and pcalls inside each other on the Go stack
	spare     *lua.LState       // a thread for Call that has ended well, or nil: a new one takes 10 KB
	buf       []lua.LValue      // arguments on their way into a coroutine
	loaded    *lua.LTable       // package.loaded
	modules   []string          // what require has loaded, the preloaded ones excepted
	pkg       *lua.LTable       // package
	fileMeta  *lua.LTable       // of files
}

// Options says what Open installs. The zero value is a closed sandbox that reads no file and prints nowhere.
type Options struct {
	Unsafe   bool                                                      // restore os.execute, io writing, debug ... (--lua-unsafe)
	Loading  func() bool                                               // files can be read while it returns true; nil: never
	Print    func(line string)                                         // where print goes; nil: nowhere
	Path     string                                                    // package.path; "": ./?.lua
	Preload  map[string]func(L *lua.LState) (lua.LValue, error)        // modules that require finds first
	ReadFile func(path string) ([]byte, error)                         // nil: os.ReadFile
	Now      func() time.Time                                          // nil: time.Now
	Seed     uint64                                                    // of math.random; 0: a random one
	Compile  func(src []byte, name string) (*lua.FunctionProto, error) // how load and require compile; nil: source.Compile
	Covered  func(at int)                                              // told of lines that run, where Compile has put that in; nil: nobody
	Panicked func(builtin string, value any, stack []byte)             // told of Go panics in builtins; nil: nobody
}

// StateOptions are the lua.Options that keep states and coroutines small: 6 KB each, where gopher-lua's defaults take 100 KB.
// Open wants a state made with them.
func StateOptions() lua.Options {
	return lua.Options{
		SkipOpenLibs:        true,
		CallStackSize:       1000,    // frames; grown eight at a time
		MinimizeStackMemory: true,    //
		RegistrySize:        128,     // values; grown as needed and never shrunk
		RegistryMaxSize:     1 << 16, // 1 MiB
		RegistryGrowStep:    256,
	}
}

// builtin is a library function. Results are pushed; their number is returned.
type builtin func(h *Host, L *lua.LState) int

// entry is one function of a library.
type entry struct {
	name string
	fn   builtin
}

// Open installs the library into a fresh state made with StateOptions.
func Open(L *lua.LState, h *Host, opts Options) error {
	if errCalled != nil {
		return errCalled
	}
	if errLayout != nil {
		return errLayout
	}
	scrub(L)
	h.L, h.opts = L, opts
	h.prepareWording()
	h.names = map[*lua.LFunction]string{}
	h.fillOptions()
	h.started = h.opts.Now()
	h.bound = map[string]*lua.Upvalue{
		source.Count:  &h.meter.count,
		source.Tick:   closed(h.fn("step budget", tick)),
		source.Concat: closed(h.fn("concat", concat)),
		source.Set:    closed(h.L.NewFunction(h.set)),
		source.Made:   closed(h.fn("table constructor", made)),
		source.Varied: closed(h.fn("...", varied)),
		source.Ints:   closed(h.L.NewFunction(h.ints)),

		source.Closable: closed(h.fn("<close>", closable)),
		source.Cover:    closed(h.L.NewFunction(h.covered)),
		source.Pack:     closed(h.fn("<close>", closePack)),
		source.Unpack:   closed(h.fn("<close>", closeUnpack)),
	}
	if err := h.openCoroutine(); err != nil {
		return fmt.Errorf("cannot open the coroutine library: %w", err)
	}
	h.openBase()
	h.openLoad()
	h.openString()
	h.lib("table", tableLib)
	h.openMath()
	h.openUTF8()
	h.lib("os", osLib)
	h.lib("io", ioLib)
	h.lib("debug", debugLib)
	if opts.Unsafe {
		h.openUnsafe()
	}
	h.fillLoaded()
	h.openQuick()
	return nil
}

func (h *Host) fillOptions() {
	o := &h.opts
	if o.Loading == nil {
		o.Loading = func() bool { return false }
	}
	if o.Print == nil {
		o.Print = func(string) {}
	}
	if o.Path == "" {
		o.Path = "./?.lua"
	}
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Compile == nil {
		o.Compile = source.Compile
	}
	h.seed()
}

// Seed starts math.random over; 0: from chance.
func (h *Host) Seed(seed uint64) {
	h.opts.Seed = seed
	h.seed()
}

// IntN is a random number from 0 to n-1, of those that scripts get.
func (h *Host) IntN(n int) int { return h.rand.IntN(n) }

// seed starts math.random over, from Options.Seed or from chance.
func (h *Host) seed() {
	if h.opts.Seed == 0 {
		h.opts.Seed = rand.Uint64()
	}
	h.rand = rand.New(rand.NewPCG(h.opts.Seed, 0))
}

// globals is the table of globals, also when a script has given it a metatable.
func (h *Host) globals() *lua.LTable { return h.L.G.Global }

// fn makes a guarded function whose errors carry name.
func (h *Host) fn(name string, b builtin) *lua.LFunction {
	f := h.L.NewFunction(h.Guard(name, func(L *lua.LState) int { return b(h, L) }))
	h.names[f] = name
	return f
}

// lib makes the global table name, or adds to it. The empty name is the globals themselves.
func (h *Host) lib(name string, entries []entry) *lua.LTable {
	t, prefix := h.globals(), ""
	if name != "" {
		prefix = name + "."
		if had, ok := t.RawGetString(name).(*lua.LTable); ok {
			t = had
		} else {
			t = h.L.CreateTable(0, len(entries))
			h.globals().RawSetString(name, t)
		}
	}
	for _, e := range entries {
		t.RawSetString(e.name, h.fn(prefix+e.name, e.fn))
	}
	return t
}

// Bind makes a compiled file runnable in this state. A prototype from source.Compile runs only after Bind: its upvalues
// are the state's step counter and helpers.
func (h *Host) Bind(proto *lua.FunctionProto) *lua.LFunction {
	fn := h.L.NewFunctionFromProto(proto)
	for i, name := range proto.DbgUpvalues {
		fn.Upvalues[i] = h.bound[name]
	}
	return fn
}

// covered is called before statements that CompileCovered has compiled.
func (h *Host) covered(L *lua.LState) int {
	if n, ok := L.Get(1).(lua.LNumber); ok && h.opts.Covered != nil {
		h.opts.Covered(int(n))
	}
	return 0
}

// closed is an upvalue that holds v and belongs to no stack.
func closed(v lua.LValue) *lua.Upvalue {
	uv := &lua.Upvalue{}
	uv.Close()
	uv.SetValue(v)
	return uv
}

// Package luaapi is what scripts may call: the mcp table and the objects that it hands out.
//
// The surface is declared as data (Functions, and the method tables of each object): name, stage, parameters, results, one
// line of documentation and the Go function. Registration is derived from it, and so are the reference page and the editor
// definitions. The package converts and checks arguments and holds no policy: where a request goes is decided by scripts,
// how it gets there by package pools, when it is answered by the session that runs the Call.
//
// There are two stages, as in memcached's proxy. mcp_config_pools runs in the one configuration state and makes backends and
// pools; mcp_config_routes runs in every worker and attaches routes. A function of the other stage is absent; naming
// it is an error that says which stage has it.
//
// Everything here runs with the state's lock held. A response object belongs to its request: it is blanked when the request
// ends, so scripts must not keep one.
package luaapi

import (
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/vm"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Stage says where a function may be called.
type Stage uint8

// The stages; a function may belong to both.
const (
	StagePools  Stage = 1 << iota // mcp_config_pools, in the configuration state
	StageRoutes                   // mcp_config_routes and requests, in the workers
	StageBoth   = StagePools | StageRoutes
)

func (s Stage) String() string {
	switch s {
	case StagePools:
		return "mcp_config_pools"
	case StageRoutes:
		return "mcp_config_routes and routes"
	}
	return "every stage"
}

// Target is what a request can be sent to: a pool.
type Target interface {
	// Send queues r, as backend.Backend's does.
	Send(r *mc.Request, p *backend.Pending)
	Name() string
}

// Config is what the configuration stage does outside Lua. The engine implements it.
type Config interface {
	// NewPool makes a pool of backends. Its errors are shown to the script as they are.
	NewPool(PoolSpec) (Target, error)
	// Discover gives a pool of the topology, which has its members when the load has succeeded. Its errors are shown to the script as they are.
	Discover(DiscoverSpec) (Target, error)
	// AddStat names the user counter i.
	AddStat(i int, name string) error
	// RegisterCron has a function run every so many seconds, from when the load succeeds until one that does not register the name.
	RegisterCron(Cron)
	// ScheduleReload has the configuration loaded again when the crons that are due have run.
	ScheduleReload()
	// Stats gives the lines of `stats sub`; false if there is no such thing.
	Stats(sub string) (text []byte, ok bool)
}

// Worker is what routes do outside Lua. The engine implements it; it is called with the worker's lock held.
type Worker interface {
	// Attach sets the route of a command for listeners with tag ("" = those without a route of their own), and gives the one before.
	Attach(cmd mc.Cmd, tag string, r *Route) (old *Route)
	// CountFunc gives the counters of function generators with this name.
	CountFunc(name string) *FuncCount
	// Stat adds change to the user counter i.
	Stat(i int, change int64) error
	// Internal runs r on the proxy's own store and appends the answer, nothing if r is not for it.
	Internal(r *mc.Request, dst []byte) []byte

	Sharer
}

// Logger takes what scripts log.
type Logger interface {
	// Log is mcp.log.
	Log(msg string)
	// LogsRequests reports whether LogRequest goes anywhere now.
	LogsRequests() bool
	// LogRequest is mcp.log_req and, when it fires, mcp.log_reqsample. res is nil without a response; fd is the client's file
	// descriptor as far as the script tells.
	LogRequest(req *mc.Request, res *backend.Pending, detail string, fd int)
}

// Options make an API.
type Options struct {
	Stage    Stage
	Config   Config // StagePools
	Worker   Worker // StageRoutes
	Logger   Logger
	StartArg string           // mcp.start_arg
	Settings *Settings        // StagePools: the defaults that the setters change
	Slots    SlotRule         // StageRoutes
	Counters Counters         // nil: each is the state's own
	Stripe   uint32           // which copy of a counter the state adds to
	Now      func() int64     // monotonic nanoseconds, of the clock that deadlines and Pendings go by; nil: backend.Now
	Wall     func() time.Time // the time of day; nil: time.Now
}

// API is the mcp table of one state.
type API struct {
	o   Options
	st  *vm.State
	mcp *lua.LTable

	poolMT, backendMT, requestMT, responseMT, routerMT, funcgenMT, rctxMT *lua.LTable
	inspectorMT, mutatorMT, limiterMT, counterMT, sharderMT               *lua.LTable
	storeMT, hotkeysMT, gateMT                                            *lua.LTable
	meterMT, turnstileMT, flightsMT                                       *lua.LTable

	forgotten *forgotten

	mutation mutation // of the mutator that is being called
	sent     uint64   // requests, for Pending.Order
	watcher  Watcher  // nil: nobody watches
	unnamed  int      // shared things that were made without a name
	keyBuf   []byte   // of keyArg
}

// Func declares one function of the mcp table.
type Func struct {
	Name    string
	Stage   Stage
	Args    string // as in a signature: "backends, opts?"
	Returns string // "" when it returns nothing
	Doc     string
	fn      func(a *API, L *lua.LState) int
}

// Method declares one method of an object.
type Method struct {
	Name    string
	Args    string
	Returns string
	Doc     string
	fn      func(a *API, L *lua.LState) int
}

// Functions is the mcp table, sorted by theme.
func Functions() []Func {
	all := make([]Func, 0, 64)
	for _, part := range [][]Func{configFuncs, cronFuncs, routeFuncs, funcgenFuncs, callFuncs, inspectorFuncs, mutatorFuncs, ratelimFuncs, counterFuncs, sharderFuncs, shareFuncs, meterFuncs, turnstileFuncs, flightsFuncs, logFuncs, timeFuncs} {
		all = append(all, part...)
	}
	return all
}

// Objects is every object that scripts get, with its methods.
func Objects() map[string][]Method {
	return map[string][]Method{
		"request":   slices.Concat(requestMethods, rewriteMethods),
		"response":  slices.Concat(responseMethods, digestMethods),
		"funcgen":   funcgenMethods,
		"rctx":      slices.Concat(rctxMethods, gateMethods, measureMethods, formMethods, objectMethods),
		"counter":   counterMethods,
		"meter":     meterMethods,
		"turnstile": turnstileMethods,
		"flights":   flightsMethods,
	}
}

// Open puts the mcp table into st. st's lock must be held.
func Open(st *vm.State, o Options) *API {
	o.Slots = o.Slots.withDefaults()
	a := &API{o: o, st: st, forgotten: &forgotten{}}
	if a.o.Settings == nil {
		s := DefaultSettings()
		a.o.Settings = &s
	}
	if a.o.Now == nil {
		a.o.Now = backend.Now
	}
	if a.o.Wall == nil {
		a.o.Wall = time.Now
	}
	L := st.L
	a.mcp = L.CreateTable(0, 128)
	elsewhere := map[string]Stage{}
	for _, f := range Functions() {
		if f.Stage&o.Stage == 0 {
			elsewhere[f.Name] = f.Stage
			continue
		}
		a.mcp.RawSetString(f.Name, a.function("mcp."+f.Name, f.fn))
	}
	a.mcp.Metatable = a.absent(elsewhere)
	a.constants()
	a.mcp.RawSetString("start_arg", startArg(L, o.StartArg))
	objects := Objects()
	a.requestMT = a.object("mcp.request", objects["request"])
	a.responseMT = a.object("mcp.response", objects["response"])
	a.poolMT = a.callable("mcp.pool", callPool)
	a.inspectorMT = a.callable("mcp.inspector", inspect)
	a.mutatorMT = a.callable("mcp.mutator", mutate)
	a.sharderMT = a.callable("mcp.sharder", callSharder)
	if a.limiterMT = a.object("mcp.ratelim_global_tbf", nil); o.Stage&StageRoutes != 0 {
		a.limiterMT = a.callable("mcp.ratelim_tbf", limit)
	}
	a.storeMT = a.callable("mcp.store", callStore)
	a.hotkeysMT = a.callable("mcp.hotkeys", countKey)
	a.gateMT = a.callable("mcp.gate", openGate)
	a.counterMT = a.object("mcp.counter", counterMethods)
	a.backendMT = a.object("mcp.backend", nil)
	a.routerMT = a.object("mcp.router", nil)
	a.funcgenMT = a.object("mcp.funcgen", funcgenMethods)
	a.rctxMT = a.object("mcp.rcontext", objects["rctx"])
	a.meterMT = a.object("mcp.meter", objects["meter"])
	a.turnstileMT = a.object("mcp.turnstile", objects["turnstile"])
	a.flightsMT = a.object("mcp.flights", objects["flights"])
	L.SetGlobal("mcp", a.mcp)
	st.Data = a
	return a
}

func (a *API) bind(f func(*API, *lua.LState) int) lua.LGFunction {
	return func(L *lua.LState) int { return f(a, L) }
}

// function makes a function of scripts. name is as in quickly.
func (a *API) function(name string, f func(*API, *lua.LState) int) *lua.LFunction {
	fn := a.st.L.NewFunction(a.bind(f))
	if quickly[name] {
		a.st.Host.Quick.Add(fn, a.native(name, fn))
	}
	return fn
}

// object makes the metatable of a kind of userdata. Scripts cannot get at it.
func (a *API) object(name string, methods []Method) *lua.LTable {
	L := a.st.L
	mt := L.CreateTable(0, 4) // without a size it would take 2 KB
	index := L.CreateTable(0, len(methods))
	for _, m := range methods {
		index.RawSetString(m.Name, a.function(name+":"+m.Name, m.fn))
	}
	mt.RawSetString("__index", index)
	mt.RawSetString("__metatable", lua.LString(name))
	mt.RawSetString("__tostring", L.NewFunction(func(L *lua.LState) int {
		L.Push(lua.LString(name))
		return 1
	}))
	return mt
}

// callable makes the metatable of a kind of userdata that is called.
func (a *API) callable(name string, f func(*API, *lua.LState) int) *lua.LTable {
	mt := a.object(name, nil)
	mt.RawSetString("__call", a.function(name+"()", f))
	return mt
}

// Steps is what inspectors and mutators are made of.
func Steps() map[string][]Step {
	return map[string][]Step{"inspector": inspectorSteps, "mutator": mutatorSteps}
}

// absent is the metatable that says where a function of the other stage is.
func (a *API) absent(elsewhere map[string]Stage) *lua.LTable {
	mt := a.st.L.CreateTable(0, 2)
	mt.RawSetString("__index", a.st.L.NewFunction(func(L *lua.LState) int {
		name, _ := L.Get(2).(lua.LString)
		if stage, ok := elsewhere[string(name)]; ok {
			L.RaiseError("mcp.%s is only there in %s", string(name), stage)
		}
		L.Push(lua.LNil)
		return 1
	}))
	mt.RawSetString("__metatable", lua.LString("mcp"))
	return mt
}

// raise stops the script with a plain message: like memcached's proxy, without a place before it.
func raise(L *lua.LState, msg string) int {
	L.Error(lua.LString(msg), 0)
	return 0
}

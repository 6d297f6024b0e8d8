// Package engine is one running proxy: it loads configurations into generations, takes client connections from
// engine/server, sends their requests through routes, and swaps the configuration without losing a request.
//
// The way of a request is session.go: a batch comes from the connection, every request is started, answers are taken as they
// come, and answer.go writes them in order. load.go makes a generation of configuration files, generation.go is what
// a batch holds on to while it is under way, proxy.go wires and swaps.
//
// A Proxy's methods may be called concurrently. Two proxies live side by side in one process.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/auth"
	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/engine/sock"
	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/engine/vm"
	"github.com/tidepool-proxy/tidepool/engine/watch"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Options configure a Proxy. Local must be set.
type Options struct {
	Files   []string // configuration files, loaded in order; none: no command has a route, so that Local serves them all
	Listen  []string // LISTEN addresses; none: 127.0.0.1:11211
	Workers int      // Lua states; 0: as many as CPUs

	MaxItem       int           // largest value in bytes; 0: 1 MiB
	MaxConns      int           // client connections; 0: no limit
	MaxInFlight   int           // requests under way in all; 0: 65536
	MaxBuffered   int64         // bytes of requests, and of answers, buffered for clients in all; 0: 512 MiB
	MaxConnBuffer int           // bytes buffered for one client of a request, and of answers more or less; 0: as the item limit asks, and 8 MiB
	IdleTimeout   time.Duration // 0: none
	Follow        time.Duration // how often to look whether the files have changed, and load them again; 0: never
	Drain         time.Duration // how long an old generation and Shutdown wait for requests under way; 0: 30 s

	AllowFlush bool   // flush_all flushes every backend
	LuaUnsafe  bool   // scripts get the whole standard library
	LuaSteps   int64  // what one request of a script may take, in steps; 0: vm.DefaultSteps
	LuaPath    string // where require looks first, in the form of LUA_PATH; "": beside the first of Files
	StartArg   string // mcp.start_arg
	Sealed     bool   // scripts read no files while they load: require finds the route library alone

	Config ConfigSource // where Read has the text of Files from, when that is no file; nil: it is told nothing

	MaxBatch int         // requests of one client that are started before any is finished; 0: 64
	Backlog  int         // clients of a listener that wait to be accepted; 0: as many as the system lets
	UnixMode os.FileMode // of unix sockets; 0: 0700

	// Async and AsyncAfter are the server's (see server.Options): when one request is gone on with by whoever brings its answer. Nil and 0: while
	// there is one processor, after 8 batches of a connection.
	Async      func() bool
	AsyncAfter int

	Auth      *auth.File // clients say who they are before anything else; nil: anybody may come
	Watch     *watch.Hub // hands lines to clients that watch; nil: one of the proxy's own
	Slots     SlotRule   // when function generators let go of slots that idle; the zero value is memcached's proxy's
	Memcached *Memcached // the proxy stands in for a memcached; nil: it is itself

	Leader Leader // who says whether this proxy does what one of many is to do; nil: it is alone

	Others  []Other // who sends requests besides the listeners
	Loading func()  // called before a configuration is loaded again, which may keep a processor busy for a while; nil: nobody minds

	Local    LocalStore                             // serves what no route is attached for
	NewStore func(memory int64) (LocalStore, error) // makes the store of a script's mcp.store; it is closed if it has a Close(). nil: there are none
	NewLeaf  pools.Factory                          // makes the backend of a nats:// address
	Topology topo.Source                            // where discovered pools have their members from, asked by topo.Ref; nil: there are none. Who gives it closes it, after Shutdown
	Log      *slog.Logger                           // nil: slog.Default

	FirstNews time.Duration // how long a generation waits for the members of pools that it is the first to use, before it serves without; 0: 5 s

	// UnreachableAfter is how long a member of a discovered pool is away before a Topology that is topo.Informed is told: it may be restarted at
	// once, and then no key need move. 0: 1 s; less: it is never told.
	UnreachableAfter time.Duration

	NewMemcached pools.Factory                                 // makes the backend of a memcached server; nil: package memcached
	NewFetcher   func(luaapi.FetchSpec) (luaapi.Target, error) // makes what a script's mcp.http is; nil: package fetch

	// For Offline. Clock is all the time that there is; nil: the machine's. Read and Compile give the files and what they compile to, also those
	// that scripts require (Read is for Config, too); nil: the file system, and vm.Compile. Covered is vm.Options.Covered. Seed is where random
	// numbers of scripts begin; 0: chance.
	Clock   backend.Clock
	Read    func(path string) ([]byte, error)
	Compile func(src []byte, name string) (*vm.Proto, error)
	Covered func(at int)
	Plain   bool                 // the files define both stages, and need no declarative words
	Library map[string]*vm.Proto // see the function Library; nil: that of the binary
	Seed    uint64

	after func(time.Duration, func()) // time.AfterFunc, but in tests
}

// SlotRule says when a slot of a function generator is let go.
type SlotRule = luaapi.SlotRule

// Other is who calls Proxy.Open besides the listeners: it is warned of commands without a route as they are.
type Other struct {
	Name, Tag string
	Commands  []mc.Cmd // that it sends
}

func (o *Options) setDefaults() {
	if len(o.Listen) == 0 {
		o.Listen = []string{"127.0.0.1:11211"}
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.MaxItem <= 0 {
		o.MaxItem = 1 << 20
	}
	if o.MaxBuffered <= 0 {
		o.MaxBuffered = 512 << 20
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 65536
	}
	if o.Drain <= 0 {
		o.Drain = 30 * time.Second
	}
	if o.UnreachableAfter == 0 {
		o.UnreachableAfter = time.Second
	}
	if o.FirstNews <= 0 {
		o.FirstNews = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.after == nil {
		o.after = func(d time.Duration, f func()) { time.AfterFunc(d, f) }
		if c := o.Clock; c != nil {
			o.after = func(d time.Duration, f func()) { c.AfterFunc(d, f) }
		}
	}
	if o.Read == nil {
		o.Read = os.ReadFile
	}
	if o.Compile == nil {
		o.Compile = vm.Compile
	}
	if o.Watch == nil {
		o.Watch = watch.New(watch.Options{})
	}
}

// Proxy is a running proxy.
type Proxy struct {
	opts      Options
	log       *slog.Logger
	server    *server.Server
	loop      *sock.Loop // nil: there is none
	early     early
	registry  *pools.Registry
	loader    *loader
	user      userStats
	sharing   sharing
	topics    topics // of discovered pools
	dry       bool   // nothing is connected to
	stats     *counters
	routes    histograms // latency by route
	backends  histograms // latency by pool and backend
	sessions  sessionSet
	rooms     sync.Pool // of *room
	errs      limiter   // of logged script errors
	troubles  troubles
	sampled   limiter       // of logged requests that backends' option log asks for
	logs      limiter       // of what scripts log
	started   int64         // by now()
	offline   bool          // see Offline
	trace     tracer        // nil: requests are sent
	cronTimer backend.Timer // of Offline

	current  atomic.Pointer[generation]
	inFlight atomic.Int64
	held     atomic.Int64 // bytes of large answers that wait to be written to clients
	tried    atomic.Int64 // when a get was last sent whose answer may be dropped

	// How many the current generation's scripts want those to be at most; 0: they do not say. Options.MaxBuffered holds too.
	scriptBuffers atomic.Int64

	watching sync.Mutex    // one watched request at a time
	lateness time.Duration // how long it waits for answers that come after the client's
	lives    uint64        // how many there were

	reloading sync.Mutex // one load at a time
	retiring  sync.WaitGroup
	beside    sync.WaitGroup // what may reload by itself
	serving   chan error
	leaving   atomic.Bool // it serves as ever, but wants no new clients
	stopped   atomic.Bool
	stop      chan struct{} // closed when it is
}

// Check loads the files, both stages, without opening a connection or a listener. Errors read "file:line: message".
func Check(o Options) error {
	p, err := newProxy(o, true)
	if err != nil {
		return err
	}
	defer p.loader.close()
	defer p.registry.Close()
	g, err := p.loader.load(1)
	if err != nil {
		return err
	}
	p.discard(g)
	p.topics.behind.Wait()
	return nil
}

// Start loads the files, listens and serves.
func Start(o Options) (*Proxy, error) {
	p, err := newProxy(o, false)
	if err != nil {
		return nil, err
	}
	undo := func() {
		p.server.Close()
		if g := p.current.Load(); g != nil {
			p.retire(g)
		}
		p.retiring.Wait()
		p.topics.behind.Wait()
		p.loader.close()
		p.registry.Close()
		p.closeLoop()
	}
	for _, addr := range p.opts.Listen {
		if err := p.server.Listen(addr); err != nil {
			undo()
			return nil, err
		}
	}
	if err := p.firstLoad(); err != nil {
		undo()
		return nil, err
	}
	go func() { p.serving <- p.server.Serve() }()
	p.beside.Go(func() { p.serveCrons(p.stop) })
	p.startFollowing()
	p.watchReach()
	return p, nil
}

func newProxy(o Options, dry bool) (*Proxy, error) {
	if o.Local == nil {
		return nil, errors.New("cannot start a proxy without a local store")
	}
	o.setDefaults()
	p := &Proxy{opts: o, log: o.Log, stats: newCounters(), serving: make(chan error, 1), stop: make(chan struct{}), lateness: lateness}
	p.started = p.now()
	p.early.p = p
	p.dry = dry
	if !dry && o.Clock == nil {
		p.loop, _ = sock.NewLoop() // without one goroutines wait
	}
	p.registry = pools.NewRegistry(pools.RegistryOptions{
		Loop:         p.loop,
		Dry:          dry,
		NewLeaf:      o.NewLeaf,
		NewMemcached: o.NewMemcached,
		OnEvent:      p.backendEvent,
		OnRequest:    p.backendRequest,
		Room:         p.room,
		Log:          o.Log,
		Linger:       time.Second,
		AfterFunc:    func(d time.Duration, f func()) func() bool { return p.afterFunc(d, f).Stop },
	})
	p.server = server.New(server.Options{
		Handler:       p.guarded(),
		MaxConns:      o.MaxConns,
		MaxBuffered:   o.MaxBuffered,
		Held:          p.held.Load,
		MaxConnBuffer: o.MaxConnBuffer,
		IdleTimeout:   o.IdleTimeout,
		MaxBatch:      o.MaxBatch,
		Backlog:       o.Backlog,
		Async:         o.Async,
		AsyncAfter:    o.AsyncAfter,
		Loop:          p.loop,
		UnixMode:      o.UnixMode,
		Closed:        p.connClosed,
		Log:           o.Log,
	})
	var err error
	if p.loader, err = newLoader(p); err != nil {
		p.closeLoop()
		return nil, err
	}
	return p, nil
}

// Reload loads the files into a new generation and swaps it in. Requests under way end on the one that they began on. An
// error leaves the old generation serving and says why.
func (p *Proxy) Reload() (generation uint64, err error) {
	p.reloading.Lock()
	defer p.reloading.Unlock()
	old := p.current.Load()
	number := uint64(1)
	if old != nil {
		number = old.number + 1
	}
	if p.stopped.Load() {
		return number - 1, errors.New("cannot reload: the proxy is stopping")
	}
	if p.opts.Loading != nil {
		p.opts.Loading()
	}
	begin := p.now()
	if t, ok := p.opts.Topology.(interface{ Reread() }); ok && old != nil {
		t.Reread() // its files are a part of what is loaded
	}
	g, err := p.load(number)
	if err != nil {
		p.stats.reloadFails.Add(1)
		p.tellError(err)
		p.tellConfig(confFailed)
		p.tellLoaded(err)
		if old != nil { // at the start, whoever starts the proxy says it
			p.log.Error("cannot load configuration", "err", err, "generation", old.number)
		}
		return number - 1, err
	}
	if len(p.opts.Files) > 0 {
		p.warnListeners(g)
	}
	p.scriptBuffers.Store(g.limits.buffers)
	p.current.Store(g)
	p.stats.reloads.Add(1)
	p.tellLoaded(nil)
	if len(g.files) > 0 {
		p.tellConfig(confDone)
	}
	p.log.Info("configuration loaded", "generation", number, "pools", len(g.pools), "took", time.Duration(p.now()-begin).Round(time.Microsecond))
	if old != nil {
		p.retire(old)
	}
	return number, nil
}

// retire lets an old generation go when its last request has ended, or cuts it.
func (p *Proxy) retire(g *generation) {
	p.retiring.Add(1)
	var late atomic.Pointer[generation] // a stopped timer may be remembered for long, and what it refers to
	late.Store(g)
	cut := p.afterFunc(p.opts.Drain, func() {
		if g := late.Load(); g != nil {
			p.log.Warn("requests of an old generation are cut", "generation", g.number, "batches", g.refs.Load())
			g.cut.Store(true)
			p.sessions.wake()
		}
	})
	give := g.onGone
	g.onGone = func() {
		late.Store(nil)
		cut.Stop()
		p.topics.later(p, give) // beside: whose batch was the last need not wait for what is given back, which may wait for it
		p.retiring.Done()
	}
	g.release()
}

// discard gives back a generation that never served.
func (p *Proxy) discard(g *generation) { g.release() }

// acquire holds the current generation for a batch.
func (p *Proxy) acquire() *generation {
	for {
		if g := p.current.Load(); g.hold() {
			return g
		}
	}
}

// enter counts n requests in, and says how many of them may be routed.
func (p *Proxy) enter(n int) (room int) {
	over := p.inFlight.Add(int64(n)) - int64(p.opts.MaxInFlight)
	if over <= 0 {
		return n
	}
	room = max(0, n-int(over))
	p.stats.refused.Add(uint64(n - room))
	return room
}

func (p *Proxy) leave(n int) { p.inFlight.Add(int64(-n)) }

// Generation is the number of the one that serves; the first load is 1.
func (p *Proxy) Generation() uint64 { return p.current.Load().number }

// Served is how many requests have been answered so far.
func (p *Proxy) Served() uint64 { return p.stats.requests.Sum() }

// Addrs are the bound addresses in the order of Options.Listen, with the ports that the kernel chose.
func (p *Proxy) Addrs() []string {
	var out []string
	for _, a := range p.server.Addrs() {
		out = append(out, a.String())
	}
	return out
}

// Ready says why the proxy should be sent no traffic, or nil. With pools, every pool must have a backend that is up.
func (p *Proxy) Ready(pools bool) error {
	if p.leaving.Load() || p.stopped.Load() {
		return errors.New("the proxy is stopping")
	}
	if !pools {
		return nil
	}
	var errs []error
	for _, pool := range p.current.Load().pools {
		up := 0
		for _, m := range pool.Members() {
			if m.Backend.Status().Up {
				up++
			}
		}
		if up == 0 {
			errs = append(errs, fmt.Errorf("pool %q has no backend that is up", pool.Name()))
		}
	}
	return errors.Join(errs...)
}

// Leave makes Ready say no from now on, so that clients go elsewhere. All else goes on until Shutdown.
func (p *Proxy) Leave() { p.leaving.Store(true) }

// Shutdown stops accepting, finishes what is under way, closes idle connections, and closes the backends. When ctx ends first, the
// remaining connections are cut.
func (p *Proxy) Shutdown(ctx context.Context) error {
	if p.stopped.CompareAndSwap(false, true) {
		close(p.stop)
	}
	err := p.server.Shutdown(ctx)
	if serveErr := <-p.serving; err == nil {
		err = serveErr
	}
	p.beside.Wait() // before the lock, which it may wait for
	p.reloading.Lock()
	defer p.reloading.Unlock()
	p.retire(p.current.Load())
	p.retiring.Wait()
	p.topics.behind.Wait()
	p.loader.close()
	if closeErr := p.registry.Close(); err == nil {
		err = closeErr
	}
	p.closeLoop()
	return err
}

// closeLoop ends the loop, when what used it has been closed.
func (p *Proxy) closeLoop() {
	if p.loop != nil {
		p.loop.Close()
	}
}

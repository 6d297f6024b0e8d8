// The flags of the commands that load a configuration, and a proxy made of them.

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/admin"
	"github.com/tidepool-proxy/tidepool/engine/face"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/engine/watch"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/leaf/command"
	"github.com/tidepool-proxy/tidepool/leaf/store"
	"github.com/tidepool-proxy/tidepool/pools/backend/leafnats"
)

// Defaults that DESIGN fixes: what people type without looking.
const (
	defaultListen = "127.0.0.1:11211"
	defaultAdmin  = "127.0.0.1:9411"
	defaultMemory = 64 << 20 // bytes, of a leaf and of the local store
	defaultDrain  = 30 * time.Second
)

// scriptFlags are about how configuration files are run: check wants these, too.
type scriptFlags struct {
	luaUnsafe bool
	startArg  string
}

func (f *scriptFlags) add(fs *pflag.FlagSet) {
	fs.BoolVar(&f.luaUnsafe, "lua-unsafe", false, "give scripts all of Lua's library: os.execute, writing files ...")
	fs.StringVar(&f.startArg, "start-arg", "", "what scripts find in mcp.start_arg")
}

// proxyFlags are the flags of a command that runs a proxy.
type proxyFlags struct {
	scriptFlags
	admin  adminFlags
	log    logFlags
	leaves clientFlags
	face   faceFlags
	topo   topologyFlags
	etcd   etcdProxyFlags  // of tidepool proxy alone
	way    leafnats.Access // to leaves; made of leaves by check
	link   *etcdLink       // nil: there is no etcd. Who makes it closes it

	listen        []string
	workers       int
	localMemory   int64
	drain         time.Duration
	drainDelay    time.Duration
	watch         time.Duration
	insecure      bool
	allowFlush    bool
	maxConns      int
	maxInFlight   int
	maxItem       int64
	maxBuffered   int64
	maxConnBuffer int64
	idleTimeout   time.Duration

	// What no flag says, but memcached's options do.
	store       store.Options
	commands    command.Options
	watchBuffer int                   // bytes; 0: the default
	standIn     func(*engine.Options) // nil: the proxy is itself
}

func (f *proxyFlags) add(fs *pflag.FlagSet) {
	f.scriptFlags.add(fs)
	f.admin.add(fs, defaultAdmin)
	f.log.add(fs)
	f.face.add(fs)
	f.topo.add(fs)
	fs.StringArrayVar(&f.listen, "listen", []string{defaultListen}, "`address` for clients: host:port, unix:/path, either with tag_NAME_: before it; may be given again")
	fs.IntVar(&f.workers, "workers", 0, "Lua states (default: one per processor)")
	sizeVar(fs, &f.localMemory, "local-memory", defaultMemory, "memory of the proxy's own store, which serves commands without a route")
	fs.DurationVar(&f.drain, "drain", defaultDrain, "how long requests under way may take to end at a stop or after a reload")
	fs.DurationVar(&f.drainDelay, "drain-delay", 0, "how long a stop goes on serving with /readyz at 503 before anything is closed, so that clients find other proxies")
	fs.DurationVar(&f.watch, "watch", 0, "how often to look whether the configuration files have changed, and to load them again then (default: never)")
	fs.BoolVar(&f.insecure, "insecure", false, "allow addresses outside loopback, where anyone may connect")
	fs.BoolVar(&f.allowFlush, "allow-flush", false, "let clients' flush_all flush every backend, and POST /flush a pool")
	fs.IntVar(&f.maxConns, "max-conns", 0, "most client connections (default: no limit)")
	fs.IntVar(&f.maxInFlight, "max-in-flight", 0, "most requests under way in all (default 65536)")
	sizeVar(fs, &f.maxItem, "max-item", 1<<20, "largest value")
	sizeVar(fs, &f.maxBuffered, "max-buffered", 512<<20, "most bytes held for clients in all")
	sizeVar(fs, &f.maxConnBuffer, "max-conn-buffer", 0, "most bytes held for one client (default: as --max-item asks)")
	fs.DurationVar(&f.idleTimeout, "idle-timeout", 0, "close connections that have sent nothing for so long (default: never)")
}

// check refuses what the flag types let through. It runs before anything is opened.
func (f *proxyFlags) check(c *cobra.Command) (*slog.Logger, error) {
	bad := func(flag string, value any, want string) error {
		return usageError{c.CommandPath(), fmt.Sprintf("invalid argument %q for \"--%s\" flag: want %s", fmt.Sprint(value), flag, want)}
	}
	for _, n := range []struct {
		flag  string
		value int64
	}{
		{"workers", int64(f.workers)}, {"max-conns", int64(f.maxConns)}, {"max-in-flight", int64(f.maxInFlight)},
		{"drain", int64(f.drain)}, {"drain-delay", int64(f.drainDelay)}, {"watch", int64(f.watch)}, {"idle-timeout", int64(f.idleTimeout)},
	} {
		if n.value < 0 {
			return nil, bad(n.flag, c.Flag(n.flag).Value, "none below 0")
		}
	}
	if f.watch > 0 && f.watch < minWatch {
		return nil, bad("watch", f.watch, fmt.Sprintf("at least %v, or 0 for never", minWatch))
	}
	if f.maxItem < 1 || f.maxItem > maxItemLimit {
		return nil, bad("max-item", formatSize(f.maxItem), "1 to "+formatSize(maxItemLimit))
	}
	if f.maxItem > f.localMemory/4 {
		return nil, bad("max-item", formatSize(f.maxItem), fmt.Sprintf("at most a quarter of --local-memory, which is %s", formatSize(f.localMemory)))
	}
	for _, addr := range f.listen {
		parsed, err := server.ParseListen(addr)
		if err != nil {
			if why := errors.Unwrap(err); why != nil {
				err = why // without the address: it is quoted here
			}
			return nil, usageError{c.CommandPath(), fmt.Sprintf("invalid argument %q for \"--listen\" flag: %v", addr, err)}
		}
		for _, a := range parsed {
			if !a.Loopback() && !f.insecure {
				return nil, fmt.Errorf("cannot listen on %q: others reach it, and there is neither TLS nor a password; want --insecure", addr)
			}
		}
	}
	log, err := f.log.logger(c.ErrOrStderr())
	if err != nil {
		return nil, usageError{c.CommandPath(), err.Error()}
	}
	if p := f.leaves.problem(); p != "" {
		return nil, usageError{c.CommandPath(), p}
	}
	if f.way, err = f.leaves.way(log); err != nil {
		return nil, err
	}
	if p := f.topo.problem(); p != "" {
		return nil, usageError{c.CommandPath(), p}
	}
	if p := f.face.problem(c.Flags().Changed); p != "" {
		return nil, usageError{c.CommandPath(), p}
	}
	if err := f.face.read(log); err != nil {
		return nil, err
	}
	return log, nil
}

// minWatch keeps looking at files cheap.
const minWatch = 10 * time.Millisecond

// maxItemLimit is memcached's own.
const maxItemLimit = 1 << 30

// luaPath is what the environment says about where modules are, as lua5.4 reads it.
func luaPath() string {
	if path, ok := os.LookupEnv("LUA_PATH_5_4"); ok {
		return path
	}
	return os.Getenv("LUA_PATH")
}

// options gives what engine takes.
func (f *proxyFlags) options(files []string, local engine.LocalStore, log *slog.Logger) engine.Options {
	return engine.Options{
		Files:         files,
		Listen:        f.listen,
		Workers:       f.workers,
		MaxItem:       int(f.maxItem),
		MaxConns:      f.maxConns,
		MaxInFlight:   f.maxInFlight,
		MaxBuffered:   f.maxBuffered,
		MaxConnBuffer: int(f.maxConnBuffer),
		IdleTimeout:   f.idleTimeout,
		Follow:        f.watch,
		AllowFlush:    f.allowFlush,
		LuaUnsafe:     f.luaUnsafe,
		LuaPath:       luaPath(),
		Drain:         f.drain,
		Local:         local,
		NewStore:      f.newStore,
		NewLeaf:       leafFactory(f.way, log),
		StartArg:      f.startArg,
		Others:        f.face.others(),
		Loading:       allProcessors,
		Log:           log,
	}
}

// runningProxy is a proxy with its own store and its admin address.
type runningProxy struct {
	*engine.Proxy
	local    *leaf.Local
	topology topo.Source
	face     *face.Face    // nil: none
	admin    *admin.Server // nil: none
}

// inspected is what admin sees of a proxy.
type inspected struct{ *engine.Proxy }

func (i inspected) Config() any { return i.Proxy.Config() }

// start runs a proxy over files. more are metrics of what else runs in this process.
func (f *proxyFlags) start(title string, files []string, log *slog.Logger, more ...prometheus.Collector) (*runningProxy, error) {
	hub := watch.New(watch.Options{Buffer: f.watchBuffer})
	so, co := f.store, f.commands
	so.Memory, so.MaxItem = f.localMemory, int(f.maxItem)
	if f.workers == 0 {
		f.workers = runtime.GOMAXPROCS(0)
	}
	co.Threads, co.MaxConns = f.workers, f.maxConns // for stats to tell
	local, err := openLocal(so, co, hub)
	if err != nil {
		return nil, fmt.Errorf("cannot start the proxy: %w", err)
	}
	o := f.options(files, local, log)
	o.Watch = hub
	f.link.wire(&o)
	topology, err := f.topo.open(f.link.topology(), f.way, log)
	if err != nil {
		local.Close()
		return nil, fmt.Errorf("cannot start the proxy: %w", err)
	}
	o.Topology, o.UnreachableAfter = topology, f.topo.unreachableAfter()
	if f.standIn != nil {
		f.standIn(&o)
	}
	p, err := engine.Start(o)
	if err != nil {
		local.Close()
		return nil, fmt.Errorf("cannot start the proxy: %w", errors.Join(err, topology.Close()))
	}
	r := &runningProxy{Proxy: p, local: local, topology: topology}
	if r.face, err = f.startFace(p, log); err != nil {
		return nil, errors.Join(err, r.stop(cancelled()))
	}
	more = append(append(p.Collectors(), storeCollector(localName, local)), append(more, faceCollectors(r.face)...)...)
	r.admin, err = f.admin.start(title, inspected{p}, f.insecure, more, log)
	if err != nil {
		return nil, errors.Join(err, r.stop(cancelled()))
	}
	f.link.serves(adminAddr(r.admin))
	return r, nil
}

// reload is SIGHUP: what came of it is in the log.
func (r *runningProxy) reload() { _, _ = r.Proxy.Reload() }

// stop finishes what is under way until ctx ends. Admin goes on: it is stopped last, by stopAdmin.
func (r *runningProxy) stop(ctx context.Context) error {
	var err error
	if r.face != nil { // before the engine: what has come by it is answered
		err = r.face.Close(ctx)
	}
	err = errors.Join(err, r.Proxy.Shutdown(ctx), r.topology.Close())
	r.local.Close()
	return err
}

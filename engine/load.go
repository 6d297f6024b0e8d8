// Loading: configuration files into a generation.

package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/stat"
	"github.com/tidepool-proxy/tidepool/engine/vm"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
	"github.com/tidepool-proxy/tidepool/scripts"
)

// The globals that a configuration in memcached's form defines.
const (
	poolsStage  = "mcp_config_pools"
	routesStage = "mcp_config_routes"
)

// loader makes generations. It owns the configuration state, which lives as long as the process: scripts written for
// memcached's proxy count on its globals surviving a reload. Its user serialises calls.
type loader struct {
	p        *Proxy
	state    *vm.State
	api      *luaapi.API
	settings luaapi.Settings // as the last good load left them
	staged   luaapi.Settings // as the present load sees and sets them
	staging  *staging        // nil while nothing loads
	crons    *crontab
	prelude  *vm.Proto            // the declarative words
	library  map[string]*vm.Proto // the route library
	reads    reads
	files    []fileInfo // that the last load read
}

// chunk is a compiled configuration file.
type chunk struct {
	info  fileInfo
	proto *vm.Proto
}

// fileInfo tells what a generation was loaded from.
type fileInfo struct {
	Path   string    `json:"path"`
	SHA256 string    `json:"sha256"`
	Read   time.Time `json:"read"`
}

func newLoader(p *Proxy) (*loader, error) {
	l := &loader{p: p, settings: luaapi.DefaultSettings(), crons: newCrontab()}
	l.settings.IOThread = p.opts.Memcached == nil
	if p.opts.Memcached != nil {
		l.settings.Backend.Multiget = backend.MultigetNever
	}
	var err error
	if l.prelude, err = p.opts.Compile(scripts.Simple, scripts.SimpleName); err != nil {
		return nil, fmt.Errorf("cannot compile the declarative words: %w", err)
	}
	if l.library = p.opts.Library; l.library == nil {
		if l.library, err = Library(nil, p.opts.Compile); err != nil {
			return nil, err
		}
	}
	if l.state, err = l.newState(); err != nil {
		return nil, err
	}
	l.state.Lock()
	defer l.state.Unlock()
	l.api = luaapi.Open(l.state, luaapi.Options{
		Stage:    luaapi.StagePools,
		Config:   l,
		Logger:   p,
		Counters: l,
		StartArg: p.opts.StartArg,
		Settings: &l.staged,
		Now:      p.now,
		Wall:     p.wall,
	})
	return l, nil
}

// newState makes a Lua state whose require finds modules along packagePath and in the route library.
func (l *loader) newState() (*vm.State, error) {
	return vm.New(vm.Options{
		Unsafe:  l.p.opts.LuaUnsafe,
		Steps:   l.p.opts.LuaSteps,
		Print:   l.p.print,
		Path:    l.requirePath(),
		Modules: l.library,
		Now:     l.p.wall,
		Seed:    l.p.opts.Seed,
		Read:    l.scriptFile,
		Compile: l.p.opts.Compile,
		Covered: l.p.opts.Covered,
	})
}

func (l *loader) close() {
	l.state.Lock()
	l.state.Close()
	l.state.Unlock()
}

// load makes a generation of the files. Nothing of it shows before the caller swaps it in: setters, user counters and pools are
// staged and given up if the load fails. Plain Lua globals of the configuration state are not rolled back.
func (l *loader) load(number uint64) (g *generation, err error) {
	l.reads.begin()
	defer l.reads.end()
	chunks, err := l.read()
	if err != nil {
		return nil, err
	}
	l.state.Lock()
	defer l.state.Unlock()
	l.state.Host.Forget()
	l.staged = l.settings
	l.staging = &staging{p: l.p, stats: map[int]string{}, names: map[string]int{}}
	defer func() {
		if err != nil {
			l.staging.giveBack()
			l.p.user.giveUp()
			if g != nil {
				g.closeWorkers()
				g.shares.release()
			}
		}
		l.staging = nil
	}()
	conf := vm.Nil
	if len(chunks) > 0 {
		words, err := l.run(l.state, chunks)
		if err != nil {
			return nil, err
		}
		if conf, err = l.state.Call(words.pools, vm.Nil); err != nil {
			return nil, inFile(chunks, located(err))
		}
		l.p.tellConfig(confStart)
	}
	g = &generation{number: number, pools: l.staging.pools, found: l.staging.found, shares: shares{of: &l.p.sharing, number: number}}
	for _, c := range chunks {
		g.files = append(g.files, c.info)
	}
	for range l.p.opts.Workers {
		w, err := l.worker(chunks, conf, g, uint32(len(g.workers)))
		if err != nil {
			return g, err
		}
		g.workers = append(g.workers, w)
	}
	l.settings = l.staged
	g.limits = newLimits(&l.settings, l.p.opts.Workers)
	l.crons.replace(l.staging.crons)
	l.p.user.name(l.staging.stats, l.settings.StatLimit)
	stage := l.staging
	g.onGone = func() {
		g.closeWorkers()
		g.shares.release()
		stage.giveBack()
	}
	g.refs.Store(1)
	return g, nil
}

// read compiles every file.
func (l *loader) read() ([]chunk, error) {
	var chunks []chunk
	l.files = nil
	for _, path := range l.p.opts.Files {
		src, err := l.readFile(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read configuration: %w", err)
		}
		sum := sha256.Sum256(src)
		info := fileInfo{path, hex.EncodeToString(sum[:]), l.p.wall()}
		l.files = append(l.files, info)
		proto, err := l.p.opts.Compile(src, path)
		if err != nil {
			return nil, err
		}
		chunks = append(chunks, chunk{info, proto})
	}
	return chunks, nil
}

// stages are the two functions that a configuration consists of.
type stages struct{ pools, routes vm.Value }

// run runs the prelude and the files in st and finds the two stages: those that the files define or, if they define
// neither, the declarative ones.
func (l *loader) run(st *vm.State, chunks []chunk) (stages, error) {
	st.SetGlobal(poolsStage, vm.Nil)
	st.SetGlobal(routesStage, vm.Nil)
	words := vm.Nil
	if !l.p.opts.Plain {
		var err error
		if words, err = st.CallProto(l.prelude); err != nil {
			return stages{}, fmt.Errorf("cannot load the declarative words: %w", err)
		}
	}
	for _, c := range chunks {
		if err := st.RunProto(c.proto); err != nil {
			return stages{}, located(meant(st, words, err))
		}
	}
	s := stages{st.Global(poolsStage), st.Global(routesStage)}
	name := chunks[len(chunks)-1].info.Path
	switch {
	case s.pools == vm.Nil && s.routes == vm.Nil:
		return stages{vm.Field(words, "pools"), vm.Field(words, "routes")}, nil
	case s.pools == vm.Nil:
		return s, fmt.Errorf("%s: %s is defined, but not %s", name, routesStage, poolsStage)
	case s.routes == vm.Nil:
		return s, fmt.Errorf("%s: %s is defined, but not %s", name, poolsStage, routesStage)
	}
	if used := vm.Field(words, "used"); used != vm.Nil {
		if where, err := st.Call(used); err == nil && where != vm.Nil {
			return s, fmt.Errorf("%s: a file that defines %s cannot use the declarative words (pool, routes and so on)", where, poolsStage)
		}
	}
	return s, nil
}

// unknownRoute finds the word of a handler that there is not in what Lua says of it.
var unknownRoute = regexp.MustCompile(`attempt to call a nil value \(global '(route_\w+)'\)`)

// meant says it in words of the declarative format.
func meant(st *vm.State, words vm.Value, err error) error {
	var script *vm.ScriptError
	if !errors.As(err, &script) {
		return err
	}
	at := unknownRoute.FindStringSubmatchIndex(script.Message)
	if at == nil {
		return err
	}
	text, lost := st.Call(vm.Field(words, "meant"), vm.String(script.Message[at[2]:at[3]]))
	if lost != nil {
		return err
	}
	c := *script
	c.Message = script.Message[:at[0]] + text.String() + script.Message[at[1]:]
	return &c
}

// worker makes one worker: its state, the files run in it, and its routes attached. stripe is the copy of the counters that it adds to.
func (l *loader) worker(chunks []chunk, conf vm.Value, g *generation, stripe uint32) (*worker, error) {
	st, err := l.newState()
	if err != nil {
		return nil, err
	}
	w := &worker{p: l.p, state: st, funcs: &g.funcs, shares: &g.shares, own: map[string]*hooks{}}
	st.Lock()
	defer st.Unlock()
	fail := func(err error) (*worker, error) {
		st.Close()
		return nil, located(err)
	}
	w.api = luaapi.Open(st, luaapi.Options{
		Stage:    luaapi.StageRoutes,
		Worker:   w,
		Logger:   l.p,
		Slots:    l.p.opts.Slots,
		Counters: &l.p.user,
		Stripe:   stripe,
		StartArg: l.p.opts.StartArg,
		Now:      l.p.now,
		Wall:     l.p.wall,
	})
	if len(chunks) == 0 {
		w.merge()
		return w, nil
	}
	words, err := l.run(st, chunks)
	if err != nil {
		return fail(err)
	}
	mine, err := w.api.Copy(conf)
	if err != nil {
		return fail(fmt.Errorf("%s: cannot copy what %s returned: %w", vm.Defined(words.pools), poolsStage, err))
	}
	if _, err := st.Call(words.routes, mine); err != nil {
		return fail(err)
	}
	w.merge()
	return w, nil
}

func (g *generation) closeWorkers() {
	for _, w := range g.workers {
		w.state.Lock()
		w.state.Close()
		w.state.Unlock()
	}
}

// staging is what a load has made so far.
type staging struct {
	p     *Proxy
	pools []*pools.Pool
	held  []pools.Member
	found []*discovery // those of pools that are discovered
	stats map[int]string
	names map[string]int // pools by name, to tell namesakes apart
	crons []*cron
}

func (s *staging) giveBack() {
	for _, m := range s.held {
		s.p.registry.Release(m.Backend)
	}
	s.p.topics.release(s.p, s.found)
	s.held, s.found = nil, nil
}

// errNotLoading: a cron does what is a part of a load.
var errNotLoading = errors.New("this can be called while the configuration loads, not by a cron: see mcp.schedule_config_reload")

// AddStat implements luaapi.Config.
func (l *loader) AddStat(i int, name string) error {
	if l.staging == nil {
		return errNotLoading
	}
	l.staging.stats[i] = name
	return nil
}

// Counter implements luaapi.Counters for the configuration state, where a cron counts as loading code, but nothing of it is given up.
func (l *loader) Counter(name string, _ bool) (*stat.Counter, error) {
	return l.p.user.Counter(name, l.staging != nil)
}

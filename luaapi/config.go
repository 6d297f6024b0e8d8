// The configuration stage: backends, pools, and the defaults that they are made with.

package luaapi

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// Settings are the defaults that scripts set with mcp.backend_connect_timeout and its like, and the limits of the proxy. They are
// staged with a load and persist until set again.
type Settings struct {
	Backend        BackendOptions
	IOThread       bool  // pools' iothread: workers share connections to memcached. Memcached's proxy's is false: see docs/lua.md
	TLS            bool  // mcp.init_tls was called
	ActiveReqLimit int   // requests under way in the whole proxy; 0 = no limit of the script's
	BufferLimit    int64 // bytes of values and answers held; 0 = none
	StatLimit      int   // highest index of a user counter
}

// DefaultSettings are memcached's proxy's, but for IOThread and Backend.Multiget.
func DefaultSettings() Settings {
	return Settings{
		Backend: BackendOptions{
			ConnectTimeout: 5 * time.Second,
			ReadTimeout:    3 * time.Second,
			RetryWait:      3 * time.Second,
			FailureLimit:   3,
			FlapRamp:       1.5,
			FlapMax:        time.Hour,
			Connections:    1,
		},
		IOThread:  true,
		StatLimit: 1024,
	}
}

// PoolSpec is what mcp.pool describes.
type PoolSpec struct {
	PoolOptions
	Backends []BackendSpec
}

// PoolOptions are the options of mcp.pool, and of mcp.discover. They are comparable.
type PoolOptions struct {
	Name       string // "" = the engine gives it one
	Dist       string // a name that package pools knows; "": jump
	Hash       string // a name that package hash knows; "": the distribution's own
	Salt       string
	HashTag    string
	OMode      string
	OBuckets   int
	Seed       string
	Filter     string
	FilterConf string
	Prefix     string // beprefix
	IOThread   bool   // connections for all workers together; else each has its own
}

var configFuncs = []Func{
	{"backend", StagePools, "label, host, port | {label=, host=, port=, ...} | address", "backend",
		"Describes a backend. An address is nats://host:port[/leaf], host:port, memcached://host:port or unix:/path.", newBackend},
	{"pool", StagePools, "backends, opts?", "pool", "Makes a pool. opts: name, dist, hash, seed, filter, filter_conf, omode, obuckets, beprefix, iothread, hash_tag, salt.", newPool},
	{"discover", StagePools, "name, opts?", "pool | {zone = pool}",
		"Gives the pool of that name in the topology, whose members come and go while it serves. opts: those of mcp.pool and of mcp.backend, from, zone, zones.", newDiscovered},
	{"backend_connect_timeout", StagePools, "seconds", "", "Default connect timeout of backends made afterwards (5).",
		timed("backend_connect_timeout", someTime, func(o *BackendOptions) *time.Duration { return &o.ConnectTimeout })},
	{"backend_read_timeout", StagePools, "seconds", "", "Default request timeout of backends made afterwards (3).",
		timed("backend_read_timeout", someTime, func(o *BackendOptions) *time.Duration { return &o.ReadTimeout })},
	{"backend_retry_waittime", StagePools, "seconds", "", "How long a bad backend rests before it is tried again (3).",
		timed("backend_retry_waittime", restTime, func(o *BackendOptions) *time.Duration { return &o.RetryWait })},
	{"backend_retry_timeout", StagePools, "seconds", "", "Old name of backend_retry_waittime.",
		timed("backend_retry_timeout", restTime, func(o *BackendOptions) *time.Duration { return &o.RetryWait })},
	{"backend_failure_limit", StagePools, "n", "", "Consecutive failures before a backend is marked bad (3).",
		count("backend_failure_limit", func(s *Settings) *int { return &s.Backend.FailureLimit })},
	{"backend_depth_limit", StagePools, "n", "", "Requests queued at a backend before more are refused (0 = no limit).",
		count("backend_depth_limit", func(s *Settings) *int { return &s.Backend.DepthLimit })},
	{"backend_flap_time", StagePools, "seconds", "", "A connection that lives shorter counts as flapping (0 = off).",
		timed("backend_flap_time", anyTime, func(o *BackendOptions) *time.Duration { return &o.FlapTime })},
	{"backend_flap_backoff_ramp", StagePools, "factor", "", "How the rest of a flapping backend grows (1.5, at least 1.1).", setFlapRamp},
	{"backend_flap_backoff_max", StagePools, "seconds", "", "Longest rest of a flapping backend (3600).",
		timed("backend_flap_backoff_max", someTime, func(o *BackendOptions) *time.Duration { return &o.FlapMax })},
	{"backend_use_iothread", StagePools, "on", "", "What iothread is for pools made afterwards that do not say it: true, workers share connections to memcached; false, each worker has its own (true).",
		onOff(func(s *Settings) *bool { return &s.IOThread })},
	{"backend_use_multiget", StagePools, "on", "", "Whether gets that queue up for backends made afterwards travel as one get of several keys (to those that greet as memcached 1.4 or newer, once they are in use).",
		func(a *API, L *lua.LState) int {
			a.o.Settings.Backend.Multiget = multiget(L.CheckBool(1))
			return 0
		}},
	{"backend_use_tls", StagePools, "on", "", "Whether backends made afterwards are spoken to over TLS (false).",
		onOff(func(s *Settings) *bool { return &s.Backend.TLS.On })},
	{"init_tls", StagePools, "", "", "To be called before the first pool of a backend with TLS.", func(a *API, _ *lua.LState) int {
		a.o.Settings.TLS = true
		return 0
	}},
	{"tcp_keepalive", StagePools, "on", "", "TCP keepalive on connections to memcached.",
		onOff(func(s *Settings) *bool { return &s.Backend.KeepAlive })},
	{"active_req_limit", StagePools, "n", "", "Requests under way before more are refused (0 = off).",
		count("active_req_limit", func(s *Settings) *int { return &s.ActiveReqLimit })},
	{"buffer_memory_limit", StagePools, "kilobytes", "", "Kilobytes of values and answers held before more are refused (0 = off).", bufferLimit},
	{"stat_limit", StagePools, "n", "", "Highest index of a user counter (1024; 0 restores it).", statLimit},
	{"luagc_ratio", StagePools, "factor", "", "Does nothing: Go collects garbage by itself.", gcRatio},
	{"add_stat", StagePools, "index, name", "", "Names the user counter index; \"\" hides it.", addStat},
}

// timed is a setter of a time; read says which times it takes.
func timed(name string, read timeRule, field func(*BackendOptions) *time.Duration) func(*API, *lua.LState) int {
	return func(a *API, L *lua.LState) int {
		d, err := read("mcp."+name, numberArg(L, 1))
		if err != nil {
			return raise(L, err.Error())
		}
		*field(&a.o.Settings.Backend) = d
		return 0
	}
}

func count(name string, field func(*Settings) *int) func(*API, *lua.LState) int {
	return func(a *API, L *lua.LState) int {
		n := wholeArg(L, name, 1)
		if n < 0 {
			return raise(L, name+" must be >= 0")
		}
		*field(a.o.Settings) = int(n)
		return 0
	}
}

func setFlapRamp(a *API, L *lua.LState) int {
	ramp, err := flapRamp("mcp.backend_flap_backoff_ramp", numberArg(L, 1))
	if err != nil {
		return raise(L, err.Error())
	}
	a.o.Settings.Backend.FlapRamp = ramp
	return 0
}

func gcRatio(_ *API, L *lua.LState) int {
	if _, err := finite("mcp.luagc_ratio", "a factor", numberArg(L, 1)); err != nil {
		return raise(L, err.Error())
	}
	return 0
}

func onOff(field func(*Settings) *bool) func(*API, *lua.LState) int {
	return func(a *API, L *lua.LState) int {
		*field(a.o.Settings) = L.CheckBool(1)
		return 0
	}
}

func bufferLimit(a *API, L *lua.LState) int {
	n := wholeArg(L, "buffer_memory_limit", 1)
	switch {
	case n < 0:
		return raise(L, "buffer_memory_limit must be >= 0")
	case n > math.MaxInt64/1024:
		return raise(L, fmt.Sprintf("buffer_memory_limit must be %d or less", int64(math.MaxInt64/1024)))
	}
	a.o.Settings.BufferLimit = n * 1024
	return 0
}

// maxStatLimit bounds the memory of user counters: 8 MiB.
const maxStatLimit = 1 << 20

func statLimit(a *API, L *lua.LState) int {
	n := wholeArg(L, "stat_limit", 1)
	switch {
	case n < 0:
		return raise(L, "stat_limit must be >= 0")
	case n > maxStatLimit:
		return raise(L, fmt.Sprintf("stat_limit must be %d or less", maxStatLimit))
	case n == 0:
		n = 1024
	}
	a.o.Settings.StatLimit = int(n)
	return 0
}

// checkStatName is what is wrong with the name of a counter; the texts are memcached's.
func checkStatName(name string) error {
	switch {
	case len(name) > 122:
		return errors.New("stat name too long: " + name)
	case strings.ContainsAny(name, " \n"):
		return errors.New("stat cannot contain spaces or newlines")
	}
	return nil
}

func addStat(a *API, L *lua.LState) int {
	i, name := wholeArg(L, "add_stat", 1), L.CheckString(2)
	switch {
	case i < 1:
		return raise(L, "stat index must be 1 or higher")
	case i > int64(a.o.Settings.StatLimit):
		return raise(L, fmt.Sprintf("stat index must be %d or less", a.o.Settings.StatLimit))
	}
	if err := checkStatName(name); err != nil {
		return raise(L, err.Error())
	}
	if err := a.o.Config.AddStat(int(i), name); err != nil {
		return raise(L, err.Error())
	}
	return 0
}

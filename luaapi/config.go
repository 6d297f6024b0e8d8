// The configuration stage: backends, pools, and the defaults that they are made with.

package luaapi

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// Settings are the defaults that scripts set with mcp.backend_connect_timeout and its like, and the limits of the proxy. They are
// staged with a load and persist until set again.
type Settings struct {
	Backend        BackendOptions
	ActiveReqLimit int   // requests under way in the whole proxy; 0 = no limit of the script's
	BufferLimit    int64 // bytes of values and answers held; 0 = none
	StatLimit      int   // highest index of a user counter
}

// BackendOptions are how a backend is connected to. Times are durations, limits plain counts.
type BackendOptions struct {
	ConnectTimeout time.Duration
	ReadTimeout    time.Duration // of a request; restarted by received data on memcached connections
	RetryWait      time.Duration // how long a backend stays marked bad before it is tried again
	FailureLimit   int           // consecutive failures before it is marked bad
	DepthLimit     int           // requests queued; 0 = no limit
	FlapTime       time.Duration // 0 = off
	FlapRamp       float64
	FlapMax        time.Duration
	Connections    int // sockets
	KeepAlive      bool
	Down           bool // never connected to
}

// DefaultSettings are memcached's proxy's.
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
		StatLimit: 1024,
	}
}

// BackendSpec is what mcp.backend describes. Nothing is connected until a pool uses it.
type BackendSpec struct {
	Label   string
	Addr    string // nats://host:port[/name], host:port, memcached://host:port or unix:/path
	Options BackendOptions

	Weight   float64 // 0: none was given
	Drained  bool    // weight 0 was
	HashName string  // what distributions by name hash instead of host:port
}

// PoolSpec is what mcp.pool describes.
type PoolSpec struct {
	Name       string // "" = the engine gives it one
	Backends   []BackendSpec
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
}

var configFuncs = []Func{
	{"backend", StagePools, "label, host, port | {label=, host=, port=, ...} | address", "backend",
		"Describes a backend. An address is nats://host:port[/leaf], host:port, memcached://host:port or unix:/path.", newBackend},
	{"pool", StagePools, "backends, opts?", "pool", "Makes a pool. opts: name, dist, hash, seed, filter, filter_conf, omode, obuckets, beprefix, hash_tag, salt.", newPool},
	{"backend_connect_timeout", StagePools, "seconds", "", "Default connect timeout of backends made afterwards (5).",
		seconds(func(o *BackendOptions) *time.Duration { return &o.ConnectTimeout })},
	{"backend_read_timeout", StagePools, "seconds", "", "Default request timeout of backends made afterwards (3).",
		seconds(func(o *BackendOptions) *time.Duration { return &o.ReadTimeout })},
	{"backend_retry_waittime", StagePools, "seconds", "", "How long a bad backend rests before it is tried again (3).", wholeSeconds},
	{"backend_retry_timeout", StagePools, "seconds", "", "Old name of backend_retry_waittime.", wholeSeconds},
	{"backend_failure_limit", StagePools, "n", "", "Consecutive failures before a backend is marked bad (3).",
		count("backend_failure_limit", func(s *Settings) *int { return &s.Backend.FailureLimit })},
	{"backend_depth_limit", StagePools, "n", "", "Requests queued at a backend before more are refused (0 = no limit).",
		count("backend_depth_limit", func(s *Settings) *int { return &s.Backend.DepthLimit })},
	{"backend_flap_time", StagePools, "seconds", "", "A connection that lives shorter counts as flapping (0 = off).",
		seconds(func(o *BackendOptions) *time.Duration { return &o.FlapTime })},
	{"backend_flap_backoff_ramp", StagePools, "factor", "", "How the rest of a flapping backend grows (1.5, at least 1.1).", flapRamp},
	{"backend_flap_backoff_max", StagePools, "seconds", "", "Longest rest of a flapping backend (3600).",
		seconds(func(o *BackendOptions) *time.Duration { return &o.FlapMax })},
	{"tcp_keepalive", StagePools, "on", "", "TCP keepalive on connections to memcached.", tcpKeepalive},
	{"active_req_limit", StagePools, "n", "", "Requests under way before more are refused (0 = off).",
		count("active_req_limit", func(s *Settings) *int { return &s.ActiveReqLimit })},
	{"buffer_memory_limit", StagePools, "kilobytes", "", "Kilobytes of values and answers held before more are refused (0 = off).", bufferLimit},
	{"stat_limit", StagePools, "n", "", "Highest index of a user counter (1024; 0 restores it).", statLimit},
	{"add_stat", StagePools, "index, name", "", "Names the user counter index; \"\" hides it.", addStat},
}

func seconds(field func(*BackendOptions) *time.Duration) func(*API, *lua.LState) int {
	return func(a *API, L *lua.LState) int {
		*field(&a.o.Settings.Backend) = duration(float64(L.CheckNumber(1)))
		return 0
	}
}

// duration converts seconds; what is no time at all counts as none.
func duration(s float64) time.Duration {
	if !(s > 0) {
		return 0
	}
	return time.Duration(min(s, 1e9) * float64(time.Second))
}

// roundSeconds is duration rounded to whole seconds, at least one, as memcached's proxy does for retry times.
func roundSeconds(s float64) time.Duration {
	return max(time.Second, duration(math.Round(s)))
}

func wholeSeconds(a *API, L *lua.LState) int {
	a.o.Settings.Backend.RetryWait = roundSeconds(float64(L.CheckNumber(1)))
	return 0
}

func count(name string, field func(*Settings) *int) func(*API, *lua.LState) int {
	return func(a *API, L *lua.LState) int {
		n := L.CheckInt(1)
		if n < 0 {
			return raise(L, name+" must be >= 0")
		}
		*field(a.o.Settings) = n
		return 0
	}
}

func flapRamp(a *API, L *lua.LState) int {
	a.o.Settings.Backend.FlapRamp = max(1.1, float64(L.CheckNumber(1)))
	return 0
}

func tcpKeepalive(a *API, L *lua.LState) int {
	a.o.Settings.Backend.KeepAlive = L.CheckBool(1)
	return 0
}

func bufferLimit(a *API, L *lua.LState) int {
	n := L.CheckInt64(1)
	if n < 0 {
		return raise(L, "buffer_memory_limit must be >= 0")
	}
	a.o.Settings.BufferLimit = n * 1024
	return 0
}

// maxStatLimit bounds the memory of user counters: 8 MiB.
const maxStatLimit = 1 << 20

func statLimit(a *API, L *lua.LState) int {
	n := L.CheckInt(1)
	if n <= 0 {
		n = 1024
	}
	if n > maxStatLimit {
		return raise(L, fmt.Sprintf("stat_limit must be %d or less", maxStatLimit))
	}
	a.o.Settings.StatLimit = n
	return 0
}

func addStat(a *API, L *lua.LState) int {
	i, name := L.CheckInt(1), L.CheckString(2)
	switch {
	case i < 1:
		return raise(L, "stat index must be 1 or higher")
	case i > a.o.Settings.StatLimit:
		return raise(L, fmt.Sprintf("stat index must be %d or less", a.o.Settings.StatLimit))
	case len(name) > 122:
		return raise(L, "stat name too long: "+name)
	case strings.ContainsAny(name, " \n"):
		return raise(L, "stat cannot contain spaces or newlines")
	}
	if err := a.o.Config.AddStat(i, name); err != nil {
		return raise(L, err.Error())
	}
	return 0
}

// newBackend is mcp.backend in its three forms.
func newBackend(a *API, L *lua.LState) int {
	spec := BackendSpec{Options: a.o.Settings.Backend}
	var err error
	switch first := L.Get(1).(type) {
	case *lua.LTable:
		err = backendTable(first, &spec)
	default:
		if L.GetTop() == 1 {
			spec.Addr = L.CheckString(1)
			spec.Label = spec.Addr
			break
		}
		err = backendNamed(L.CheckString(1), L.CheckString(2), L.CheckString(3), &spec)
	}
	if err != nil {
		return raise(L, err.Error())
	}
	ud := L.NewUserData()
	ud.Value, ud.Metatable = spec, a.backendMT
	L.Push(ud)
	return 1
}

// backendNamed fills in label, host and port. A host that is an address of its own kind (nats://, unix:) keeps it.
func backendNamed(label, host, port string, s *BackendSpec) error {
	switch {
	case len(label) > 511:
		return fmt.Errorf("backend label too long")
	case len(host) > 254:
		return fmt.Errorf("backend name too long")
	case len(port) > 5:
		return fmt.Errorf("backend port too long")
	}
	s.Label = label
	if strings.HasPrefix(host, "unix:") {
		s.Addr = host
		return nil
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") && !strings.Contains(host, "//") {
		host = "[" + host + "]"
	}
	s.Addr = host + ":" + port
	return nil
}

// backendTable reads mcp.backend{...}.
func backendTable(t *lua.LTable, s *BackendSpec) error {
	text := func(name string) (string, bool) {
		v := t.RawGetString(name)
		return v.String(), v.Type() == lua.LTString || v.Type() == lua.LTNumber
	}
	if addr, ok := text("address"); ok {
		s.Addr = addr
		s.Label = addr
		if label, ok := text("label"); ok {
			s.Label = label
		}
	} else {
		var parts [3]string
		for i, name := range []string{"label", "host", "port"} {
			v, ok := text(name)
			if !ok {
				return fmt.Errorf("backend must have a %s argument", name)
			}
			parts[i] = v
		}
		if err := backendNamed(parts[0], parts[1], parts[2], s); err != nil {
			return err
		}
	}
	if err := backendPlacement(t, s); err != nil {
		return err
	}
	return backendOptions(t, &s.Options)
}

// backendOptions reads the options of one backend over the defaults in o.
func backendOptions(t *lua.LTable, o *BackendOptions) error {
	var err error
	t.ForEach(func(k, v lua.LValue) {
		name, ok := k.(lua.LString)
		if !ok || err != nil {
			return
		}
		n, isNum := v.(lua.LNumber)
		if s, ok := v.(lua.LString); ok {
			f, e := strconv.ParseFloat(string(s), 64)
			n, isNum = lua.LNumber(f), e == nil
		}
		switch name {
		case "label", "host", "port", "address", "weight", "hash_name":
			return
		case "tcpkeepalive":
			o.KeepAlive = lua.LVAsBool(v)
			return
		case "down":
			o.Down = lua.LVAsBool(v)
			return
		}
		if set, known := numericOptions[string(name)]; !known {
			err = fmt.Errorf("mcp.backend: unknown option %q", string(name))
		} else if !isNum {
			err = fmt.Errorf("mcp.backend: %s: want a number, got %s", string(name), v.Type())
		} else {
			err = set(o, float64(n))
		}
	})
	return err
}

var numericOptions = map[string]func(*BackendOptions, float64) error{
	"connecttimeout":  func(o *BackendOptions, n float64) error { o.ConnectTimeout = duration(n); return nil },
	"readtimeout":     func(o *BackendOptions, n float64) error { o.ReadTimeout = duration(n); return nil },
	"retrywaittime":   func(o *BackendOptions, n float64) error { o.RetryWait = roundSeconds(n); return nil },
	"retrytimeout":    func(o *BackendOptions, n float64) error { o.RetryWait = roundSeconds(n); return nil },
	"flaptime":        func(o *BackendOptions, n float64) error { o.FlapTime = duration(n); return nil },
	"flapbackofframp": func(o *BackendOptions, n float64) error { o.FlapRamp = max(1.1, n); return nil },
	"flapbackoffmax":  func(o *BackendOptions, n float64) error { o.FlapMax = duration(n); return nil },
	"failurelimit":    natural("failurelimit", func(o *BackendOptions) *int { return &o.FailureLimit }),
	"depthlimit":      natural("depthlimit", func(o *BackendOptions) *int { return &o.DepthLimit }),
	"connections":     connections,
}

func natural(name string, field func(*BackendOptions) *int) func(*BackendOptions, float64) error {
	return func(o *BackendOptions, n float64) error {
		if n < 0 {
			return fmt.Errorf("%s must be >= 0", name)
		}
		*field(o) = int(n)
		return nil
	}
}

func connections(o *BackendOptions, n float64) error {
	if n < 1 {
		return fmt.Errorf("backend connections argument must be >= 0")
	}
	if n > 8 {
		return fmt.Errorf("backend connections argument must be <= 8")
	}
	o.Connections = int(n)
	return nil
}

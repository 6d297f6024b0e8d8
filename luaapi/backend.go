// mcp.backend: a backend as scripts describe it.

package luaapi

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

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
	Multiget       backend.Multiget // whether gets that queue up travel as one
	FlushOnReturn  bool             // emptied when it comes back after it has missed a write
	Down           bool             // never connected to
	TLS            backend.TLS
	Log            backend.LogRule // which requests are reported
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

// newBackend is mcp.backend in its three forms.
func newBackend(a *API, L *lua.LState) int {
	spec := BackendSpec{Options: a.o.Settings.Backend}
	var err error
	switch first := L.Get(1).(type) {
	case *lua.LTable:
		err = a.backendTable(first, &spec)
	default:
		if L.GetTop() == 1 {
			spec.Addr = L.CheckString(1)
			spec.Label = spec.Addr
			break
		}
		label, host := L.CheckString(1), L.CheckString(2)
		L.CheckString(3)
		var port string
		if port, err = portText(L.Get(3)); err == nil {
			err = backendNamed(label, host, port, &spec)
		}
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

// portText is a port that is given as a text or a number. What a text may be is seen where the address is read.
func portText(v lua.LValue) (string, error) {
	n, isNumber := v.(lua.LNumber)
	if _, ok := wholeNumber(float64(n)); isNumber && !ok {
		return "", fmt.Errorf("mcp.backend: port: want a whole number from 1 to 65535, got %v", float64(n))
	}
	return v.String(), nil
}

// backendTable reads mcp.backend{...}.
func (a *API) backendTable(t *lua.LTable, s *BackendSpec) error {
	text := func(name string) (string, bool, error) {
		v := t.RawGetString(name)
		switch v.Type() {
		case lua.LTNil:
			return "", false, nil
		case lua.LTString, lua.LTNumber:
			if name == "port" {
				port, err := portText(v)
				return port, true, err
			}
			return v.String(), true, nil
		}
		return "", false, fmt.Errorf("mcp.backend: %s: want a string, got %s", name, shown(v))
	}
	var parts [4]string
	var given [4]bool
	for i, name := range []string{"label", "host", "port", "address"} {
		var err error
		if parts[i], given[i], err = text(name); err != nil {
			return err
		}
	}
	switch {
	case given[3] && (given[1] || given[2]):
		return errors.New("mcp.backend: want an address, or host and port, not both")
	case given[3]:
		s.Addr, s.Label = parts[3], parts[3]
		if given[0] {
			s.Label = parts[0]
		}
	default:
		for i, name := range []string{"label", "host", "port"} {
			if !given[i] {
				return fmt.Errorf("backend must have a %s argument", name)
			}
		}
		if err := backendNamed(parts[0], parts[1], parts[2], s); err != nil {
			return err
		}
	}
	if err := backendPlacement(t, s); err != nil {
		return err
	}
	return a.backendOptions(t, &s.Options)
}

// backendOptions reads the options of one backend over the defaults in o. What it does not know is ignored, as in memcached's proxy,
// whose configurations carry all sorts of things; but not silently.
func (a *API) backendOptions(t *lua.LTable, o *BackendOptions) error {
	var err error
	t.ForEach(func(k, v lua.LValue) {
		name, ok := k.(lua.LString)
		if !ok || err != nil {
			return
		}
		option := string(name)
		if set := numericOptions[option]; set != nil {
			n, ok := vm.Number(v)
			if !ok {
				err = fmt.Errorf("mcp.backend: %s: want a number, got %s", option, shown(v))
			} else {
				err = set(o, n)
			}
		} else if field := switches[option]; field != nil {
			*field(o), err = onOrOff("mcp.backend: "+option, v)
		} else if field := texts[option]; field != nil {
			s, ok := v.(lua.LString)
			if *field(o) = string(s); !ok || s == "" {
				err = fmt.Errorf("mcp.backend: %s: want a string that is not empty, got %s", option, v.Type())
			}
		} else if option == "multiget" {
			var on bool
			on, err = onOrOff("mcp.backend: "+option, v)
			o.Multiget = multiget(on)
		} else if option == "log" {
			err = a.backendLog(v, &o.Log)
		} else if !backendFields[option] {
			a.o.Logger.Log(fmt.Sprintf("mcp.backend: unknown option %q is ignored", option))
		}
	})
	return err
}

// onOrOff is an option that is true or false. In memcached's proxy all but false and nil is true: "no" is, and 0.
func onOrOff(who string, v lua.LValue) (bool, error) {
	on, ok := v.(lua.LBool)
	if !ok {
		return false, fmt.Errorf("%s: want true or false, got %s", who, shown(v))
	}
	return bool(on), nil
}

// shown is a value in an error.
func shown(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return strconv.Quote(string(v))
	case lua.LNumber:
		return fmt.Sprint(float64(v))
	case lua.LBool:
		return v.String()
	}
	return v.Type().String()
}

// multiget is the option of that name: without it, it depends on the server.
func multiget(on bool) backend.Multiget {
	if on {
		return backend.MultigetAlways
	}
	return backend.MultigetNever
}

// backendLog reads mcp.backend's option log: a table of deadline, rate, errors and tag.
func (a *API) backendLog(v lua.LValue, r *backend.LogRule) error {
	t, ok := v.(*lua.LTable)
	if !ok {
		return fmt.Errorf("backend log option must be a table")
	}
	t.ForEach(func(k, _ lua.LValue) {
		if !logFields[k.String()] {
			a.o.Logger.Log(fmt.Sprintf("mcp.backend: log: unknown option %q is ignored", k.String()))
		}
	})
	natural := func(field, complaint string) (int, error) {
		v := t.RawGetString(field)
		n, ok := vm.Number(v)
		switch {
		case v == lua.LNil:
			return 0, nil
		case !ok || n != math.Trunc(n) || n > math.MaxInt32:
			return 0, fmt.Errorf("mcp.backend: log: %s: want an integer, got %s", field, v)
		case n < 0:
			return 0, errors.New(complaint)
		}
		return int(n), nil
	}
	ms, err := natural("deadline", "backend log deadline must be >= 0")
	if err != nil {
		return err
	}
	rate, err := natural("rate", "backend log sample rate must be >= 0")
	if err != nil {
		return err
	}
	*r = backend.LogRule{Deadline: time.Duration(ms) * time.Millisecond, Rate: rate}
	switch v := t.RawGetString("errors").(type) {
	case *lua.LNilType:
	case lua.LBool:
		r.Errors = bool(v)
	default:
		return fmt.Errorf("mcp.backend: log: errors: want a boolean, got %s", v.Type())
	}
	switch v := t.RawGetString("tag").(type) {
	case *lua.LNilType:
	case lua.LString, lua.LNumber:
		r.Tag = v.String()
	default:
		return fmt.Errorf("mcp.backend: log: tag: want a string, got %s", v.Type())
	}
	if r.Deadline == 0 && r.Rate == 0 && !r.Errors {
		r.Rate = 1
	}
	return nil
}

// logFields are what the option log may hold.
var logFields = map[string]bool{"deadline": true, "rate": true, "errors": true, "tag": true}

// backendFields are read elsewhere.
var backendFields = map[string]bool{"label": true, "host": true, "port": true, "address": true, "weight": true, "hash_name": true}

var switches = map[string]func(*BackendOptions) *bool{
	"tcpkeepalive":    func(o *BackendOptions) *bool { return &o.KeepAlive },
	"flush_on_return": func(o *BackendOptions) *bool { return &o.FlushOnReturn },
	"down":            func(o *BackendOptions) *bool { return &o.Down },
	"tls":             func(o *BackendOptions) *bool { return &o.TLS.On },
	"tls_verify":      func(o *BackendOptions) *bool { return &o.TLS.Verify },
}

var texts = map[string]func(*BackendOptions) *string{
	"tls_ca":   func(o *BackendOptions) *string { return &o.TLS.CA },
	"tls_name": func(o *BackendOptions) *string { return &o.TLS.Name },
	"tls_cert": func(o *BackendOptions) *string { return &o.TLS.Cert },
	"tls_key":  func(o *BackendOptions) *string { return &o.TLS.Key },
}

var numericOptions = map[string]func(*BackendOptions, float64) error{
	"connecttimeout": timeOption("connecttimeout", someTime, func(o *BackendOptions) *time.Duration { return &o.ConnectTimeout }),
	"readtimeout":    timeOption("readtimeout", someTime, func(o *BackendOptions) *time.Duration { return &o.ReadTimeout }),
	"retrywaittime":  timeOption("retrywaittime", restTime, func(o *BackendOptions) *time.Duration { return &o.RetryWait }),
	"retrytimeout":   timeOption("retrytimeout", restTime, func(o *BackendOptions) *time.Duration { return &o.RetryWait }),
	"flaptime":       timeOption("flaptime", anyTime, func(o *BackendOptions) *time.Duration { return &o.FlapTime }),
	"flapbackoffmax": timeOption("flapbackoffmax", someTime, func(o *BackendOptions) *time.Duration { return &o.FlapMax }),
	"flapbackofframp": func(o *BackendOptions, n float64) (err error) {
		o.FlapRamp, err = flapRamp("mcp.backend: flapbackofframp", n)
		return err
	},
	"failurelimit": natural("failurelimit", func(o *BackendOptions) *int { return &o.FailureLimit }),
	"depthlimit":   natural("depthlimit", func(o *BackendOptions) *int { return &o.DepthLimit }),
	"connections":  connections,
}

func timeOption(name string, read timeRule, field func(*BackendOptions) *time.Duration) func(*BackendOptions, float64) error {
	return func(o *BackendOptions, s float64) (err error) {
		*field(o), err = read("mcp.backend: "+name, s)
		return err
	}
}

func natural(name string, field func(*BackendOptions) *int) func(*BackendOptions, float64) error {
	return func(o *BackendOptions, f float64) error {
		n, ok := wholeNumber(f)
		switch {
		case !ok:
			return notWhole("mcp.backend: "+name, f)
		case n < 0:
			return fmt.Errorf("%s must be >= 0", name)
		}
		*field(o) = int(n)
		return nil
	}
}

func connections(o *BackendOptions, f float64) error {
	n, ok := wholeNumber(f)
	switch {
	case !ok:
		return notWhole("mcp.backend: connections", f)
	case n < 1:
		return fmt.Errorf("backend connections argument must be >= 0")
	case n > 8:
		return fmt.Errorf("backend connections argument must be <= 8")
	}
	o.Connections = int(n)
	return nil
}

// checkTLS wants mcp.init_tls called before a pool is made of backends with TLS: memcached's proxy does.
func (a *API) checkTLS(backends []BackendSpec) error {
	for _, b := range backends {
		if b.Options.TLS.On && !a.o.Settings.TLS {
			return errors.New("TLS requested but not initialized: call mcp.init_tls()")
		}
	}
	return nil
}

// A world: what one test has to itself.

package routetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// world is a proxy, its backends and its clients, on a clock.
type world struct {
	clock   *clock
	stores  *stores
	options engine.Options // of the proxy
	text    map[string]string

	topology *topology

	proxy  *engine.Proxy
	local  *memory
	hosts  map[string]*host // by address
	order  []*host          // as they came
	sent   []sent
	conns  []*conn
	direct *client // of send
	log    []string
	ended  bool
}

// sent is a request that a server was sent.
type sent struct {
	to   *host
	name string
	line string
}

func newWorld(c *clock, st *stores, o engine.Options) *world {
	w := &world{clock: c, stores: st, options: o, hosts: map[string]*host{}, text: map[string]string{}, topology: newTopology()}
	c.reset()
	st.reset()
	w.options.Workers = 1
	w.options.Topology = w.topology
	w.options.Clock = c
	w.options.Read = w.read
	w.options.NewLeaf, w.options.NewMemcached = w.newBackend, w.newBackend
	w.options.NewFetcher = w.newFetcher
	w.options.NewStore = func(int64) (engine.LocalStore, error) { return w.stores.take(), nil }
	w.options.Local = w
	w.options.Log = slog.New(&logger{w: w})
	return w
}

// Exec implements engine.LocalStore.
func (w *world) Exec(r *mc.Request, dst []byte) []byte {
	if w.local == nil {
		w.local = w.stores.take()
	}
	return w.local.Exec(r, dst)
}

func (w *world) read(path string) ([]byte, error) {
	if text, ok := w.text[path]; ok {
		return []byte(text), nil
	}
	return os.ReadFile(path)
}

// load loads a configuration, in place of the one that there is. plain is engine.Options.Plain.
func (w *world) load(path string, plain bool) error {
	if w.proxy != nil {
		return w.proxy.Load(plain, path)
	}
	w.options.Files, w.options.Plain = []string{path}, plain
	var err error
	w.proxy, err = engine.Offline(w.options)
	return err
}

// errNoProxy: the test has no configuration yet.
var errNoProxy = errors.New("there is no configuration yet: call route or config first")

// note notes that a server is sent a request.
func (w *world) note(s *host, name string, r *mc.Request) {
	w.sent = append(w.sent, sent{s, name, strings.TrimRight(string(r.Line), "\r\n")})
}

// maxTroubles is how many lines of the log a failure has.
const maxTroubles = 5

// troubles are the last lines of the log that tell of errors, and not of a configuration that does not load: who loads it is told.
func (w *world) troubles() (lines []string) {
	for _, line := range w.log {
		if (strings.HasPrefix(line, "error: ") || strings.HasPrefix(line, "warn: ")) && !strings.HasPrefix(line, "error: cannot load") {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-maxTroubles):]
}

// end gives up what is under way. What is left over would be a mistake of ours, and is an error.
func (w *world) end() error {
	if w.proxy == nil {
		return nil
	}
	w.ended = true
	w.proxy.Cut()
	for _, s := range w.order {
		s.end()
	}
	w.clock.work(forever-1, func() bool { return len(w.clock.tasks) == 0 })
	if n := len(w.clock.tasks); n > 0 {
		return fmt.Errorf("%d requests could not be ended", n)
	}
	for _, c := range w.conns {
		c.close()
	}
	w.proxy.Close()
	return nil
}

// routeText is a configuration whose routes stage is text, with a pool of one backend for each name. Lines of text keep their numbers.
func routeText(text string, names []string) (string, error) {
	var b strings.Builder
	b.WriteString("function mcp_config_pools() return { ")
	for _, n := range names {
		if !isName(n) {
			return "", fmt.Errorf("%q cannot be a local variable, which a pool's name must be here", n)
		}
		fmt.Fprintf(&b, "%s = mcp.pool({ mcp.backend(%q, %q, 11211) }), ", n, n, n)
	}
	b.WriteString("} end function mcp_config_routes(_pools) ")
	if len(names) > 0 {
		fmt.Fprintf(&b, "local %s = _pools.%s ", strings.Join(names, ", "), strings.Join(names, ", _pools."))
	}
	fmt.Fprintf(&b, "mcp.attach(mcp.CMD_ANY_STORAGE, (function() %s\nend)()) end", text)
	return b.String(), nil
}

var words = map[string]bool{}

func init() {
	for _, w := range strings.Fields("and break do else elseif end false for function goto if in local nil not or repeat return then true until while") {
		words[w] = true
	}
}

// isName reports whether s can be a variable in Lua.
func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && !words[s]
}

// nameAt is what errors call a configuration that a test has as text.
func nameAt(what, place string) string { return "[" + what + " at " + filepath.Base(place) + "]" }

// logger is the proxy's log: lines for log().
type logger struct {
	w     *world
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (l *logger) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements slog.Handler. What a script logs is the line as it is; anything else says how bad it is, and has its attributes.
func (l *logger) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "configuration loaded" {
		return nil
	}
	var b strings.Builder
	add := func(a slog.Attr) bool {
		switch {
		case a.Key == "text" && r.Message == "script":
			b.Reset()
			b.WriteString(a.Value.String())
			return false
		case a.Key == "traceback" || a.Key == "dropped" || a.Value.Kind() == slog.KindAny && a.Value.Any() == nil:
			return true
		}
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	}
	if r.Level >= slog.LevelWarn {
		b.WriteString(strings.ToLower(r.Level.String()) + ": ")
	}
	b.WriteString(r.Message)
	for _, a := range l.attrs {
		add(a)
	}
	r.Attrs(add)
	l.w.log = append(l.w.log, b.String())
	return nil
}

// WithAttrs implements slog.Handler.
func (l *logger) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logger{l.w, append(l.attrs[:len(l.attrs):len(l.attrs)], attrs...)}
}

// WithGroup implements slog.Handler; the proxy has no groups.
func (l *logger) WithGroup(string) slog.Handler { return l }

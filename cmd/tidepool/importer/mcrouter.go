// mcrouter's JSON: its pools and named handles, and the Lua file that comes of them.

package importer

import (
	"cmp"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// MCRouter turns mcrouter's configuration into a Lua file.
func MCRouter(text []byte, o Options) ([]byte, error) {
	root, err := readJSON(o.File, text)
	if err != nil {
		return nil, err
	}
	r := &mcReader{file: o.File, prefix: o.RoutePrefix, used: map[string]bool{}, asked: map[string]bool{}, pools: map[string]*jvalue{}, handles: map[string]*jvalue{}, made: map[string][]expr{}, making: map[string]bool{}}
	if err := r.refuseMacros(root); err != nil {
		return nil, err
	}
	if root.kind != jObject {
		return nil, r.fail(root, "want an object, got %s", root.kind)
	}
	if err := r.collect(root); err != nil {
		return nil, err
	}
	top, err := r.root(root)
	if err != nil {
		return nil, err
	}
	return r.file2lua(top, &o), nil
}

// mcReader reads one configuration.
type mcReader struct {
	file    string
	prefix  string // --route-prefix
	pools   map[string]*jvalue
	names   []string           // of pools, in order
	asked   map[string]bool    // and those that a route leads to
	handles map[string]*jvalue // by name
	made    map[string][]expr  // named handles, each route a pool or a variable
	making  map[string]bool    // and those that are being made
	locals  []string           // the variables, in order
	used    map[string]bool    // sections of mcrouter.lua
	wanted  []*mcPool          // pools that routes use, each with one way of placing keys
	notes   []mcNote

	prefixes bool // routing prefixes are looked for
}

func (r *mcReader) fail(v *jvalue, format string, args ...any) error {
	return &Error{r.file, v.line, fmt.Sprintf(format, args...)}
}

// note keeps what has no equivalent, with its place.
func (r *mcReader) note(line int, format string, args ...any) {
	if n := (mcNote{line, fmt.Sprintf(format, args...)}); !slices.Contains(r.notes, n) {
		r.notes = append(r.notes, n)
	}
}

// mcNote is what is not as in mcrouter, and where.
type mcNote struct {
	line int
	text string
}

var macroParam = regexp.MustCompile(`%[A-Za-z0-9_.-]+%`)

// refuseMacros wants a configuration without mcrouter's preprocessor.
func (r *mcReader) refuseMacros(v *jvalue) error {
	text := func(s string, at *jvalue) error {
		if m := macroParam.FindString(s); m != "" {
			return r.fail(at, "%q: macros cannot be imported: import the configuration with %s filled in", s, m)
		}
		if strings.HasPrefix(s, "@") {
			return r.fail(at, "%q: macros cannot be imported: import the configuration with its result in its place", s)
		}
		return nil
	}
	if v.kind == jString {
		return text(v.text, v)
	}
	for i, e := range v.list {
		if v.kind == jObject {
			key := v.keys[i]
			at := &jvalue{line: key.line}
			if err := text(key.name, at); err != nil {
				return err
			}
			if key.name == "macros" || key.name == "consts" {
				return r.fail(at, "%q: macros cannot be imported: import the configuration with their results in their places", key.name)
			}
		}
		if err := r.refuseMacros(e); err != nil {
			return err
		}
	}
	return nil
}

// collect finds the pools and whatever has a name.
func (r *mcReader) collect(root *jvalue) error {
	for i, k := range root.keys {
		v := root.list[i]
		switch k.name {
		case "pools":
			if v.kind != jObject {
				return r.fail(v, "pools: want an object, got %s", v.kind)
			}
			for j, name := range v.keys {
				r.names = append(r.names, name.name)
				r.pools[name.name] = v.list[j]
			}
		case "named_handles":
			if v.kind != jArray && v.kind != jObject {
				return r.fail(v, "named_handles: want an array or an object, got %s", v.kind)
			}
			for j, h := range v.list {
				if v.kind == jObject {
					r.handles[v.keys[j].name] = h
				} else if h.kind != jObject || h.get("name") == nil {
					return r.fail(h, "named_handles: want an object with a name")
				}
			}
			r.collectNamed(v) // before what has the same name elsewhere, for mcrouter makes these first
		case "route", "routes":
		default:
			r.note(k.line, "%q has no equivalent: left out", k.name)
		}
	}
	r.collectNamed(root)
	return nil
}

// collectNamed finds routes that carry a name where they stand.
func (r *mcReader) collectNamed(v *jvalue) {
	if v.kind == jObject && v.get("type") != nil && v.get("type").kind == jString {
		if name := v.get("name"); name != nil && name.kind == jString && r.handles[name.text] == nil {
			r.handles[name.text] = v
		}
	}
	for _, e := range v.list {
		r.collectNamed(e)
	}
}

// mcPool is a pool as one route uses it.
type mcPool struct {
	key     string // its name here
	servers []mcServer
	dist    string
	salt    string
	timeout int // ms
	connect int
	keep    bool // mcrouter would leave the routing prefix on the key
}

type mcServer struct {
	host, port string // or
	path       string
	weight     string // as written; "": none
}

const mcDefaultTimeout = 1000 // mcrouter's --server-timeout, in ms

// want gives the pool's key, the same for the same placement.
func (r *mcReader) want(p *mcPool) string {
	name := p.key
	for n := 2; ; n++ {
		i := slices.IndexFunc(r.wanted, func(q *mcPool) bool { return q.key == p.key })
		if i < 0 {
			r.wanted = append(r.wanted, p)
			return p.key
		}
		q := r.wanted[i]
		if q.dist == p.dist && q.salt == p.salt && q.timeout == p.timeout && q.connect == p.connect && slices.Equal(q.servers, p.servers) {
			return q.key
		}
		p.key = fmt.Sprintf("%s#%d", name, n)
	}
}

//go:embed mcrouter.lua
var mcHelpers string

// helper is one section of mcrouter.lua.
type helper struct {
	name  string
	needs []string
	text  string
}

// helpers are the sections in order.
func helpers() (all []helper) {
	for _, part := range strings.Split(mcHelpers, "--@ ")[1:] {
		head, text, _ := strings.Cut(part, "\n")
		words := strings.Fields(head)
		all = append(all, helper{words[0], words[1:], text})
	}
	return all
}

// use marks helpers, and what they need.
func (r *mcReader) use(name string) string {
	if !r.used[name] {
		r.used[name] = true
		for _, h := range helpers() {
			if h.name == name {
				for _, n := range h.needs {
					r.use(n)
				}
			}
		}
	}
	return name
}

// file2lua puts the file together.
func (r *mcReader) file2lua(top expr, o *Options) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "-- Made from %s by tidepool import. Keys go to the servers that mcrouter sends them to. To run it:\n--\n", comment(o.File))
	fmt.Fprintf(&b, "--   tidepool proxy --listen 127.0.0.1:5000 %s\n", comment(o.out()))
	for _, name := range r.names {
		if !r.asked[name] {
			r.note(r.pools[name].line, "pool %q is used by no route here: left out", name)
		}
	}
	if len(r.notes) > 0 {
		b.WriteString("--\n-- What is not as in mcrouter:\n--\n")
		slices.SortStableFunc(r.notes, func(a, b mcNote) int { return cmp.Compare(a.line, b.line) })
		for _, n := range r.notes {
			fmt.Fprintf(&b, "--   %s:%d: %s\n", comment(r.file), n.line, comment(n.text))
		}
	}
	b.WriteString("\n")
	for _, h := range helpers() {
		if r.used[h.name] {
			b.WriteString(h.text)
		}
	}
	b.WriteString("function mcp_config_pools()\n    return {\n")
	for _, p := range r.wanted {
		p.write(&b)
	}
	b.WriteString("    }\nend\n\nfunction mcp_config_routes(pools)\n")
	for _, l := range r.locals {
		b.WriteString(l)
	}
	fmt.Fprintf(&b, "    mcp.attach(mcp.CMD_ANY_STORAGE, %s)\nend\n", top.indented("    "))
	return []byte(b.String())
}

// write writes the pool as a field of a table.
func (p *mcPool) write(b *strings.Builder) {
	fmt.Fprintf(b, "        %s = mcp.pool({\n", luaKey(p.key))
	for _, s := range p.servers {
		list := []string{field("address", luaString("unix:"+s.path))}
		if s.path == "" {
			list = []string{field("label", luaString(s.host+":"+s.port)), field("host", luaString(s.host)), field("port", s.port)}
		}
		list = append(list, field("weight", s.weight), field("connecttimeout", luaSeconds(p.connect)), field("readtimeout", luaSeconds(p.timeout)))
		fmt.Fprintf(b, "            mcp.backend%s,\n", fields(list...))
	}
	salt := ""
	if p.salt != "" {
		salt = luaString(p.salt)
	}
	fmt.Fprintf(b, "        }, %s),\n", fields(field("name", luaString(p.key)), field("dist", "mcp.dist_"+p.dist), field("salt", salt),
		`filter = "stop"`, `filter_conf = "|#|"`))
}

// mcParseServer reads host:port[:protocol[:security[:compression]]] or unix:/path[:protocol...].
func mcParseServer(text string) (s mcServer, protocol, security string, err error) {
	rest := text
	switch {
	case strings.HasPrefix(rest, "["):
		var ok bool
		if s.host, rest, ok = strings.Cut(rest[1:], "]"); !ok || !strings.HasPrefix(rest, ":") {
			return s, "", "", fmt.Errorf("want [host]:port, got %q", text)
		}
		rest = rest[1:]
	case strings.HasPrefix(rest, "unix:"):
		s.path, rest, _ = strings.Cut(rest[len("unix:"):], ":")
		if !strings.HasPrefix(s.path, "/") {
			return s, "", "", fmt.Errorf("want unix:/path, got %q", text)
		}
	default:
		s.host, rest, _ = strings.Cut(rest, ":")
	}
	parts := strings.Split(rest, ":")
	if s.path == "" {
		s.port = parts[0]
		if s.host == "" || !validPort(s.port) {
			return s, "", "", fmt.Errorf("want host:port, got %q", text)
		}
		parts = parts[1:]
	}
	parts = append(parts, "", "")
	return s, parts[0], parts[1], nil
}

// milliseconds reads a time.
func (r *mcReader) milliseconds(v *jvalue, what string, to *int) error {
	n, err := strconv.Atoi(v.text)
	if v.kind != jNumber || err != nil || n < 1 {
		return r.fail(v, "%s: want milliseconds, a whole number from 1 on, got %s %s", what, v.kind, v.text)
	}
	*to = n
	return nil
}

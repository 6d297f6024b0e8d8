// Likeness: a digest of what a route does, by which two loads of a configuration are compared.

package luaapi

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"
	"sort"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// Likeness is equal for two routes, of whatever loads, that are made of the same code, with the same values around it: the upvalues of
// its functions, the globals that they name, the fields of tables, pools by their names, and what is behind handles. Where the code
// stands, and what a generator is called, is no part of it. Nor is anything that Go functions hold, or the contents of strings that are
// made while serving. It wants the lock of the worker that attached the route.
func (r *Route) Likeness() string {
	h := sha256.New()
	l := &likeness{w: bufio.NewWriter(h), h: h, seen: map[any]int{}}
	l.route(r)
	return l.sum()
}

// likeness writes values in one form for each. What it meets again is written as a number, so that cycles end.
type likeness struct {
	w    *bufio.Writer
	h    hash.Hash
	seen map[any]int
}

func (l *likeness) sum() string {
	l.w.Flush()
	return hex.EncodeToString(l.h.Sum(nil)[:16])
}

func (l *likeness) put(kind string, parts ...any) {
	fmt.Fprintf(l.w, "%s(", kind)
	for _, p := range parts {
		fmt.Fprintf(l.w, "%q,", fmt.Sprint(p))
	}
	l.w.WriteByte(')')
}

// met reports whether x was written before.
func (l *likeness) met(x any) bool {
	n, ok := l.seen[x]
	if ok {
		l.put("again", n)
		return true
	}
	l.seen[x] = len(l.seen)
	return false
}

func (l *likeness) route(r *Route) {
	switch {
	case r == nil:
		l.put("none")
	case r.Pool != nil:
		l.put("pool", r.Pool.Name())
	case r.Gen != nil:
		l.funcgen(r.Gen)
	default:
		l.router(r.Router)
	}
}

func (l *likeness) router(r *Router) {
	l.put("router", r.Shape())
	for _, p := range slices.Sorted(maps.Keys(r.prefixes)) {
		l.put("prefix", p)
		l.entry(r.prefixes[p])
	}
	l.entry(r.cmds)
	l.route(r.fallback)
}

func (l *likeness) entry(e *entry) {
	if e == nil {
		l.put("none")
		return
	}
	for _, r := range e.cmd {
		l.route(r)
	}
	l.route(e.all)
}

func (l *likeness) funcgen(g *Funcgen) {
	if l.met(g) {
		return
	}
	if g.plain != nil {
		l.function(g.plain)
		return
	}
	if !g.ready {
		l.put("not ready")
		return
	}
	l.put("generator", len(g.targets))
	l.function(g.generate)
	l.value(g.arg)
	for _, t := range g.targets {
		switch {
		case t.pool != nil:
			l.put("pool", t.pool.Name())
		case t.gen != nil:
			l.funcgen(t.gen)
		default:
			l.put("internal")
		}
	}
}

func (l *likeness) value(v lua.LValue) {
	switch v := v.(type) {
	case lua.LString:
		l.put("string", string(v))
	case *lua.LFunction:
		l.function(v)
	case *lua.LTable:
		l.table(v)
	case *lua.LUserData:
		l.object(v)
	case lua.LNumber, lua.LBool, *lua.LNilType:
		l.put(v.Type().String(), v.String())
	default: // a thread, which no route is made of
		l.put(v.Type().String())
	}
}

func (l *likeness) function(f *lua.LFunction) {
	if f.IsG {
		l.put("go")
		return
	}
	if l.met(f) {
		return
	}
	l.proto(f.Proto)
	for i, u := range f.Upvalues {
		if i < len(f.Proto.DbgUpvalues) && strings.HasPrefix(f.Proto.DbgUpvalues[i], "(") {
			continue // the step budget's, and the like: not the script's
		}
		l.value(u.Value())
	}
	for _, name := range globals(f.Proto, nil) {
		l.put("global", name)
		switch v := f.Env.RawGetString(name).(type) {
		case *lua.LTable:
			if f.Env.RawGetString("mcp") != lua.LValue(v) && v != f.Env {
				l.table(v)
			}
		default:
			l.value(v)
		}
	}
}

func (l *likeness) proto(p *lua.FunctionProto) {
	if l.met(p) {
		return
	}
	l.put("function", p.NumParameters, p.IsVarArg, p.NumUpvalues)
	var b [4]byte
	for _, c := range p.Code {
		binary.LittleEndian.PutUint32(b[:], c)
		l.w.Write(b[:])
	}
	for _, c := range p.Constants {
		l.value(c)
	}
	for _, f := range p.FunctionPrototypes {
		l.proto(f)
	}
}

// globals are the names of the globals that a function and those within it read.
func globals(p *lua.FunctionProto, names []string) []string {
	for _, c := range p.Code {
		if int(c>>26) != lua.OP_GETGLOBAL { // the opcode is in the uppermost six bits, the constant's number in the lowest eighteen
			continue
		}
		if i := int(c & 0x3ffff); i < len(p.Constants) {
			if name, ok := p.Constants[i].(lua.LString); ok && !slices.Contains(names, string(name)) {
				names = append(names, string(name))
			}
		}
	}
	for _, f := range p.FunctionPrototypes {
		names = globals(f, names)
	}
	slices.Sort(names)
	return names
}

// table writes the fields in the order of their names. Those that have none of a kind that can be ordered come in the order of the table.
func (l *likeness) table(t *lua.LTable) {
	if l.met(t) {
		return
	}
	type field struct {
		name string
		k, v lua.LValue
	}
	var fields []field
	t.ForEach(func(k, v lua.LValue) {
		name := k.Type().String()
		switch k.(type) {
		case lua.LString, lua.LNumber, lua.LBool:
			name += " " + k.String()
		}
		fields = append(fields, field{name, k, v})
	})
	sort.SliceStable(fields, func(i, j int) bool { return fields[i].name < fields[j].name })
	l.put("table", len(fields))
	for _, f := range fields {
		l.value(f.k)
		l.value(f.v)
	}
	if mt, ok := t.Metatable.(*lua.LTable); ok {
		l.metatable(mt)
	}
}

// metatable writes what changes how a table behaves. Others keep notes there, such as where in a file it stands.
func (l *likeness) metatable(mt *lua.LTable) {
	var names []string
	mt.ForEach(func(k, _ lua.LValue) {
		if s, ok := k.(lua.LString); ok && strings.HasPrefix(string(s), "__") {
			names = append(names, string(s))
		}
	})
	slices.Sort(names)
	for _, name := range names {
		l.put("meta", name)
		l.value(mt.RawGetString(name))
	}
}

// object writes what scripts get from us.
func (l *likeness) object(u *lua.LUserData) {
	if l.met(u) {
		return
	}
	switch x := u.Value.(type) {
	case Target:
		l.put("pool", x.Name())
	case *Funcgen:
		l.funcgen(x)
	case *Router:
		l.router(x)
	case *inspector:
		l.put("inspector", x.of)
		l.list(x.args)
	case *mutator:
		l.put("mutator", x.of)
		l.list(x.args)
	case *limiter:
		l.put("limiter", x.limit, x.fill, x.tick)
	case *meter:
		l.put("meter", x.halfLife)
	case *turnstile:
		l.put("turnstile", x.options)
	case string:
		l.put("constant", x)
	default:
		l.put(fmt.Sprintf("%T", x))
	}
}

func (l *likeness) list(vs []lua.LValue) {
	for _, v := range vs {
		l.value(v)
	}
}

// arguments are all that a function was called with.
func arguments(L *lua.LState) (vs []lua.LValue) {
	for i := 1; i <= L.GetTop(); i++ {
		vs = append(vs, L.Get(i))
	}
	return vs
}

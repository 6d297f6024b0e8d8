// What test files may call, besides Lua's own library: describe and its like, and the world.

package routetest

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// Globals are the names that test files find, for luacheck.
func Globals() []string {
	var names []string
	for _, g := range globals {
		names = append(names, g.name)
	}
	return names
}

type global struct {
	name string
	fn   func(f *file, L *lua.LState) int
}

var globals []global

func init() { // not in the declaration, which would be a loop
	globals = []global{
		{"describe", describe}, {"it", it},
		{"before_each", func(f *file, L *lua.LState) int { return hook(f, L, "before_each", &f.group.before) }},
		{"after_each", func(f *file, L *lua.LState) int { return hook(f, L, "after_each", &f.group.after) }},
		{"route", luaRoute}, {"config", luaConfig}, {"backend", luaBackend},
		{"send", luaSend}, {"start", luaStart}, {"client", luaClient},
		{"advance", luaAdvance}, {"now", luaNow}, {"seen", luaSeen}, {"stat", luaStat}, {"log", luaLog},
		{"expect", luaExpect}, {"fail", luaFail},
	}
}

// open puts the globals into the file's state.
func (f *file) open() {
	L := f.state.L
	bind := func(fn func(*file, *lua.LState) int) *lua.LFunction {
		return L.NewFunction(func(L *lua.LState) int { return fn(f, L) })
	}
	for _, g := range globals {
		f.state.SetGlobal(g.name, bind(g.fn))
	}
	object := func(methods map[string]func(*file, *lua.LState) int) *lua.LTable {
		mt, index := L.NewTable(), L.NewTable()
		for name, fn := range methods {
			index.RawSetString(name, bind(fn))
		}
		mt.RawSetString("__index", L.NewFunction(func(L *lua.LState) int {
			v := index.RawGet(L.Get(2))
			if v == lua.LNil {
				L.RaiseError("there is no %s", L.Get(2))
			}
			L.Push(v)
			return 1
		}))
		return mt
	}
	f.backendMT, f.clientMT, f.callMT, f.expectMT = object(backendMethods), object(clientMethods), object(callMethods), object(expectMethods)
	f.failureMT = L.NewTable()
	f.failureMT.RawSetString("__tostring", L.NewFunction(func(L *lua.LState) int {
		L.Push(lua.LString(self[*Failure](L).Error()))
		return 1
	}))
}

func (f *file) userdata(v any, mt *lua.LTable) *lua.LUserData {
	return &lua.LUserData{Value: v, Metatable: mt, Env: f.state.L.Env}
}

// self is argument 1 as an object of ours: what comes before the colon of a method's call.
func self[T any](L *lua.LState) T {
	var v T
	ok := false
	if ud, is := L.Get(1).(*lua.LUserData); is {
		v, ok = ud.Value.(T)
	}
	if !ok {
		L.RaiseError("call it with a colon: object:method(...)")
	}
	return v
}

// here is the world of the test that runs.
func (f *file) here(L *lua.LState, what string) *world {
	if f.world == nil {
		L.RaiseError("%s belongs into a test: it, before_each or after_each", what)
	}
	return f.world
}

// place is file:line of the caller.
func place(L *lua.LState) string { return strings.TrimSuffix(strings.TrimSpace(L.Where(1)), ":") }

func luaRoute(f *file, L *lua.LState) int {
	w := f.here(L, "route")
	var names []string
	for i := 2; i <= L.GetTop(); i++ {
		names = append(names, L.CheckString(i))
	}
	text, err := routeText(L.CheckString(1), names)
	if err != nil {
		L.RaiseError("route: %v", err)
	}
	return f.load(L, w, "route", nameAt("route", place(L)), text)
}

func luaConfig(f *file, L *lua.LState) int {
	w := f.here(L, "config")
	if t, ok := L.Get(1).(*lua.LTable); ok {
		path, ok := t.RawGetString("file").(lua.LString)
		if !ok {
			L.RaiseError("config: want a text, or { file = \"path\" }")
		}
		if p := string(path); filepath.IsAbs(p) {
			return f.load(L, w, "config", p, "")
		}
		return f.load(L, w, "config", filepath.Join(filepath.Dir(f.path), string(path)), "")
	}
	return f.load(L, w, "config", nameAt("config", place(L)), L.CheckString(1))
}

func (f *file) load(L *lua.LState, w *world, what, name, text string) int {
	if text != "" {
		w.text[name] = text
	}
	if err := w.load(name, what == "route"); err != nil {
		L.RaiseError("%s: %v", what, err)
	}
	return 0
}

func luaBackend(f *file, L *lua.LState) int {
	w := f.here(L, "backend")
	if w.proxy == nil {
		L.RaiseError("backend: %v", errNoProxy)
	}
	s, err := w.host(L.CheckString(1))
	if err != nil {
		L.RaiseError("backend: %v", err)
	}
	L.Push(f.userdata(s, f.backendMT))
	return 1
}

// seconds is argument i as a time.
func seconds(L *lua.LState, i int) time.Duration {
	n := float64(L.CheckNumber(i))
	if !(n >= 0 && n <= 1e9) {
		L.ArgError(i, "want a number of seconds")
	}
	return time.Duration(math.Round(n * float64(time.Second)))
}

// inSeconds is a time as scripts see it.
func inSeconds(ns int64) lua.LNumber { return lua.LNumber(math.Round(float64(ns)/1e3) / 1e6) }

func luaAdvance(f *file, L *lua.LState) int {
	c := f.here(L, "advance").clock
	until := c.after(seconds(L, 1))
	c.work(until, func() bool { return false })
	c.now.Store(until)
	return 0
}

func luaNow(f *file, L *lua.LState) int {
	L.Push(inSeconds(f.here(L, "now").clock.Now()))
	return 1
}

// list makes a table of strings.
func list(L *lua.LState, lines []string) *lua.LTable {
	t := L.CreateTable(len(lines), 0)
	for i, line := range lines {
		t.RawSetInt(i+1, lua.LString(line))
	}
	return t
}

func luaSeen(f *file, L *lua.LState) int {
	w := f.here(L, "seen")
	var lines []string
	for _, s := range w.sent {
		lines = append(lines, s.name+": "+s.line)
	}
	w.sent = nil
	L.Push(list(L, lines))
	return 1
}

func luaLog(f *file, L *lua.LState) int {
	w := f.here(L, "log")
	L.Push(list(L, w.log))
	w.log = nil
	return 1
}

// luaStat looks for a name among the scripts' counters, and then in what stats tells.
func luaStat(f *file, L *lua.LState) int {
	w := f.here(L, "stat")
	name := L.CheckString(1)
	if w.proxy == nil {
		L.RaiseError("stat: %v", errNoProxy)
	}
	for _, sub := range []string{"proxy", "", "proxyfuncs", "proxybe", "settings"} {
		text, _ := w.proxy.Stats(sub)
		for line := range strings.SplitSeq(string(text), "\r\n") {
			stat, v, _ := strings.Cut(strings.TrimPrefix(line, "STAT "), " ")
			if stat != name && (sub != "proxy" || stat != "user_"+name) {
				continue
			}
			var n float64
			if _, err := fmt.Sscan(v, &n); err == nil {
				L.Push(lua.LNumber(n))
			} else {
				L.Push(lua.LString(v))
			}
			return 1
		}
	}
	L.Push(lua.LNil)
	return 1
}

// payload are a method's or function's arguments from i on: a line, and perhaps a value.
func payload(L *lua.LState, i int) (line string, value *string) {
	line = L.CheckString(i)
	if L.GetTop() > i && L.Get(i+1) != lua.LNil {
		v := L.CheckString(i + 1)
		value = &v
	}
	return line, value
}

// result is a finished call for the test.
func (f *file) result(L *lua.LState, x *call, what string) *lua.LTable {
	if err := x.wait(); err != nil {
		L.RaiseError("%s: %v", what, err)
	}
	text := x.out.String()
	line, _, _ := strings.Cut(text, "\r\n")
	t := L.CreateTable(0, 6)
	t.RawSetString("text", lua.LString(text))
	t.RawSetString("line", lua.LString(line))
	if v, ok := x.value(); ok {
		t.RawSetString("value", lua.LString(v))
	}
	t.RawSetString("time", inSeconds(x.ended-x.began))
	bad := line == "ERROR" || strings.HasPrefix(line, "ERROR ") || strings.HasPrefix(line, "SERVER_ERROR") || strings.HasPrefix(line, "CLIENT_ERROR")
	t.RawSetString("error", lua.LBool(bad))
	t.RawSetString("closed", lua.LBool(x.conn.closed))
	return t
}

func luaSend(f *file, L *lua.LState) int {
	w := f.here(L, "send")
	line, value := payload(L, 1)
	L.Push(f.result(L, f.sent(L, w.main(), line, value, "send"), "send"))
	return 1
}

func luaStart(f *file, L *lua.LState) int {
	w := f.here(L, "start")
	line, value := payload(L, 1)
	conn, err := w.free()
	if err != nil {
		L.RaiseError("start: %v", err)
	}
	x, err := conn.start(line, value)
	if err != nil {
		L.RaiseError("start: %v", err)
	}
	L.Push(f.userdata(x, f.callMT))
	return 1
}

// sent sends over a client's connection.
func (f *file) sent(L *lua.LState, c *client, line string, value *string, what string) *call {
	conn, err := c.connection()
	if err != nil {
		L.RaiseError("%s: %v", what, err)
	}
	x, err := conn.start(line, value)
	if err != nil {
		L.RaiseError("%s: %v", what, err)
	}
	return x
}

// main is the client of send.
func (w *world) main() *client {
	if w.direct == nil {
		w.direct = &client{w: w}
	}
	return w.direct
}

// connection is the client's, or a new one.
func (c *client) connection() (*conn, error) {
	if c.conn != nil && !c.conn.closed {
		return c.conn, nil
	}
	var err error
	c.conn, err = c.w.open(c.tag)
	return c.conn, err
}

func luaClient(f *file, L *lua.LState) int {
	c := &client{w: f.here(L, "client")}
	if t, ok := L.Get(1).(*lua.LTable); ok {
		if tag, ok := t.RawGetString("tag").(lua.LString); ok {
			c.tag = string(tag)
		}
	}
	L.Push(f.userdata(c, f.clientMT))
	return 1
}

var clientMethods = map[string]func(*file, *lua.LState) int{
	"send": func(f *file, L *lua.LState) int {
		c := self[*client](L)
		line, value := payload(L, 2)
		L.Push(f.result(L, f.sent(L, c, line, value, "send"), "send"))
		return 1
	},
	"start": func(f *file, L *lua.LState) int {
		c := self[*client](L)
		line, value := payload(L, 2)
		L.Push(f.userdata(f.sent(L, c, line, value, "start"), f.callMT))
		return 1
	},
}

var callMethods = map[string]func(*file, *lua.LState) int{
	"done": func(_ *file, L *lua.LState) int {
		L.Push(lua.LBool(self[*call](L).done))
		return 1
	},
	"wait": func(f *file, L *lua.LState) int {
		L.Push(f.result(L, self[*call](L), "wait"))
		return 1
	},
}

var backendMethods = map[string]func(*file, *lua.LState) int{
	"set": backendSet, "get": backendGet,
	"answers": func(_ *file, L *lua.LState) int {
		s := self[*host](L)
		if t, ok := L.Get(2).(*lua.LTable); ok {
			for i := 1; i <= t.Len(); i++ {
				s.next = append(s.next, scripted(L, t.RawGetInt(i)))
			}
		} else {
			s.always = scripted(L, L.Get(2))
		}
		return 0
	},
	"fails": func(_ *file, L *lua.LState) int {
		word := L.CheckString(2)
		k, ok := fails[word]
		if !ok {
			L.RaiseError("there is no failure %q: want \"timeout\", \"down\" or \"closed\"", word)
		}
		self[*host](L).react(reaction{kind: k}, L, 3)
		return 0
	},
	"never": func(_ *file, L *lua.LState) int {
		self[*host](L).react(reaction{kind: never}, L, 2)
		return 0
	},
	"slow": func(_ *file, L *lua.LState) int {
		s, d := self[*host](L), seconds(L, 2)
		if L.GetTop() < 3 {
			s.delay = d
			return 0
		}
		for range L.CheckInt(3) {
			s.delays = append(s.delays, d)
		}
		return 0
	},
	"works": func(_ *file, L *lua.LState) int {
		s := self[*host](L)
		s.next, s.always, s.delays, s.delay = nil, reaction{}, nil, 0
		return 0
	},
	"seen": func(_ *file, L *lua.LState) int {
		s := self[*host](L)
		var lines []string
		keep := s.w.sent[:0]
		for _, x := range s.w.sent {
			if x.to == s {
				lines = append(lines, x.line)
			} else {
				keep = append(keep, x)
			}
		}
		s.w.sent = keep
		L.Push(list(L, lines))
		return 1
	},
}

// react has s do r to as many requests as argument i says, or always.
func (s *host) react(r reaction, L *lua.LState, i int) {
	if L.GetTop() < i {
		s.always = r
		return
	}
	for range L.CheckInt(i) {
		s.next = append(s.next, r)
	}
}

// scripted is v as an answer.
func scripted(L *lua.LState, v lua.LValue) reaction {
	text, ok := v.(lua.LString)
	if !ok {
		L.RaiseError("answers: want a text, got %s", v.Type())
	}
	whole := string(text) + "\r\n"
	var resp mc.Response
	if n, _, err := mc.ParseResponse([]byte(whole), &resp); err != nil || n != len(whole) {
		L.RaiseError("answers: %q is not one answer of a backend", string(text))
	}
	return reaction{answer, whole}
}

func backendSet(_ *file, L *lua.LState) int {
	s, key, value := self[*host](L), L.CheckString(2), L.CheckString(3)
	flags, ttl := 0, 0
	if t, ok := L.Get(4).(*lua.LTable); ok {
		if n, ok := t.RawGetString("flags").(lua.LNumber); ok {
			flags = int(n)
		}
		if n, ok := t.RawGetString("ttl").(lua.LNumber); ok {
			ttl = int(n)
		}
	}
	if got := s.memory().ask("set %s %d %d %d\r\n%s\r\n", key, flags, ttl, len(value), value); got != "STORED\r\n" {
		L.RaiseError("set: the backend answers %q", strings.TrimSpace(got))
	}
	return 0
}

// backendGet gives the value and a table, or nil. There is no ttl if it never expires.
func backendGet(_ *file, L *lua.LState) int {
	s, key := self[*host](L), L.CheckString(2)
	raw := s.memory().ask("mg %s v f t c\r\n", key)
	var resp mc.Response
	if _, _, err := mc.ParseResponse([]byte(raw), &resp); err != nil || !resp.HasValue() {
		L.Push(lua.LNil)
		return 1
	}
	line, _, _ := strings.Cut(raw, "\r\n")
	t := L.NewTable()
	for _, word := range strings.Fields(line)[2:] {
		var n float64
		if _, err := fmt.Sscan(word[1:], &n); err != nil {
			continue
		}
		name := map[byte]string{'f': "flags", 't': "ttl", 'c': "cas"}[word[0]]
		if name != "" && n >= 0 {
			t.RawSetString(name, lua.LNumber(n))
		}
	}
	L.Push(lua.LString(resp.Value()))
	L.Push(t)
	return 2
}

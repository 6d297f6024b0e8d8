// What test files may call, besides Lua's own library: describe and its like, and the world.

package routetest

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
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
		{"route", luaRoute}, {"config", luaConfig}, {"backend", luaBackend}, {"members", luaMembers},
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
	t, ok := L.Get(1).(*lua.LTable)
	if !ok {
		return f.load(L, w, "config", nameAt("config", place(L)), L.CheckString(1))
	}
	var path, text lua.LString
	t.ForEach(func(k, v lua.LValue) {
		switch k.String() {
		case "file":
			path, ok = v.(lua.LString)
		case "text":
			text, ok = v.(lua.LString)
		case "max_item":
			n, is := v.(lua.LNumber)
			if ok = is && n >= 1 && n <= maxItem && n == lua.LNumber(int(n)); ok && w.proxy != nil {
				L.RaiseError("config: max_item is what a proxy starts with: want it in a test's first config")
			}
			w.options.MaxItem = int(n)
		default:
			ok = false
		}
		if !ok {
			L.RaiseError("config: %s: want file or text, a string, and max_item, bytes up to %d", k, maxItem)
		}
	})
	switch {
	case (path == "") == (text == ""):
		L.RaiseError("config: want a text, or { file = \"path\" }")
	case text != "":
		return f.load(L, w, "config", nameAt("config", place(L)), string(text))
	case filepath.IsAbs(string(path)):
		return f.load(L, w, "config", string(path), "")
	}
	return f.load(L, w, "config", filepath.Join(filepath.Dir(f.path), string(path)), "")
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

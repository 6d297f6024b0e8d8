// Loading code: load, loadfile, dofile, require and package. Every way goes through Options.Compile.

package lualib

import (
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func (h *Host) openLoad() {
	h.lib("", []entry{{"dofile", loadDoFile}, {"load", loadLoad}, {"loadfile", loadLoadFile}, {"require", loadRequire}})
	L := h.L
	h.pkg = h.lib("package", []entry{{"searchpath", loadSearchPath}})
	h.pkg.RawSetString("path", lua.LString(h.opts.Path))
	h.pkg.RawSetString("cpath", lua.LString(""))
	h.pkg.RawSetString("config", lua.LString("/\n;\n?\n!\n-\n"))
	preload := L.CreateTable(0, len(h.opts.Preload))
	for name, open := range h.opts.Preload {
		preload.RawSetString(name, h.fn(name, func(h *Host, L *lua.LState) int {
			v, err := open(L)
			if err != nil {
				h.raise(L, "cannot open module '%s': %v", name, err)
			}
			L.Push(v)
			return 1
		}))
	}
	h.pkg.RawSetString("preload", preload)
	h.loaded = L.CreateTable(0, 16)
	h.pkg.RawSetString("loaded", h.loaded)
	searchers := L.CreateTable(2, 0)
	searchers.Append(h.fn("package.searchers", searchPreload))
	searchers.Append(h.fn("package.searchers", searchFiles))
	h.pkg.RawSetString("searchers", searchers)
}

// fillLoaded puts the libraries into package.loaded.
func (h *Host) fillLoaded() {
	for _, name := range []string{"_G", "package", "coroutine", "table", "io", "os", "string", "math", "utf8", "debug"} {
		h.loaded.RawSetString(name, h.globals().RawGetString(name))
	}
}

// Load compiles src and makes it runnable here. name is what errors and tracebacks show.
func (h *Host) Load(src []byte, name string) (*lua.LFunction, error) {
	proto, err := h.opts.Compile(src, name)
	if err != nil {
		return nil, err
	}
	return h.Bind(proto), nil
}

// mayRead raises an error unless files may be read now.
func (h *Host) mayRead(L *lua.LState, what string) {
	if !h.opts.Loading() && !h.opts.Unsafe {
		h.raise(L, "%s: files can be read only while the configuration is being loaded", what)
	}
}

// What compiling costs: a chunk and each byte of it.
const (
	chunkSteps = 200
	byteSteps  = 2
)

// compiled compiles src, charged, into a function, or pushes nil and the error and returns nil.
func (h *Host) compiled(L *lua.LState, src, name, mode string, env lua.LValue) *lua.LFunction {
	h.Charge(L, chunkSteps+byteSteps*len(src))
	var err error
	var fn *lua.LFunction
	switch {
	case strings.HasPrefix(src, "\x1bLua"):
		err = fmt.Errorf("%s: precompiled code cannot be loaded", name)
	case !strings.Contains(mode, "t"):
		err = fmt.Errorf("attempt to load a text chunk (mode is '%s')", mode)
	default:
		fn, err = h.Load([]byte(src), name)
	}
	if err != nil {
		L.Push(lua.LNil)
		L.Push(lua.LString(err.Error()))
		return nil
	}
	if t, ok := env.(*lua.LTable); ok {
		fn.Env = t
	}
	return fn
}

// loadLoad is load(chunk [, chunkname [, mode [, env]]]).
func loadLoad(h *Host, L *lua.LState) int {
	var src string
	name := "=(load)"
	switch v := L.Get(1).(type) {
	case lua.LString:
		src, name = string(v), string(v)
		if strings.HasPrefix(src, "#") { // the first line of a file only
			src = " " + src
		}
	case *lua.LFunction:
		var msg string
		if src, msg = h.readChunk(L, v); msg != "" {
			L.Push(lua.LNil)
			L.Push(lua.LString(msg))
			return 2
		}
	default:
		h.typeError(L, 1, "function")
	}
	name = h.optStr(L, 2, name)
	mode := h.optStr(L, 3, "bt")
	if L.GetTop() >= 4 && L.Get(4).Type() != lua.LTTable {
		h.argError(L, 4, "an environment must be a table here")
	}
	fn := h.compiled(L, src, chunkName(name), mode, L.Get(4))
	if fn == nil {
		return 2
	}
	L.Push(fn)
	return 1
}

// readChunk calls f for pieces of source until it gives nil or "".
func (h *Host) readChunk(L *lua.LState, f *lua.LFunction) (src, msg string) {
	var b strings.Builder
	for {
		L.Push(f)
		L.Call(0, 1)
		v := L.Get(-1)
		L.Pop(1)
		s, ok := v.(lua.LString)
		if v == lua.LNil || ok && s == "" {
			return b.String(), ""
		}
		if !ok {
			return "", "reader function must return a string"
		}
		h.chargeBytes(L, len(s))
		b.WriteString(string(s))
	}
}

// chunkName is how Lua shows a chunk's name: =name and @file bare, source text as [string "..."].
func chunkName(s string) string {
	const width = 44
	if strings.HasPrefix(s, "=") || strings.HasPrefix(s, "@") {
		return s[1:]
	}
	first, _, more := strings.Cut(s, "\n")
	if len(first) > width {
		first, more = first[:width], true
	}
	if more {
		first += "..."
	}
	return `[string "` + first + `"]`
}

// loadFile compiles a file, or pushes nil and the error and returns nil.
func (h *Host) loadFile(L *lua.LState, path, mode string, env lua.LValue) *lua.LFunction {
	src, err := h.opts.ReadFile(path)
	if err != nil {
		L.Push(lua.LNil)
		L.Push(lua.LString("cannot open " + path + ": " + reason(err)))
		return nil
	}
	return h.compiled(L, string(src), path, mode, env)
}

func loadLoadFile(h *Host, L *lua.LState) int {
	path := h.str(L, 1)
	h.mayRead(L, "loadfile '"+path+"'")
	mode := h.optStr(L, 2, "bt")
	fn := h.loadFile(L, path, mode, L.Get(3))
	if fn == nil {
		return 2
	}
	L.Push(fn)
	return 1
}

func loadDoFile(h *Host, L *lua.LState) int {
	path := h.str(L, 1)
	h.mayRead(L, "dofile '"+path+"'")
	fn := h.loadFile(L, path, "bt", lua.LNil)
	if fn == nil {
		L.Error(L.Get(-1), 0)
	}
	L.SetTop(0)
	L.Push(fn)
	L.Call(0, lua.MultRet)
	return L.GetTop()
}

// loadRequire is require(name): the module and where it came from.
func loadRequire(h *Host, L *lua.LState) int {
	name := h.str(L, 1)
	if v := h.loaded.RawGetString(name); lua.LVAsBool(v) {
		L.Push(v)
		return 1
	}
	if h.preloader(name) == lua.LNil {
		h.mayRead(L, "require '"+name+"'")
	}
	searchers, ok := h.pkg.RawGetString("searchers").(*lua.LTable)
	if !ok {
		h.raise(L, "'package.searchers' must be a table")
	}
	var tried strings.Builder
	for i := 1; ; i++ {
		searcher := searchers.RawGetInt(i)
		if searcher == lua.LNil {
			h.raise(L, "module '%s' not found:%s", name, tried.String())
		}
		L.Push(searcher)
		L.Push(lua.LString(name))
		L.Call(1, 2)
		loader, extra := L.Get(-2), L.Get(-1)
		L.Pop(2)
		if _, ok := loader.(*lua.LFunction); ok {
			return h.runLoader(L, name, loader, extra)
		}
		if s, ok := loader.(lua.LString); ok {
			tried.WriteString("\n\t" + string(s))
		}
	}
}

func (h *Host) runLoader(L *lua.LState, name string, loader, extra lua.LValue) int {
	L.Push(loader)
	L.Push(lua.LString(name))
	L.Push(extra)
	L.Call(2, 1)
	if v := L.Get(-1); v != lua.LNil {
		h.loaded.RawSetString(name, v)
	} else if h.loaded.RawGetString(name) == lua.LNil {
		h.loaded.RawSetString(name, lua.LTrue)
	}
	if extra != lua.LString(preloaded) {
		h.modules = append(h.modules, name)
	}
	L.Push(h.loaded.RawGetString(name))
	L.Push(extra)
	return 2
}

// Forget makes require load modules anew, those of package.preload excepted. A state that outlives a configuration does so before it
// loads the next: the files may have changed.
func (h *Host) Forget() {
	for _, name := range h.modules {
		h.loaded.RawSetString(name, lua.LNil)
	}
	h.modules = nil
}

// preloader is package.preload[name].
func (h *Host) preloader(name string) lua.LValue {
	if preload, ok := h.pkg.RawGetString("preload").(*lua.LTable); ok {
		return preload.RawGetString(name)
	}
	return lua.LNil
}

// preloaded is where a preloaded module is said to come from.
const preloaded = ":preload:"

func searchPreload(h *Host, L *lua.LState) int {
	name := h.str(L, 1)
	if v := h.preloader(name); v != lua.LNil {
		L.Push(v)
		L.Push(lua.LString(preloaded))
		return 2
	}
	L.Push(lua.LString("no field package.preload['" + name + "']"))
	return 1
}

func searchFiles(h *Host, L *lua.LState) int {
	name := h.str(L, 1)
	h.mayRead(L, "require '"+name+"'")
	path, ok := h.pkg.RawGetString("path").(lua.LString)
	if !ok {
		h.raise(L, "'package.path' must be a string")
	}
	file, tried := h.searchPath(name, string(path), ".", "/")
	if file == "" {
		L.Push(lua.LString(tried))
		return 1
	}
	fn := h.loadFile(L, file, "bt", lua.LNil)
	if fn == nil {
		h.raise(L, "error loading module '%s' from file '%s':\n\t%s", name, file, L.Get(-1).String())
	}
	L.Push(fn)
	L.Push(lua.LString(file))
	return 2
}

// searchPath finds the first readable file of path's templates.
func (h *Host) searchPath(name, path, sep, rep string) (file, tried string) {
	if sep != "" {
		name = strings.ReplaceAll(name, sep, rep)
	}
	var missing []string
	for _, template := range strings.Split(path, ";") {
		if template == "" {
			continue
		}
		file := strings.ReplaceAll(template, "?", name)
		if _, err := h.opts.ReadFile(file); err == nil {
			return file, ""
		}
		missing = append(missing, "no file '"+file+"'")
	}
	return "", strings.Join(missing, "\n\t")
}

func loadSearchPath(h *Host, L *lua.LState) int {
	name, path := h.str(L, 1), h.str(L, 2)
	h.mayRead(L, "package.searchpath '"+name+"'")
	file, tried := h.searchPath(name, path, h.optStr(L, 3, "."), h.optStr(L, 4, "/"))
	if file == "" {
		L.Push(lua.LNil)
		L.Push(lua.LString(tried))
		return 2
	}
	L.Push(lua.LString(file))
	return 1
}

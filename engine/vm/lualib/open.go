// What --lua-unsafe restores: gopher-lua's own functions where the sandbox has none.

package lualib

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// restored are the functions that --lua-unsafe adds, by library.
var restored = map[string][]string{
	"os":    {"execute", "exit", "remove", "rename", "setenv", "setlocale", "tmpname"},
	"io":    {"close", "flush", "input", "output", "popen", "read", "stderr", "stdin", "stdout", "tmpfile", "write"},
	"debug": {"getlocal", "getmetatable", "getupvalue", "setlocal", "setmetatable", "setupvalue"},
}

// openUnsafe adds to the libraries what the sandbox leaves out.
func (h *Host) openUnsafe() {
	for name, open := range map[string]lua.LGFunction{"os": lua.OpenOs, "io": lua.OpenIo, "debug": lua.OpenDebug} {
		own := h.globals().RawGetString(name).(*lua.LTable)
		h.globals().RawSetString(name, lua.LNil)
		open(h.L)
		native := h.L.Get(-1).(*lua.LTable)
		h.L.Pop(1)
		h.globals().RawSetString(name, own)
		for _, field := range restored[name] {
			v := native.RawGetString(field)
			if fn, ok := v.(*lua.LFunction); ok {
				v = h.guarded(name+"."+field, fn.GFunction)
			}
			own.RawSetString(field, v)
		}
		if name == "io" {
			h.openUnsafeIO(own, native)
		}
	}
	h.pkg.RawSetString("loadlib", h.fn("package.loadlib", func(h *Host, L *lua.LState) int {
		L.Push(lua.LNil)
		L.Push(lua.LString("dynamic libraries not enabled"))
		L.Push(lua.LString("absent"))
		return 3
	}))
}

func (h *Host) guarded(name string, fn lua.LGFunction) *lua.LFunction {
	return h.fn(name, func(_ *Host, L *lua.LState) int { return fn(L) })
}

// openUnsafeIO lets io.open write, and its files and io.read take formats without the asterisk of Lua 5.1.
func (h *Host) openUnsafeIO(own, native *lua.LTable) {
	write := native.RawGetString("open").(*lua.LFunction).GFunction
	own.RawSetString("open", h.fn("io.open", func(h *Host, L *lua.LState) int {
		if mode := h.optStr(L, 2, "r"); mode == "r" || mode == "rb" {
			return ioOpen(h, L)
		}
		return write(L)
	}))
	kind := native.RawGetString("type").(*lua.LFunction).GFunction
	own.RawSetString("type", h.fn("io.type", func(h *Host, L *lua.LState) int {
		if n := ioType(h, L); L.Get(-1) != lua.LNil {
			return n
		}
		return kind(L)
	}))
	own.RawSetString("read", h.guarded("io.read", starred(native.RawGetString("read").(*lua.LFunction).GFunction)))
	mt, _ := h.L.GetMetatable(native.RawGetString("stdout")).(*lua.LTable)
	if mt == nil {
		return
	}
	methods, ok := mt.RawGetString("__index").(*lua.LTable)
	if !ok {
		methods = mt
	}
	for _, name := range []string{"read", "lines"} {
		if fn, ok := methods.RawGetString(name).(*lua.LFunction); ok {
			methods.RawSetString(name, h.guarded("file:"+name, starred(fn.GFunction)))
		}
	}
}

// starred puts an asterisk before formats that have none.
func starred(fn lua.LGFunction) lua.LGFunction {
	return func(L *lua.LState) int {
		for i := 1; i <= L.GetTop(); i++ {
			if s, ok := L.Get(i).(lua.LString); ok && len(s) == 1 && strings.Contains("nlLa", string(s)) {
				L.Replace(i, "*"+s)
			}
		}
		return fn(L)
	}
}

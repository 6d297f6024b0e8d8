// The basic functions.

package lualib

import (
	"runtime/metrics"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

var baseLib = []entry{
	{"assert", baseAssert}, {"collectgarbage", baseCollectGarbage}, {"error", baseError}, {"getmetatable", baseGetMetatable},
	{"ipairs", baseIpairs}, {"next", baseNext}, {"pairs", basePairs}, {"print", basePrint}, {"rawequal", baseRawEqual},
	{"rawget", baseRawGet}, {"rawlen", baseRawLen}, {"rawset", baseRawSet}, {"select", baseSelect}, {"setmetatable", baseSetMetatable},
	{"tonumber", baseToNumber}, {"tostring", baseToString}, {"type", baseType}, {"warn", baseWarn},
}

func (h *Host) openBase() {
	h.lib("", baseLib)
	g := h.globals()
	g.RawSetString("_G", g)
	g.RawSetString("_VERSION", lua.LString("Lua 5.4"))
	h.bound["next"] = closed(g.RawGetString("next"))
	h.bound["ipairs"] = closed(h.fn("for iterator", ipairsNext))
}

func baseAssert(h *Host, L *lua.LState) int {
	if lua.LVAsBool(h.any(L, 1)) {
		return L.GetTop()
	}
	if L.GetTop() >= 2 {
		L.Error(L.Get(2), 0)
	}
	L.Error(lua.LString("assertion failed!"), 0)
	return 0
}

// heap is the metric behind collectgarbage("count"); reading it stops nothing.
const heap = "/memory/classes/heap/objects:bytes"

// baseCollectGarbage never collects: the heap is the whole process's.
func baseCollectGarbage(h *Host, L *lua.LState) int {
	switch opt := h.optStr(L, 1, "collect"); opt {
	case "count":
		s := []metrics.Sample{{Name: heap}}
		metrics.Read(s)
		L.Push(lua.LNumber(float64(s[0].Value.Uint64()) / 1024))
	case "collect", "stop", "restart", "setpause", "setstepmul":
		L.Push(lua.LNumber(0))
	case "step", "isrunning":
		L.Push(lua.LTrue)
	case "incremental", "generational":
		L.Push(lua.LString("incremental"))
	default:
		h.argError(L, 1, "invalid option '"+opt+"'")
	}
	return 1
}

func baseError(h *Host, L *lua.LState) int {
	v := L.Get(1)
	level := h.optInt(L, 2, 1)
	if s, ok := v.(lua.LString); ok && level > 0 {
		v = lua.LString(h.where(L, level)) + s
	}
	L.Error(v, 0)
	return 0
}

func baseGetMetatable(h *Host, L *lua.LState) int {
	L.Push(L.GetMetatable(h.any(L, 1)))
	return 1
}

func baseSetMetatable(h *Host, L *lua.LState) int {
	t := h.table(L, 1)
	if mt := L.Get(2); L.GetTop() < 2 || mt != lua.LNil && mt.Type() != lua.LTTable {
		h.typeError(L, 2, "nil or table")
	}
	if L.GetMetaField(t, "__metatable") != lua.LNil {
		h.raise(L, "cannot change a protected metatable")
	}
	t.Metatable = L.Get(2)
	L.SetTop(1)
	return 1
}

func ipairsNext(h *Host, L *lua.LState) int {
	i, _ := L.Get(2).(lua.LNumber)
	n := int(i) + 1
	v := h.index(L, L.Get(1), n)
	if v == lua.LNil {
		L.Push(lua.LNil)
		return 1
	}
	L.Push(lua.LNumber(n))
	L.Push(v)
	return 2
}

func baseIpairs(h *Host, L *lua.LState) int {
	v := h.any(L, 1)
	if v == lua.LNil {
		h.typeError(L, 1, "table")
	}
	L.Push(h.bound["ipairs"].Value())
	L.Push(v)
	L.Push(lua.LNumber(0))
	return 3
}

func baseNext(h *Host, L *lua.LState) int {
	t := h.table(L, 1)
	k, v := t.Next(L.Get(2))
	h.chargeHoles(L, t, L.Get(2), k)
	L.Push(k)
	if k == lua.LNil {
		return 1
	}
	L.Push(v)
	return 2
}

func basePairs(h *Host, L *lua.LState) int {
	v := h.any(L, 1)
	if mt := L.GetMetaField(v, "__pairs"); mt != lua.LNil {
		L.Push(mt)
		L.Push(v)
		L.Call(1, 3)
		return 3
	}
	h.table(L, 1)
	L.Push(h.bound["next"].Value())
	L.Push(v)
	L.Push(lua.LNil)
	return 3
}

func basePrint(h *Host, L *lua.LState) int {
	h.opts.Print(strings.Join(h.strings(L), "\t"))
	return 0
}

func baseWarn(h *Host, L *lua.LState) int {
	for i := 1; i <= max(L.GetTop(), 1); i++ {
		h.str(L, i)
	}
	if s := strings.Join(h.strings(L), ""); !strings.HasPrefix(s, "@") {
		h.opts.Print("Lua warning: " + s)
	}
	return 0
}

// strings is tostring of every argument.
func (h *Host) strings(L *lua.LState) []string {
	out := make([]string, L.GetTop())
	for i := range out {
		out[i] = h.tostring(L, L.Get(i+1))
		h.chargeBytes(L, len(out[i]))
	}
	return out
}

func baseRawEqual(h *Host, L *lua.LState) int {
	L.Push(lua.LBool(L.RawEqual(h.any(L, 1), h.any(L, 2))))
	return 1
}

func baseRawGet(h *Host, L *lua.LState) int {
	L.Push(h.table(L, 1).RawGet(h.any(L, 2)))
	return 1
}

func baseRawSet(h *Host, L *lua.LState) int {
	t, k, v := h.table(L, 1), h.any(L, 2), h.any(L, 3)
	if n, ok := k.(lua.LNumber); ok {
		h.chargeGap(L, t, int(n))
	}
	L.RawSet(t, k, v)
	L.SetTop(1)
	return 1
}

func baseRawLen(h *Host, L *lua.LState) int {
	switch v := L.Get(1).(type) {
	case *lua.LTable:
		L.Push(lua.LNumber(v.Len()))
	case lua.LString:
		L.Push(lua.LNumber(len(v)))
	default:
		h.argError(L, 1, "table or string expected")
	}
	return 1
}

func baseSelect(h *Host, L *lua.LState) int {
	n := L.GetTop()
	if s, ok := L.Get(1).(lua.LString); ok && strings.HasPrefix(string(s), "#") {
		L.Push(lua.LNumber(n - 1))
		return 1
	}
	i := h.int(L, 1)
	switch {
	case i < 0:
		i += n
	case i > n:
		i = n
	}
	if i < 1 {
		h.argError(L, 1, "index out of range")
	}
	h.Charge(L, (n-i)/gapPerStep)
	return n - i
}

func baseToNumber(h *Host, L *lua.LState) int {
	if s, ok := L.Get(1).(lua.LString); ok {
		h.Charge(L, len(s)/bytesPerStep)
	}
	if L.Get(2) == lua.LNil {
		if v, ok := Number(h.any(L, 1)); ok {
			L.Push(lua.LNumber(v))
		} else {
			L.Push(lua.LNil)
		}
		return 1
	}
	base := h.int(L, 2)
	s, ok := L.Get(1).(lua.LString)
	if !ok {
		h.typeError(L, 1, "string")
	}
	if base < 2 || base > 36 {
		h.argError(L, 2, "base out of range")
	}
	if v, ok := parseBase(string(s), base); ok {
		L.Push(lua.LNumber(v))
	} else {
		L.Push(lua.LNil)
	}
	return 1
}

func baseToString(h *Host, L *lua.LState) int {
	v := h.any(L, 1)
	if _, ok := v.(lua.LString); ok {
		L.SetTop(1)
		return 1
	}
	L.Push(lua.LString(h.tostring(L, v)))
	return 1
}

// tostring is v as text, by __tostring or __name if its metatable has one.
func (h *Host) tostring(L *lua.LState, v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return formatNumber(float64(v))
	case *lua.LTable, *lua.LUserData:
		if mt := L.GetMetaField(v, "__tostring"); mt != lua.LNil {
			L.Push(mt)
			L.Push(v)
			L.Call(1, 1)
			s := L.Get(-1)
			L.Pop(1)
			if !lua.LVCanConvToString(s) {
				h.raise(L, "'__tostring' must return a string")
			}
			return h.tostring(L, s)
		}
		if name, ok := L.GetMetaField(v, "__name").(lua.LString); ok {
			text := v.String()
			return string(name) + text[strings.IndexByte(text, ':'):]
		}
	}
	return v.String()
}

func baseType(h *Host, L *lua.LState) int {
	L.Push(lua.LString(h.any(L, 1).Type().String()))
	return 1
}

// Variables to be closed: what compiled code calls for local x <close>. The protected call itself is in the prelude.

package lualib

import (
	lua "github.com/yuin/gopher-lua"
)

// closable(v, name) raises an error unless v has a __close metamethod. What the host made needs none: the garbage collector
// is enough for it. Without a name v is what a generic for should close.
func closable(h *Host, L *lua.LState) int {
	v := L.Get(1)
	if L.GetTop() < 2 {
		h.raise(L, "the fourth value of a generic 'for', to be closed after it, is not supported: use local x <close> around the loop")
	}
	if !lua.LVAsBool(v) || v.Type() == lua.LTUserData || L.GetMetaField(v, "__close") != lua.LNil {
		return 0
	}
	h.raise(L, "variable '%s' got a non-closable value", L.Get(2).String())
	return 0
}

// closer(v) is what closes v, nil if nothing does.
func closer(_ *Host, L *lua.LState) int {
	v := L.Get(1)
	if lua.LVAsBool(v) {
		L.Push(L.GetMetaField(v, "__close"))
	} else {
		L.Push(lua.LNil)
	}
	return 1
}

// closePack(...) packs how a block was left, and the values with which.
func closePack(h *Host, L *lua.LState) int { return tabPack(h, L) }

// closeUnpack(t) gives the values.
func closeUnpack(h *Host, L *lua.LState) int {
	t := L.Get(1).(*lua.LTable)
	n := int(t.RawGetString("n").(lua.LNumber))
	h.checkResults(L, n, "too many results to return")
	for i := 2; i <= n; i++ {
		L.Push(t.RawGetInt(i))
	}
	return n - 1
}

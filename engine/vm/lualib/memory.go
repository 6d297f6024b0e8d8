// Memory in one instruction: tables that grow by more than what is put into them, and varargs.

package lualib

import (
	lua "github.com/yuin/gopher-lua"
)

// gapPerStep is how many values an array may grow by for a step: gopher-lua fills it up to the highest index.
const gapPerStep = 8

// chargeGap charges for what t grows by when k is set.
func (h *Host) chargeGap(L *lua.LState, t *lua.LTable, k int) {
	if k > 64 && k < lua.MaxArrayIndex {
		if gap := k - arrayLen(t); gap > gapPerStep {
			h.Charge(L, gap/gapPerStep)
		}
	}
}

// set(t, k, v) is t[k] = v as compiled code does it where k is computed.
func (h *Host) set(L *lua.LState) int {
	k := L.Get(2)
	t, ok := L.Get(1).(*lua.LTable)
	if !ok {
		L.SetTable(L.Get(1), k, L.Get(3))
		return 0
	}
	n, ok := k.(lua.LNumber)
	if !ok {
		L.SetTable(t, k, L.Get(3))
		return 0
	}
	v := L.Get(3)
	if i := int(n); v != lua.LNil {
		h.chargeGap(L, t, i)
	} else if lua.LNumber(i) == n && i > 0 && i == arrayLen(t) && t.Metatable == lua.LNil {
		t.Remove(i) // shortens the array: # goes through the nils at its end
		return 0
	}
	L.SetTable(t, k, v)
	return 0
}

// made charges for a table that was made with computed keys.
func made(h *Host, L *lua.LState) int {
	h.Charge(L, arrayLen(L.Get(1).(*lua.LTable))/gapPerStep)
	return 1
}

// varied is what stands for ... where all its values are used.
func varied(h *Host, L *lua.LState) int {
	n := L.GetTop()
	h.Charge(L, n/gapPerStep)
	return n
}

// holesPerStep is how many removed keys next may pass for a step. gopher-lua never forgets a key's place.
const holesPerStep = 4

// chargeHoles charges next(t, from) = to for the keys between that have been removed.
func (h *Host) chargeHoles(L *lua.LState, t *lua.LTable, from, to lua.LValue) {
	n, _ := keyed(t, lua.LNil)
	if n < 256 { // few enough to look at for nothing
		return
	}
	_, begin := keyed(t, from)
	end := n
	if to != lua.LNil {
		if _, end = keyed(t, to); end < 0 {
			return // in the array
		}
	}
	h.Charge(L, (end-begin-1)/holesPerStep)
}

// What machines of package quick run of the library themselves.

package lualib

import (
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/quick"
	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

// pure are the builtins that call no function of a script's and whose errors come before they have done anything.
var pure = []string{
	"type", "tonumber", "rawequal", "rawget", "rawlen", "rawset", "select", "ipairs",
	"math.abs", "math.ceil", "math.floor", "math.fmod", "math.random", "math.sqrt", "math.tointeger", "math.type", "math.ult",
	"string.byte", "string.char", "string.find", "string.len", "string.lower", "string.match", "string.rep", "string.reverse", "string.sub", "string.upper",
	"os.clock",
}

// plainly are those of which that is true as long as no argument has metamethods; of those of tables only the first one matters.
var plainly = []string{
	"tostring", "string.format", "math.max", "math.min", "table.concat", "table.insert", "table.unpack", "table.remove",
}

func (h *Host) openQuick() {
	h.Quick.L, h.Quick.Steps, h.Quick.Refill, h.Quick.Changing = h.L, &h.meter.reserve, h.refill, h.opts.Unsafe
	h.desk = h.NewThread()
	for fn, name := range h.names {
		switch {
		case name == "next":
			h.Quick.AddIterator(fn, h.Native(fn.GFunction))
		case name == "for iterator":
			h.Quick.AddIterator(fn, quickIpairs)
		case name == "pairs":
			h.Quick.Add(fn, h.quickPairs)
		case slices.Contains(pure, name):
			h.Quick.Add(fn, h.Native(fn.GFunction))
		case slices.Contains(plainly, name):
			h.Quick.Add(fn, ofPlain(h.Native(fn.GFunction), strings.HasPrefix(name, "table.")))
		}
	}
	h.Quick.Add(h.bound[source.Set].Value().(*lua.LFunction), quickSet)
	h.Quick.Add(h.bound[source.Concat].Value().(*lua.LFunction), h.quickConcat)
}

// Native has a machine call fn with its arguments on a thread that runs nothing. What fn raises is raised when Lua calls it again: it
// must not have done anything by then that shows. It must not call scripts; it may end in State.Wait.
func (h *Host) Native(fn lua.LGFunction) quick.Native {
	return func(args []lua.LValue, ret *quick.Results) (n int) {
		L, steps := h.desk, h.Left()
		L.SetTop(0)
		for _, v := range args {
			L.Push(v)
		}
		defer func() {
			if n > len(ret) || recover() != nil {
				h.Reset(steps) // Lua will pay
				n = quick.Declines
				if !top(L).none() { // nothing has unwound it
					h.desk = h.NewThread()
				}
			}
		}()
		n = fn(L)
		for i := range min(n, len(ret)) {
			ret[i] = L.Get(i - n)
		}
		return n
	}
}

// ofPlain is native where no argument, or not the first, has metamethods.
func ofPlain(native quick.Native, first bool) quick.Native {
	return func(args []lua.LValue, ret *quick.Results) int {
		for _, v := range args {
			switch v := v.(type) {
			case *lua.LTable:
				if v.Metatable != lua.LNil {
					return quick.Declines
				}
			case *lua.LUserData:
				return quick.Declines
			}
			if first {
				break
			}
		}
		return native(args, ret)
	}
}

// OnDesk reports whether L is the thread on which machines call Go functions: there waiting is the machine's.
func (h *Host) OnDesk(L *lua.LState) bool { return L == h.desk }

// refill takes n steps that are not all in the reserve; false where tick would raise.
func (h *Host) refill(n int) bool {
	left := h.Left() - int64(n)
	if left < 0 {
		return false
	}
	h.meter.give(left)
	return true
}

// Pay is Charge, if there are so many steps; else it does nothing.
func (h *Host) Pay(n int) bool {
	if m := &h.meter; m.reserve >= int64(n) {
		m.reserve -= int64(n)
		return true
	}
	return h.refill(n)
}

// quickSet is set where an array does not grow by a gap.
func quickSet(args []lua.LValue, _ *quick.Results) int {
	t, ok := args[0].(*lua.LTable)
	if !ok || t.Metatable != lua.LNil {
		return quick.Declines
	}
	if k, ok := args[1].(lua.LNumber); ok {
		switch i, n := int(k), arrayLen(t); {
		case i > n+1 && i > 64:
			return quick.Declines
		case args[2] == lua.LNil && lua.LNumber(i) == k && i > 0 && i == n:
			t.Remove(i) // as set does
			return 0
		}
	}
	if !quick.Store(t, args[1], args[2]) {
		return quick.Declines
	}
	return 0
}

// quickConcat is concat of strings and numbers.
func (h *Host) quickConcat(args []lua.LValue, ret *quick.Results) int {
	size := 0
	for _, v := range args {
		if !plain(v) {
			return quick.Declines
		}
		size += width(v)
	}
	if size > maxString || !h.Pay(size/bytesPerStep+1) {
		return quick.Declines
	}
	b := make([]byte, 0, size)
	for _, v := range args {
		b = appendPlain(b, v)
	}
	ret[0] = own(b)
	return 1
}

// quickPairs is pairs of a table without a metatable.
func (h *Host) quickPairs(args []lua.LValue, ret *quick.Results) int {
	if len(args) == 0 {
		return quick.Declines
	}
	t, ok := args[0].(*lua.LTable)
	if !ok || t.Metatable != lua.LNil {
		return quick.Declines
	}
	ret[0], ret[1], ret[2] = h.bound["next"].Value(), t, lua.LNil
	return 3
}

// quickIpairs is ipairsNext of one.
func quickIpairs(args []lua.LValue, ret *quick.Results) int {
	if len(args) < 2 {
		return quick.Declines
	}
	t, ok := args[0].(*lua.LTable)
	i, too := args[1].(lua.LNumber)
	if !ok || !too || t.Metatable != lua.LNil {
		return quick.Declines
	}
	n := int(i) + 1
	if ret[1] = t.RawGetInt(n); ret[1] == lua.LNil {
		ret[0] = lua.LNil
		return 1
	}
	ret[0] = quick.Number(lua.LNumber(n))
	return 2
}

// Numbers among the arguments of functions: as in Lua, a string that reads like one is one.

package luaapi

import (
	"math"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm"
)

// numberArg is argument i as a number, or an error.
func numberArg(L *lua.LState, i int) float64 {
	n, ok := vm.Number(L.Get(i))
	if !ok {
		L.TypeError(i, lua.LTNumber)
	}
	return n
}

// intArg is argument i as an integer; what is behind the point is cut.
func intArg(L *lua.LState, i int) int64 { return int64(numberArg(L, i)) }

// whole is v as an integer, if it is one.
func whole(v lua.LValue) (n int64, ok bool) {
	f, ok := vm.Number(v)
	if !ok || f != math.Trunc(f) || f < -1<<63 || f >= 1<<63 {
		return 0, false
	}
	return int64(f), true
}

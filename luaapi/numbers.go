// Numbers among the arguments of functions, and among options: as in Lua, a string that reads like one is one.

package luaapi

import (
	"fmt"
	"math"
	"time"

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
	if !ok {
		return 0, false
	}
	return wholeNumber(f)
}

func wholeNumber(f float64) (n int64, ok bool) {
	if f != math.Trunc(f) || f < -1<<63 || f >= 1<<63 {
		return 0, false
	}
	return int64(f), true
}

// wholeArg is argument i of a setter as an integer, or an error: unlike intArg, for what is said once and kept.
func wholeArg(L *lua.LState, name string, i int) int64 {
	f := numberArg(L, i)
	n, ok := wholeNumber(f)
	if !ok {
		raise(L, notWhole("mcp."+name, f).Error())
	}
	return n
}

func notWhole(who string, f float64) error {
	return fmt.Errorf("%s: want a whole number, got %v", who, f)
}

// finite wants a number from 0 on.
func finite(who, what string, f float64) (float64, error) {
	if !(f >= 0) || math.IsInf(f, 1) {
		return 0, fmt.Errorf("%s: want %s from 0 on, got %v", who, what, f)
	}
	return f, nil
}

// timeRule is which times, in seconds, an option or a setter takes; who it is stands before the error.
type timeRule func(who string, s float64) (time.Duration, error)

// someTime is one that must not be 0: in memcached's proxy, which has whole microseconds, what is shorter runs out at once.
func someTime(who string, s float64) (time.Duration, error) {
	if !(s >= 1e-6) || math.IsInf(s, 1) {
		return 0, fmt.Errorf("%s: want a number of seconds, 0.000001 or more, got %v", who, s)
	}
	return duration(s), nil
}

// anyTime is one that may be 0.
func anyTime(who string, s float64) (time.Duration, error) {
	s, err := finite(who, "a number of seconds", s)
	return duration(s), err
}

// restTime is rounded to whole seconds, at least one, as memcached's proxy does for retry times.
func restTime(who string, s float64) (time.Duration, error) {
	d, err := anyTime(who, s)
	d = d.Round(time.Second)
	return max(time.Second, d), err
}

// duration converts seconds. Thirty years are never, for whoever says it by a large number.
func duration(s float64) time.Duration { return time.Duration(min(s, 1e9) * float64(time.Second)) }

// flapRamp is how fast rests grow, no slower than in memcached's proxy.
func flapRamp(who string, f float64) (float64, error) {
	f, err := finite(who, "a factor", f)
	return max(1.1, f), err
}

// Counters by name: numbers that scripts add to and operators read.

package luaapi

import (
	"fmt"
	"math"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/stat"
)

// Counters gives out the counters that scripts name. The engine implements it.
type Counters interface {
	// Counter is the counter with this name: the same one for all states and generations. loading: for a load, which may be given up.
	Counter(name string, loading bool) (*stat.Counter, error)
}

var counterFuncs = []Func{
	{"counter", StageBoth, "name", "counter",
		"The user counter with this name, one for all workers and kept over reloads. It is shown as those of add_stat are, and adds to one that has the name. Tidepool's own.", newCounter},
}

var counterMethods = []Method{
	{"add", "n?", "", "Adds n (1), a whole number that is not negative.", addToCounter},
}

func newCounter(a *API, L *lua.LState) int {
	name := L.CheckString(1)
	if err := checkStatName(name); err != nil {
		return raise(L, "mcp.counter: "+err.Error())
	}
	if name == "" {
		return raise(L, "mcp.counter: want a name")
	}
	c := stat.NewCounter()
	if a.o.Counters != nil {
		var err error
		if c, err = a.o.Counters.Counter(name, a.st.Loading()); err != nil {
			return raise(L, "mcp.counter: "+err.Error())
		}
	}
	L.Push(a.counter(c))
	return 1
}

// counter wraps c for scripts.
func (a *API) counter(c *stat.Counter) *lua.LUserData {
	ud := a.st.L.NewUserData()
	ud.Value, ud.Metatable = c, a.counterMT
	return ud
}

func addToCounter(a *API, L *lua.LState) int {
	ud, _ := L.Get(1).(*lua.LUserData)
	if ud == nil {
		return raise(L, "add: want a counter, got "+L.Get(1).Type().String())
	}
	c, ok := ud.Value.(*stat.Counter)
	if !ok {
		return raise(L, "add: want a counter, got another object")
	}
	n := uint64(1)
	switch v := L.Get(2).(type) {
	case *lua.LNilType:
	case lua.LNumber:
		if !(v >= 0 && v <= 1<<53) || v != lua.LNumber(math.Trunc(float64(v))) {
			return raise(L, fmt.Sprintf("a counter can be added whole numbers that are not negative, got %v", v))
		}
		n = uint64(v)
	default:
		return raise(L, fmt.Sprintf("a counter can be added numbers, got a %s", v.Type()))
	}
	c.Add(a.o.Stripe, n)
	return 0
}

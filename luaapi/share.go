// Things that all workers of a proxy have in common: stores, gates, sketches of hot keys.

package luaapi

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// Store is a store of a proxy's own. Exec runs one request and appends its answer; it is called concurrently.
type Store interface {
	Exec(r *mc.Request, dst []byte) []byte
}

// Sharer keeps what workers have in common. The engine implements it.
type Sharer interface {
	// Share gives the thing of this kind and name, made by make if there is none. It lives until the last generation that has asked for it is
	// gone; then it is closed, if it is an io.Closer. A name that begins with a 0 byte is the present generation's own.
	Share(kind, name string, make func() (any, error)) (any, error)
	// OpenStore makes a store of so many bytes, for Share to keep.
	OpenStore(memory int64) (Store, error)
	// OpenFetcher makes what answers gets by fetching, for Share to keep.
	OpenFetcher(FetchSpec) (Target, error)
}

// share is Share for a script that gives a name, or none: then the thing is that of the same call in the other workers of this load, which make the
// same calls in the same order.
func share[T any](a *API, L *lua.LState, kind, name string, make func() (any, error)) T {
	if !a.st.Loading() {
		L.RaiseError("mcp.%s: it is made while the configuration loads, in mcp_config_routes", kind)
	}
	if name == "" {
		a.unnamed++
		name = fmt.Sprintf("\x00%d", a.unnamed)
	}
	v, err := a.o.Worker.Share(kind, name, make)
	if err != nil {
		raise(L, "mcp."+kind+": "+err.Error())
	}
	return v.(T)
}

// given is the table of a call such as mcp.store{...}; without one it is empty. Fields that it does not know are an error.
func given(L *lua.LState, what string, fields ...string) *lua.LTable {
	if L.GetTop() == 0 {
		return L.NewTable()
	}
	t := L.CheckTable(1)
	t.ForEach(func(k, _ lua.LValue) {
		for _, f := range fields {
			if k == lua.LString(f) {
				return
			}
		}
		L.RaiseError("mcp.%s: there is no field %q", what, k.String())
	})
	return t
}

// textField is a field that is a string, or is not there.
func textField(L *lua.LState, what string, t *lua.LTable, name string) string {
	switch v := t.RawGetString(name).(type) {
	case *lua.LNilType:
	case lua.LString:
		return string(v)
	default:
		L.RaiseError("mcp.%s: %s: want a string, got %s", what, name, v.Type())
	}
	return ""
}

// numberField is a field that is a number of at least min, or is not there.
func numberField(L *lua.LState, what string, t *lua.LTable, name string, min, otherwise float64) float64 {
	switch v := t.RawGetString(name).(type) {
	case *lua.LNilType:
	case lua.LNumber:
		if !(float64(v) >= min) {
			L.RaiseError("mcp.%s: %s: want at least %v, got %v", what, name, min, float64(v))
		}
		return float64(v)
	default:
		L.RaiseError("mcp.%s: %s: want a number, got %s", what, name, v.Type())
	}
	return otherwise
}

var shareFuncs = []Func{
	{"store", StageRoutes, "{name=, memory=}?", "store",
		"A store of the proxy's own, with memory bytes (64 MiB). store(request) runs a request on it, at once, and gives the response. All workers have the same one; with a name, a later load that names it has it too, with what it holds.", newStore},
	{"hotkeys", StageRoutes, "{name=, window=, size=}?", "hotkeys",
		"Counts keys. hot(request or key, n?) counts n (1) and gives the key's rate a second, over about the last window (5) seconds. Memory is fixed: size (16384) cells in each of four rows of 8 bytes; a rate may be too high, by about all that is counted / size, never too low. All workers have the same; name is as in mcp.store.", newHotkeys},
	{"gate", StageRoutes, "{name=}?", "gate",
		"What requests for one key wait at; see rctx:lead and rctx:wait_gate. gate(request or key, response?) opens it: nobody leads any more, all who wait go on and get a copy of the response. All workers have the same; name is as in mcp.store.", newGate},
	{"http", StageRoutes, "{url=, timeout=, max=, connections=}", "pool",
		"A target that answers get, gets and mg by fetching. %k in url stands for the key, escaped; without it the key is appended. 200 is a hit, 404 and 410 are a miss, all else is an error. timeout (1) is in seconds, max (1048576) in bytes, connections (64) at once, the rest fails. Only what url names is fetched: redirects are not followed.", newHTTP},
}

// storeHandle is a store as scripts have it.
type storeHandle struct{ Store }

const defaultStore = 64 << 20

func newStore(a *API, L *lua.LState) int {
	t := given(L, "store", "name", "memory")
	memory := int64(numberField(L, "store", t, "memory", 1, defaultStore))
	name := textField(L, "store", t, "name")
	if name != "" {
		name = fmt.Sprintf("%s/%d", name, memory) // of another size it is another store
	}
	ud := L.NewUserData()
	ud.Value = storeHandle{share[Store](a, L, "store", name, func() (any, error) { return a.o.Worker.OpenStore(memory) })}
	ud.Metatable = a.storeMT
	L.Push(ud)
	return 1
}

// callStore is store(r).
func callStore(a *API, L *lua.LState) int {
	ud, _ := L.Get(1).(*lua.LUserData)
	st, _ := ud.Value.(storeHandle)
	c := a.current(L, "mcp.store")
	r := checkRequest(L, 2, "mcp.store")
	if len(r.r.Key) == 0 {
		return raise(L, noKey)
	}
	a.charge(L, askSteps, len(r.r.Value), bytesPerStep)
	p := c.run(st.Store, r.r)
	a.st.Host.Debit(len(p.Buf) / bytesPerStep)
	L.Push(c.response(p).ud)
	return 1
}

// keyArg is argument i, a request or a string, as the key of an item: what a base64 key stands for.
func (a *API) keyArg(L *lua.LState, i int, what string) []byte {
	if s, ok := L.Get(i).(lua.LString); ok {
		a.keyBuf = append(a.keyBuf[:0], s...)
		return a.keyBuf
	}
	r := checkRequest(L, i, what)
	key, err := r.r.DecodeKey(a.keyBuf[:0])
	if a.keyBuf = key; err != nil { // a backend refuses it
		a.keyBuf = append(key[:0], r.r.Key...)
	}
	return a.keyBuf
}

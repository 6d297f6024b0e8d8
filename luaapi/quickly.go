// What routes call for every request, and which machines of package quick call without a frame of Lua's.

package luaapi

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/quick"
)

// quickly are functions that call no function of a script's, and raise nothing once they have done something that shows: called again, they
// raise the same. By object, whose name is that of its metatable; with () it is called itself.
var quickly = named(map[string]string{
	"": `mcp.pool() mcp.inspector() mcp.mutator() mcp.ratelim_tbf() mcp.sharder() mcp.store() mcp.hotkeys() mcp.gate() mcp.await mcp.request
		mcp.stat mcp.log mcp.log_req mcp.log_reqsample mcp.time_mono_millis mcp.time_mono_micros mcp.time_real_millis`,
	"mcp.request": `command key decoded_key ltrimkey rtrimkey strip_prefix ntokens token token_int has_flag flag_token flag_token_int flag_add
		flag_set flag_replace flag_del match_res raw_line raw_value pure set_key copy`,
	"mcp.response": "ok hit code rank vlen line elapsed flag_blank raw_string digest",
	"mcp.rcontext": `enqueue enqueue_and_wait wait_handle wait_cond sleep res_good res_ok res_any result best_result worst_result handle_set_cb cfd client
		lead unlead wait_gate measure answer`,
	"mcp.counter":   "add",
	"mcp.meter":     "quantile observe open usual",
	"mcp.turnstile": "enter adapt inside",
	"mcp.flights":   "join land write",
})

func named(methods map[string]string) map[string]bool {
	names := map[string]bool{}
	for object, list := range methods {
		for _, name := range strings.Fields(list) {
			if object != "" {
				name = object + ":" + name
			}
			names[name] = true
		}
	}
	return names
}

// native is what a machine runs for fn. What nearly every request does is done at once if nothing is unusual about it.
func (a *API) native(name string, fn *lua.LFunction) quick.Native {
	usual := a.st.Host.Native(fn.GFunction)
	switch name {
	case "mcp.pool()":
		return func(args []lua.LValue, ret *quick.Results) int {
			if !a.asks(args) {
				return usual(args, ret)
			}
			return quick.Waits
		}
	case "mcp.rcontext:enqueue_and_wait":
		return func(args []lua.LValue, ret *quick.Results) int {
			if c := a.enqueues(args); c == nil {
				return usual(args, ret)
			} else if c.wait.ready {
				return copy(ret[:], c.result())
			} else {
				c.pauses()
			}
			return quick.Waits
		}
	}
	return usual
}

// asks is callPool; false: it has done nothing.
func (a *API) asks(args []lua.LValue) bool {
	if len(args) < 2 {
		return false
	}
	t, isTarget := toTarget(args[0])
	r := keyed(args[1])
	c := a.runs()
	if !isTarget || r == nil || c == nil || !a.paysSend(r.r) {
		return false
	}
	c.ask(t, r.r)
	c.pauses()
	return true
}

// enqueues is rctxEnqueueAndWait without a timeout, until it waits or need not; nil: it has done nothing.
func (a *API) enqueues(args []lua.LValue) *Call {
	if len(args) != 3 {
		return nil
	}
	c, r := a.runs(), keyed(args[1])
	n, isNumber := args[2].(lua.LNumber)
	at := int(n)
	if ud, ok := args[0].(*lua.LUserData); !ok || c == nil || ud != c.rctx || c.wait.kind != waitNone || r == nil || !isNumber {
		return nil
	}
	if lua.LNumber(at) != n || at < 0 || at >= len(c.handles) || !a.paysSend(r.r) {
		return nil
	}
	c.enqueue(r, at)
	c.beginHandle(at)
	c.dispatch()
	return c
}

// keyed is v as a request that can be sent to a pool; nil: it is none.
func keyed(v lua.LValue) *Request {
	if ud, ok := v.(*lua.LUserData); ok {
		if r, ok := ud.Value.(*Request); ok && r.r != nil && len(r.r.Key) > 0 {
			return r
		}
	}
	return nil
}

package luaapi

import (
	"sync/atomic"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// A second argument edits, whatever it is.
func TestTokenRemoves(t *testing.T) {
	for script, want := range map[string]string{
		`q:token(3)`:                "mg foo v k",
		`q:token(3, "")`:            "mg foo k",
		`q:token(3, nil)`:           "mg foo k",
		`q:token("4", nil)`:         "mg foo v",
		`q:token(3, false)`:         "mg foo k",
		`q:token(3, {})`:            "mg foo k",
		`q:token(2, 77)`:            "mg 77 v k",
		`q:token(5, nil)`:           "mg foo v k",
		`q:token(3, (nothing()))`:   "mg foo k",
		`q:token(3, nothing())`:     "mg foo v k",
		`pcall(q.token, q, 1, nil)`: "mg foo v k",
	} {
		var now atomic.Int64
		_, st := limited(t, StageRoutes, &now, `function nothing() end function f() local q = mcp.request("mg foo v k\r\n") `+script+" return q:raw_line() end")
		v, err := st.Call(st.Global("f"))
		if err != nil {
			t.Errorf("%s: %v", script, err)
		} else if v.String() != want {
			t.Errorf("%s: %v, want %s", script, v, want)
		}
	}
}

// Strings that read like numbers are numbers, where memcached's proxy takes them for such.
func TestNumbersInStrings(t *testing.T) {
	for script, want := range map[string]string{
		`q = mcp.request("get abc\r\n") q:ltrimkey("1") return q:key()`:             "bc",
		`q = mcp.request("get abc\r\n") q:rtrimkey(" 0x2 ") return q:key()`:         "a",
		`return mcp.request("get abc\r\n"):token("2")`:                              "abc",
		`return mcp.request("gat 100 abc\r\n"):token_int("2") + 1`:                  "101",
		`return pcall(mcp.request("get abc\r\n").token, q, "x")`:                    "false",
		`return pcall(mcp.request("get abc\r\n").ltrimkey, q, {})`:                  "false",
		`mcp.attach("7", function() end) return 1`:                                  "1",
		`return tostring(mcp.ratelim_tbf{ limit = "5", fillrate = "1" }(4))`:        "true",
		`return tostring(pcall(mcp.ratelim_tbf, { limit = "1.5" }))`:                "false",
		`return tostring(pcall(mcp.ratelim_tbf, { limit = "ten" }))`:                "false",
		`return tostring(pcall(mcp.ratelim_tbf, { limit = "4294967295" }))`:         "false",
		`return tostring(pcall(mcp.ratelim_tbf, { limit = 1, tickrate = "0x10" }))`: "true",
	} {
		var now atomic.Int64
		_, st := limited(t, StageRoutes, &now, "function f() "+script+" end")
		v, err := st.Call(st.Global("f"))
		if err != nil {
			t.Errorf("%s: %v", script, err)
		} else if got := lua.LVAsString(v); got != want && v.String() != want {
			t.Errorf("%s: %v, want %s", script, v, want)
		}
	}
}

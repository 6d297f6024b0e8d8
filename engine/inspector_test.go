// Inspectors and rate limiters, by what clients and backends see.

package engine

import (
	"testing"
)

// asks gives a client of a proxy whose every command is answered with what body returns, as text; ask is compiled once.
func asks(t *testing.T, ask, body string) (*client, *fakeBackend) {
	t.Helper()
	c, b, _ := threeBackends(t, `
    local function show(...)
        local s = {}
        for i = 1, select("#", ...) do s[i] = tostring((select(i, ...))) end
        return table.concat(s, " ") .. "\r\n"
    end
    local ask = `+ask+`
    mcp.attach(mcp.CMD_ANY_STORAGE, gen({ p[1] }, function(rctx, h) return function(r) `+body+` end end))`)
	return c, b[0]
}

func TestRequestInspectors(t *testing.T) {
	for _, d := range []struct{ step, asked, want string }{
		{"{ t = 'sepkey' }", "get /foo/bar", "foo"},
		{"{ t = 'sepkey' }", "get foo", "foo"},
		{"{ t = 'sepkey', pos = 2 }", "get ///foo/bar/baz", "bar"},
		{"{ t = 'sepkey', pos = 2 }", "get foo/bar", "bar"},
		{"{ t = 'sepkey', pos = 2 }", "get foo//bar", "nil"},
		{"{ t = 'sepkey', pos = 2 }", "get foo/", "nil"},
		{"{ t = 'sepkey', pos = 3 }", "get foo/bar", "nil"},
		{"{ t = 'sepkey', pos = 0 }", "get foo/bar", "nil"},
		{"{ t = 'sepkey' }", "get ///", "nil"},
		{"{ t = 'sepkey', sep = ':', pos = 2 }", "get foo:bar/baz", "bar/baz"},
		{"{ t = 'sepkey', map = { foo = 7 } }", "get foo/bar", "7"},
		{"{ t = 'sepkey', map = { foo = 7 } }", "get bar/bar", "nil"},
		{"{ t = 'keybegin', str = 'fo' }", "get foo", "true"},
		{"{ t = 'keybegin', str = 'foo' }", "get foo", "false"},
		{"{ t = 'keybegin', str = 'ba' }", "get foo", "false"},
		{"{ t = 'keyis', str = 'foo' }", "get foo", "true"},
		{"{ t = 'keyis', str = 'fo' }", "get foo", "false"},
		{"{ t = 'hasflag', flag = 's' }", "mg foo t s", "true"},
		{"{ t = 'hasflag', flag = 'v' }", "mg foo t s", "false"},
		{"{ t = 'hasflag', flag = 'v' }", "get foo", "false"},
		{"{ t = 'flagtoken', flag = 'O' }", "mg foo Oabc", "true abc"},
		{"{ t = 'flagtoken', flag = 'O' }", "mg foo t O", "true "},
		{"{ t = 'flagtoken', flag = 'O' }", "mg foo t", "false nil"},
		{"{ t = 'flagint', flag = 'T' }", "mg foo T-12", "true -12"},
		{"{ t = 'flagint', flag = 'T' }", "mg foo T1x", "true nil"},
		{"{ t = 'flagint', flag = 'T' }", "mg foo", "false nil"},
		{"{ t = 'flagis', flag = 'O', str = 'abc' }", "mg foo Oabc", "true true"},
		{"{ t = 'flagis', flag = 'O', str = 'abc' }", "mg foo Oab", "true false"},
		{"{ t = 'flagis', flag = 'O', str = 'abc' }", "mg foo", "false nil"},
		{"{ t = 'flagis', flag = 'O', str = 'abc' }, { t = 'sepkey' }, { t = 'flagint', flag = 'T' }", "mg foo/bar T5", "false nil foo true 5"},
	} {
		c, _ := asks(t, "mcp.req_inspector_new("+d.step+")", "return show(ask(r))")
		for range 2 {
			c.says(d.asked + "\r\n")
			c.sees(d.want + "\r\n")
		}
	}
}

func TestResponseInspectors(t *testing.T) {
	const failed = "inspector error: response is not meta protocol"
	for _, d := range []struct{ step, answer, want string }{
		{"{ t = 'hasflag', flag = 's' }", "HD t5 s3\r\n", "true true"},
		{"{ t = 'hasflag', flag = 's' }", "VA 1 t5 s3\r\nx\r\n", "true true"},
		{"{ t = 'hasflag', flag = 'v' }", "HD t5 s3\r\n", "true false"},
		{"{ t = 'hasflag', flag = 'v' }", "EN\r\n", "true false"},
		{"{ t = 'hasflag', flag = 's' }", "SERVER_ERROR s\r\n", "false " + failed},
		{"{ t = 'flagtoken', flag = 'O' }", "HD s3 Oabc\r\n", "true true abc"},
		{"{ t = 'flagtoken', flag = 'O' }", "HD s3 O\r\n", "true true "},
		{"{ t = 'flagtoken', flag = 'O' }", "SERVER_ERROR s\r\n", "true false nil"},
		{"{ t = 'flagint', flag = 't' }", "HD s3 t-1\r\n", "true true -1"},
		{"{ t = 'flagint', flag = 't' }", "HD tx\r\n", "true true nil"},
		{"{ t = 'flagis', flag = 'O', str = 'abc' }", "HD Oabc\r\n", "true true true"},
		{"{ t = 'flagis', flag = 'O', str = 'abc' }", "HD Oabcd\r\n", "true true false"},
		{"{ t = 'flagis', flag = 'O', str = 'abc' }, { t = 'hasflag', flag = 's' }", "HD s\r\n", "true false nil true"},
	} {
		c, b := asks(t, "mcp.res_inspector_new("+d.step+")", "return show(pcall(ask, rctx:enqueue_and_wait(r, h[1])))")
		c.says("mg k\r\n")
		b.sees("mg k\r\n")
		b.says(d.answer)
		c.sees(d.want + "\r\n")
	}
}

// What an inspector and a mutator are called with that is not what they want.
func TestObjectsOfTheWrongKind(t *testing.T) {
	const inspector, mutator = "bad argument #2 to '?' (invalid argument to inspector object)", "bad argument #2 to '?' (invalid argument to mutator object)"
	for _, d := range []struct{ ask, arg, want string }{
		{"mcp.req_inspector_new({ t = 'sepkey' })", "nil", inspector},
		{"mcp.req_inspector_new({ t = 'sepkey' })", "'x'", inspector},
		{"mcp.res_inspector_new({ t = 'hasflag', flag = 's' })", "r", inspector},
		{"mcp.req_inspector_new({ t = 'sepkey' })", "mcp.internal(r)", inspector},
		{"mcp.req_mutator_new({ t = 'cmdset', cmd = 'mg' })", "nil", mutator},
		{"mcp.req_mutator_new({ t = 'cmdset', cmd = 'mg' })", "mcp.internal(r)", mutator},
		{"mcp.res_mutator_new({ t = 'rescodeset', val = 'HD' })", "r", mutator},
		{"mcp.req_mutator_new({ t = 'cmdset', cmd = 'mg' })", "r", "mutator: request has already been rendered"},
		{"mcp.req_mutator_new({ t = 'cmdset', cmd = 'mg' })", "mcp.request('mg x\\r\\n')", "mutator: request has already been rendered"},
		{"mcp.res_mutator_new({ t = 'rescodeset', val = 'HD' })", "mcp.internal(r)", "mutator: result has already been rendered"},
	} {
		c, _ := asks(t, d.ask, "local _, err = pcall(ask, "+d.arg+") return show((err:gsub('^.-%.lua:%d+: ', '')))")
		c.says("mg k\r\n")
		c.sees(d.want + "\r\n")
	}
}

func TestRateLimitersCountTokens(t *testing.T) {
	p := startProxy(t, writeConfig(t, `
function mcp_config_pools() return { shared = mcp.ratelim_global_tbf{ limit = 25, fillrate = 1, tickrate = 4000000000 } } end
function mcp_config_routes(c)
    local own = mcp.ratelim_tbf{ limit = 50, fillrate = 1, tickrate = 4000000000 }
    mcp.attach(mcp.CMD_MG, function(r) return tostring(own(15)) .. "\r\n" end)
    mcp.attach(mcp.CMD_GET, function(r) return tostring(c.shared(10)) .. "\r\n" end)
end`), func(o *Options) { o.Workers = 4 })
	var clients []*client
	for range 4 { // one at each worker
		clients = append(clients, dial(t, p))
	}
	for i, want := range []string{"true", "true", "false", "false"} { // 25, 15, 5 tokens, of all workers together
		clients[i].says("get k\r\n")
		clients[i].sees(want + "\r\n")
	}
	for _, want := range []string{"true", "true", "true", "false"} { // 50, 35, 20, 5
		clients[0].says("mg k\r\n")
		clients[0].sees(want + "\r\n")
	}
}

// Mutators and the objects that they fill, by what clients and backends see.

package engine

import (
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/leaf"
)

// comma is what stands between an argument and these.
func comma(args string) string {
	if args == "" {
		return ""
	}
	return ", "
}

// A mutator's request as a backend sees it, twice, so that the second finds the object blank.
func TestRequestMutators(t *testing.T) {
	for _, d := range []struct{ steps, args, asked, sent string }{
		{"{ t = 'cmdset', cmd = 'mg' }, { t = 'keyset', val = 'new' }", "", "get k", "mg new"},
		{"{ t = 'cmdcopy', idx = 1 }, { t = 'keycopy', idx = 1 }", "r", "get k", "get k"},
		{"{ t = 'cmdcopy', idx = 1 }, { t = 'keycopy', idx = 2 }", "'md', 'new'", "get k", "md new"},
		{"{ t = 'cmdset', cmd = 'get' }, { t = 'keycopy', idx = 1 }", "r", "gat 100 k", "get k"},
		{"{ t = 'cmdset', cmd = 'mg' }, { t = 'keycopy', idx = 1 }, { t = 'flagset', flag = 's' }, { t = 'flagset', flag = 'O', val = 'x' }, { t = 'flagset', flag = 'N', val = 33 }", "r", "get k", "mg k s Ox N33"},
		{"{ t = 'cmdset', cmd = 'mg' }, { t = 'keycopy', idx = 1 }, { t = 'flagcopy', flag = 'O', idx = 1 }, { t = 'flagcopy', flag = 't', idx = 1 }", "r", "mg k t Oabc", "mg k Oabc t"},
		{"{ t = 'cmdset', cmd = 'mg' }, { t = 'keycopy', idx = 1 }, { t = 'flagcopy', flag = 'O', idx = 1 }", "r", "mg k t", "mg k"},
		{"{ t = 'cmdset', cmd = 'mg' }, { t = 'keyset', val = 'k' }, { t = 'flagcopy', flag = 'O', idx = 1 }, { t = 'flagset', flag = 't' }", "'x'", "get k", "mg k Ox t"},
		{"{ t = 'cmdset', cmd = 'mg' }, { t = 'keyset', val = 'k' }, { t = 'flagcopy', flag = 'O', idx = 1 }, { t = 'flagset', flag = 't' }", "true", "get k", "mg k O t"},
		{"{ t = 'cmdset', cmd = 'mg' }, { t = 'keyset', val = 'k' }, { t = 'flagcopy', flag = 'O', idx = 1 }, { t = 'flagset', flag = 't' }", "false", "get k", "mg k t"},
		{"{ t = 'cmdset', cmd = 'mg' }, { t = 'keyset', val = 'k' }, { t = 'flagcopy', flag = 'O', idx = 1 }, { t = 'flagset', flag = 't' }", "", "get k", "mg k t"},
		{"{ t = 'cmdset', cmd = 'mg' }, { t = 'keyset', val = 'k' }, { t = 'flagcopyall', idx = 1 }", "'t s Ox'", "get k", "mg k t s Ox"},
		{"{ t = 'cmdset', cmd = 'ms' }, { t = 'keycopy', idx = 1 }, { t = 'valcopy', idx = 1 }, { t = 'flagset', flag = 'T', val = 9 }", "r", "set k 0 0 3\r\nabc", "ms k 3 T9\r\nabc"},
		{"{ t = 'cmdset', cmd = 'ms' }, { t = 'keyset', val = 'k' }, { t = 'valcopy', idx = 1 }", "'new value\\r\\n'", "get k", "ms k 9\r\nnew value"},
		{"{ t = 'cmdset', cmd = 'ms' }, { t = 'keyset', val = 'k' }, { t = 'valcopy', idx = 1 }", "'\\r\\n'", "get k", "ms k 0\r\n"},
	} {
		c, b, _ := threeBackends(t, `
    local mut = mcp.req_mutator_new(`+d.steps+`)
    local g = mcp.funcgen_new()
    local h = g:new_handle(p[1])
    g:ready{ u = 1, f = function(rctx)
        local new = rctx:request_new()
        return function(r)
            if select("#", mut(new`+comma(d.args)+d.args+`)) > 0 then return "no\r\n" end
            return rctx:enqueue_and_wait(new, h)
        end
    end }
    mcp.attach(mcp.CMD_ANY_STORAGE, g)`)
		for range 2 {
			c.says(d.asked + "\r\n")
			b[0].sees(d.sent + "\r\n")
			answer := "HD\r\n"
			if strings.HasPrefix(d.sent, "get ") {
				answer = "END\r\n"
			}
			b[0].says(answer)
			c.sees(answer)
		}
	}
}

func TestResponseMutators(t *testing.T) {
	const flags = "{ t = 'rescodeset', val = 'HD' }, { t = 'flagcopyall', idx = 1 }"
	for _, d := range []struct{ steps, args, answer, want string }{ // res is the backend's answer
		{"{ t = 'rescodeset', val = 'HD' }", "", "EN", "HD"},
		{"{ t = 'rescodeset', val = 'STORED' }", "", "EN", "STORED"},
		{"{ t = 'rescodecopy', idx = 1 }, { t = 'valcopy', idx = 2 }", "'VA', 'example value\\r\\n'", "EN", "VA 13\r\nexample value"},
		{"{ t = 'rescodecopy', idx = 1 }, { t = 'valcopy', idx = 1 }, { t = 'flagcopyall', idx = 1 }", "res", "VA 2 s2 t-1\r\nhi", "VA 2 s2 t-1\r\nhi"},
		{"{ t = 'rescodecopy', idx = 1 }, { t = 'flagset', flag = 't', val = '37' }, { t = 'flagcopy', flag = 'O', idx = 1 }", "res", "HD s2 Oab f3", "HD t37 Oab"},
		{"{ t = 'rescodecopy', idx = 1 }, { t = 'flagset', flag = 't', val = '37' }, { t = 'flagcopy', flag = 'O', idx = 1 }", "res", "HD s2 f3", "HD t37"},
		{"{ t = 'rescodecopy', idx = 1 }, { t = 'flagcopy', flag = 'O', idx = 1 }", "res", "EN", "EN"},
		{flags, "res", "VA 2 t41 Oab s2 X W Z\r\nhi", "HD t41 Oab s2 X W Z"},
		{flags, "res", "HD", "HD"},
		{flags, "'x y'", "HD", "HD x y"},
		{"{ t = 'rescodeset', val = 'VALUE k 0' }, { t = 'valcopy', idx = 1 }", "'abc\\r\\n'", "EN", "VALUE k 0 3\r\nabc\r\nEND"},
		{"{ t = 'reserr', code = 'server', msg = 'teapot' }", "", "EN", "SERVER_ERROR teapot"},
		{"{ t = 'reserr', code = 'client', msg = 'teapot' }", "", "EN", "CLIENT_ERROR teapot"},
		{"{ t = 'reserr', code = 'error' }", "", "EN", "ERROR"},
		// What cannot be used: false, and the object is still blank.
		{"{ t = 'rescodecopy', idx = 1 }", "nil", "HD", "false"},
		{"{ t = 'rescodecopy', idx = 1 }", "3", "HD", "false"},
		{"{ t = 'rescodecopy', idx = 1 }", "r", "HD", "false"},
		{"{ t = 'rescodecopy', idx = 1 }", "res", "SERVER_ERROR x", "false"},
		{"{ t = 'resnull', idx = 1 }", "res", "HD", "false"},
		{"{ t = 'flagcopy', flag = 'O', idx = 1 }", "3", "HD", "false"},
		{"{ t = 'flagcopy', flag = 'O', idx = 1 }", "res", "SERVER_ERROR O", "false"},
		{flags, "r", "HD", "false"},
		{flags, "nil", "HD", "false"},
		{flags, "res", "SERVER_ERROR x", "false"},
		{"{ t = 'valcopy', idx = 1 }", "'x'", "HD", "false"},
		{"{ t = 'valcopy', idx = 1 }", "'value'", "HD", "false"},
		{"{ t = 'valcopy', idx = 1 }", "r", "HD", "false"},
		{"{ t = 'valcopy', idx = 1 }", "res", "HD", "false"},
		{"{ t = 'valcopy', idx = 1 }", "7", "HD", "false"},
		{"{ t = 'rescodecopy', idx = 1 }", "new", "HD", "false"},
		// What is no answer.
		{flags, "('t'):rep(5000)", "HD", "mutator: failed to parse new result"},
		{"{ t = 'rescodeset', val = 'XX' }", "", "HD", "mutator: failed to parse new result"},
		{"{ t = 'rescodeset', val = 'HD' }, { t = 'valcopy', idx = 1 }", "'abc\\r\\n'", "HD", "mutator: failed to parse new result"},
		{"{ t = 'flagcopy', flag = 'O', idx = 1 }", "nil", "HD", "mutator: failed to parse new result"},
		{"{ t = 'rescodecopy', idx = 1 }", "'HD\\r\\nHD'", "HD", "mutator: failed to parse new result"},
	} {
		c, b, _ := threeBackends(t, `
    local mut, after = mcp.res_mutator_new(`+d.steps+`), mcp.res_mutator_new({ t = "reserr", code = "server", msg = "still blank" })
    local g = mcp.funcgen_new()
    local h = g:new_handle(p[1])
    g:ready{ u = 1, f = function(rctx)
        local new = rctx:response_new()
        return function(r)
            local res = rctx:enqueue_and_wait(r, h)
            local ok, err = pcall(mut, new`+comma(d.args)+d.args+`)
            if ok and err == nil then return new end
            after(new)
            if new:raw_string() ~= "SERVER_ERROR still blank\r\n" then return "not blank\r\n" end
            return tostring(err) .. "\r\n"
        end
    end }
    mcp.attach(mcp.CMD_ANY_STORAGE, g)`)
		for range 2 {
			c.says("mg k\r\n")
			b[0].sees("mg k\r\n")
			b[0].says(d.answer + "\r\n")
			c.sees(d.want + "\r\n")
		}
	}
}

// What says that nothing happened, for each command.
func TestNullMutator(t *testing.T) {
	c, _, _ := threeBackends(t, `
    local mut = mcp.res_mutator_new({ t = "resnull", idx = 1 })
    local g = mcp.funcgen_new()
    g:ready{ u = 1, f = function(rctx)
        local new = rctx:response_new()
        return function(r) if mut(new, r) == false then return "none\r\n" end return new end
    end }
    mcp.attach(mcp.CMD_ANY_STORAGE, g)`)
	for _, d := range []struct{ asked, want string }{
		{"mg k s", "EN"}, {"ms k 1\r\nx", "NS"}, {"md k", "NF"}, {"ma k", "NF"}, {"me k", "none"},
		{"get k", "END"}, {"gets k", "END"}, {"gat 1 k", "END"}, {"gats 1 k", "END"},
		{"set k 0 0 1\r\nx", "NOT_STORED"}, {"add k 0 0 1\r\nx", "NOT_STORED"}, {"replace k 0 0 1\r\nx", "NOT_STORED"},
		{"append k 0 0 1\r\nx", "NOT_STORED"}, {"prepend k 0 0 1\r\nx", "NOT_STORED"}, {"cas k 0 0 1 9\r\nx", "NOT_STORED"},
		{"incr k 1", "NOT_FOUND"}, {"decr k 1", "NOT_FOUND"}, {"touch k 1", "NOT_FOUND"}, {"delete k", "NOT_FOUND"},
	} {
		c.says(d.asked + "\r\n")
		c.sees(d.want + "\r\n")
	}
}

// What a script may not do with blank objects, and what a mutator's request must be.
func TestObjectMistakes(t *testing.T) {
	const mg = "{ t = 'cmdset', cmd = 'mg' }, { t = 'keycopy', idx = 1 }, { t = 'flagcopyall', idx = 2 }"
	for _, d := range []struct{ steps, body, want string }{
		{mg, "rctx:request_new()", "rctx request new: object count limit reached"},
		{mg, "rctx:response_new()", "rctx request new: object count limit reached"},
		{mg, "rctx:enqueue(new, h[1])", "cannot queue requests without a key"},
		{mg, "new:key()", "request: the request is blank: no mutator has filled it"},
		{mg, "res:ok()", "response: the response is blank: no mutator has filled it"},
		{mg, "mut(new, 'k', 't') mut(new, 'k', 't')", "mutator: request has already been rendered"},
		{mg, "mut(new, ('k'):rep(250), 'O' .. ('x'):rep(250))", "mutator: new request is too long"},
		{mg, "mut(new, ('k'):rep(1e6), 't')", "mutator: new request is too long"},
		{mg, "mut(new, '', 't')", "nil"}, // t is the key
		{mg, "mut(new, '', '')", "mutator: failed to parse new request"},
		{mg, "mut(new, 'a\\tb', 't')", "mutator: failed to parse new request"},
		{mg, "mut(new, 'a', 't\\r\\nmg b')", "mutator: failed to parse new request"},
		{mg, "if mut(new, 3, 't') ~= false then error('true', 0) end mut(new, r, 't') error(new:raw_line(), 0)", "mg k t"},
		{"{ t = 'cmdset', cmd = 'mg' }, { t = 'keyset', val = 'a' }, { t = 'valcopy', idx = 1 }", "mut(new, 'a\\r\\n')", "mutator: failed to parse new request"},
		{"{ t = 'cmdset', cmd = 'ms' }, { t = 'keyset', val = 'a' }, { t = 'flagset', flag = 't' }, { t = 'valcopy', idx = 1 }", "mut(new, 'a\\r\\n')", "mutator: failed to parse new request"},
		{"{ t = 'cmdset', cmd = 'nope' }", "mut(new)", "mutator: failed to parse new request"},
		{"{ t = 'cmdcopy', idx = 1 }, { t = 'keyset', val = 'a' }", "error(tostring(mut(new, res)) .. tostring(mut(new, 7)) .. tostring(mut(new)), 0)", "falsefalsefalse"},
		{"{ t = 'cmdset', cmd = 'mg' }, { t = 'keycopy', idx = 1 }, { t = 'flagcopy', flag = 'O', idx = 1 }", "error(tostring(mut(new, r)), 0)", "false"}, // r is a get
	} {
		c, _, _ := threeBackends(t, `
    local mut = mcp.req_mutator_new(`+d.steps+`)
    local g = mcp.funcgen_new()
    local h = { g:new_handle(p[1]) }
    g:ready{ u = 2, f = function(rctx)
        local new, res = rctx:request_new(), rctx:response_new()
        return function(r)
            local ok, err = pcall(function() `+d.body+` end)
            return tostring(err):gsub("^.-%.lua:%d+: ", "") .. "\r\n"
        end
    end }
    mcp.attach(mcp.CMD_GET, g)`)
		for range 2 {
			c.says("get k\r\n")
			c.sees(d.want + "\r\n")
		}
	}
}

func TestStepMistakes(t *testing.T) {
	local, err := leaf.NewLocal(leaf.Options{Memory: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	for _, d := range []struct{ call, want string }{
		{"req_inspector_new({ t = 'nope' })", "inspector step 1: unknown step type"},
		{"req_inspector_new({})", "inspector step 1: unknown step type"},
		{"req_inspector_new({ t = 'sepkey' }, { t = 'nope' })", "inspector step 2: unknown step type"},
		{"res_inspector_new({ t = 'sepkey' })", "inspector step 1: step incompatible with inspector type"},
		{"req_inspector_new({ t = 'sepkey', sep = 'ab' })", "inspector step 1: separator must be one character"},
		{"req_inspector_new({ t = 'sepkey', sep = '' })", "inspector step 1: separator must be one character"},
		{"req_inspector_new({ t = 'sepkey', pos = 'x' })", "inspector step 1: 'pos' must be a number"},
		{"req_inspector_new({ t = 'sepkey', map = 1 })", "inspector step 1: 'map' must be a table"},
		{"req_inspector_new({ t = 'hasflag' })", "inspector step 1: must provide 'flag' argument"},
		{"req_inspector_new({ t = 'hasflag', flag = 'ab' })", "inspector step 1: 'flag' must be a single character"},
		{"req_inspector_new({ t = 'hasflag', flag = {} })", "inspector step 1: 'flag' must be a single character"},
		{"res_inspector_new({ t = 'flagint', flag = '1' })", "inspect step 1: 'flag' must be alphanumeric"},
		{"req_inspector_new({ t = 'keyis' })", "inspector step 1: must provide 'str' argument"},
		{"req_inspector_new({ t = 'keyis', str = '' })", "inspector step 1: 'str' must have nonzero length"},
		{"req_inspector_new({ t = 'keybegin', str = {} })", "inspector step 1: 'str' must have nonzero length"},
		{"res_inspector_new({ t = 'flagis', flag = 'O' })", "inspector step 1: must provide 'str' argument"},
		{"res_inspector_new({ t = 'flagis', str = 'O' })", "inspector step 1: must provide 'flag' argument"},
		{"req_mutator_new()", "mutator failed to initialize, no steps given"},
		{"res_mutator_new()", "mutator failed to initialize, no steps given"},
		{"req_mutator_new({ t = 'nope' })", "mutator step 1: unknown step type"},
		{"req_mutator_new({ t = 'resnull', idx = 1 })", "mutator step 1: step incompatible with mutator type"},
		{"res_mutator_new({ t = 'cmdset', cmd = 'mg' })", "mutator step 1: step incompatible with mutator type"},
		{"req_mutator_new({ t = 'cmdset' })", "mutator step 1: must provide 'cmd' argument"},
		{"req_mutator_new({ t = 'cmdset', cmd = ('x'):rep(21) })", "mutator step 1: 'cmd' too long"},
		{"req_mutator_new({ t = 'cmdcopy' })", "mutator step 1: must provide 'idx' argument"},
		{"req_mutator_new({ t = 'keycopy', idx = 0 })", "mutator step 1: 'idx' argument must be greater than 0"},
		{"req_mutator_new({ t = 'keycopy', idx = 1.5 })", "mutator step 1: must provide 'idx' argument as an integer"},
		{"req_mutator_new({ t = 'keycopy', idx = 'x' })", "mutator step 1: must provide 'idx' argument as an integer"},
		{"req_mutator_new({ t = 'keyset' })", "mutator step 1: must provide 'val' argument"},
		{"req_mutator_new({ t = 'keyset', val = '' })", "mutator step 1: 'val' must have nonzero length"},
		{"res_mutator_new({ t = 'rescodeset' })", "mutator step 1: must provide 'val' argument"},
		{"res_mutator_new({ t = 'reserr' })", "mutator step 1: must provide 'code' argument"},
		{"res_mutator_new({ t = 'reserr', code = 'x' })", "mutator step 1: code must be 'error', 'server', or 'client'"},
		{"res_mutator_new({ t = 'reserr', code = 'server', msg = '' })", "mutator step 1: 'msg' must be a nonzero length string"},
		{"res_mutator_new({ t = 'flagset' })", "mutator step 1: must provide 'flag' argument"},
		{"res_mutator_new({ t = 'flagset', flag = 'xx' })", "mutator step 1: 'flag' must be a single character"},
		{"res_mutator_new({ t = 'flagset', flag = '1' })", "mutator step 1: 'flag' must be alphanumeric"},
		{"res_mutator_new({ t = 'flagset', flag = 't', val = {} })", "mutator step 1: unsupported type for 'val'"},
		{"res_mutator_new({ t = 'flagcopy', flag = 't' })", "mutator step 1: must provide 'idx' argument"},
		{"ratelim_tbf{ limit = -1 }", "mcp.ratelim_tbf: arguments must be unsigned 32 bit integer"},
		{"ratelim_tbf{ limit = 1, fillrate = 2^32 }", "mcp.ratelim_tbf: arguments must be unsigned 32 bit integer"},
		{"ratelim_tbf{ limit = 1, tickrate = 0.5 }", "mcp.ratelim_tbf: arguments must be unsigned 32 bit integer"},
	} {
		err := Check(Options{Files: []string{writeConfig(t, "function mcp_config_pools() return true end function mcp_config_routes() mcp."+d.call+" end")}, Local: local})
		if err == nil || !strings.HasSuffix(err.Error(), d.want) {
			t.Errorf("%s: %v, want %q", d.call, err, d.want)
		}
	}
}

// A request may end between being enqueued by another and being sent: that handle's result is an error.
func TestEnqueuedRequestOfAnotherEnds(t *testing.T) {
	c, b, p := threeBackends(t, `
    local kept
    mcp.attach(mcp.CMD_GET, gen({ p[1] }, function(rctx, h) return function(r)
        if r:key() == "a" then kept = r return rctx:enqueue_and_wait(r, h[1]) end
        rctx:enqueue(kept, h[1])
        p[3](r)
        return rctx:wait_handle(h[1])
    end end))`)
	other := dial(t, p)
	c.says("get a\r\n")
	b[0].sees("get a\r\n")
	other.says("get b\r\n")
	b[2].sees("get b\r\n")
	b[0].says(miss)
	c.sees(miss)
	b[2].says(miss)
	other.sees(lineBackendFailure)
}

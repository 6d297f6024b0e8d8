// What clients that watch the proxy's streams are told.

package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/watch"
)

// head is what every line of a watcher begins with.
const head = `ts=\d+\.\d{6} gid=\d+ `

// watcher is a client that watches.
func watcher(t *testing.T, p *Proxy, streams string) *client {
	t.Helper()
	w := dial(t, p)
	w.says("watch " + streams + "\r\n")
	w.sees("OK\r\n")
	return w
}

func TestWatchRequests(t *testing.T) {
	b := newFakeBackend(t)
	p := startProxy(t, writeConfig(t, `
function mcp_config_pools()
    return { a = mcp.pool({ mcp.backend{ label = "b", host = "127.0.0.1", port = $1, log = { rate = 1, tag = "auto" } } }),
             gone = mcp.pool({ mcp.backend{ label = "gone", host = "127.0.0.1", port = 1, down = true } }) }
end
local function logged(target)
    local g = mcp.funcgen_new()
    local h = g:new_handle(target)
    g:ready{ f = function(rctx)
        return function(r)
            local res = rctx:enqueue_and_wait(r, h)
            mcp.log_req(r, res, "by hand", rctx:cfd())
            mcp.log_reqsample(0, 0, true, r, res, "errors", rctx:cfd())
            mcp.log_reqsample(1e9, 0, false, r, res, "never")
            return res
        end
    end }
    return g
end
function mcp_config_routes(c)
    mcp.attach(mcp.CMD_GET, logged(c.a))
    mcp.attach(mcp.CMD_SET, logged(c.gone))
    mcp.attach(mcp.CMD_MG, logged(mcp.internal_handler))
    mcp.attach(mcp.CMD_TOUCH, function(r) mcp.log_req(r, nil) mcp.log_req(r, nil, string.rep("x", 200)) return "TOUCHED\r\n" end)
end`, port(b.addr())))
	c, w := dial(t, p), watcher(t, p, "proxyreqs")
	line := func(rest string) {
		t.Helper()
		w.line(head + `type=proxy_req ` + rest)
	}
	be := "be=" + b.addr()
	for _, d := range []struct{ key, answer, figures string }{
		{"hit", "VALUE hit 0 1\r\nx\r\nEND\r\n", "type=100 code=15 status=0 res=good"},
		{"miss", "END\r\n", "type=105 code=17 status=0 res=ok"},
		{"error", "SERVER_ERROR no\r\n", "type=108 code=23 status=-1 res=any"},
	} {
		c.says("get " + d.key + "\r\n")
		b.sees("get " + d.key + "\r\n")
		b.says(d.answer)
		c.sees(d.answer)
		line(`elapsed=\d+ ` + d.figures + ` cfd=[1-9]\d* ` + be + ` detail=auto req=get ` + d.key)
		line(`elapsed=\d+ ` + d.figures + ` cfd=[1-9]\d* ` + be + ` detail=by hand req=get ` + d.key)
		if d.key == "error" {
			line(`elapsed=\d+ ` + d.figures + ` cfd=[1-9]\d* ` + be + ` detail=errors req=get ` + d.key)
		}
	}
	c.says("set a 0 0 1\r\nx\r\nmg a v\r\ntouch a 1\r\n")
	c.sees(lineBackendFailure + "EN\r\nTOUCHED\r\n")
	var seen []string // they go on side by side
	for range 5 {
		l, err := w.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		_, l, _ = strings.Cut(l, " gid=")
		seen = append(seen, l[strings.Index(l, " elapsed="):])
	}
	all := strings.Join(seen, "")
	for _, want := range []string{
		"type=0 code=23 status=-1 res=any", "be=127.0.0.1:1 detail=errors req=set a 0 0 1\n",
		"type=101 code=17 status=0 res=ok", "be=internal:0 detail=by hand req=mg a v\n",
		" elapsed=0 type=0 code=0 status=0 res=good cfd=0 be=: detail= req=touch a 1\n",
		" detail=" + strings.Repeat("x", 150) + " req=touch a 1\n",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in %q", want, all)
		}
	}
}

// A callback is told of answers that come after its route has returned, and can log them.
func TestCallbacksAfterTheRoute(t *testing.T) {
	c, b, p := routed(t, `
    local g = mcp.funcgen_new()
    local first, second = g:new_handle(p), g:new_handle(p)
    g:ready{ f = function(rctx)
        rctx:handle_set_cb(second, function(res, req) mcp.log("late " .. tostring(res:hit()) .. " " .. req:key() .. " " .. tostring(rctx:cfd() > 0)) end)
        return function(r)
            rctx:enqueue(r, { first, second })
            return rctx:wait_handle(first)
        end
    end }
    mcp.attach(mcp.CMD_MG, g)`)
	w := watcher(t, p, "proxyuser")
	for range 2 {
		c.says("mg k v\r\n")
		b.sees("mg k v\r\nmg k v\r\n")
		b.says("HD\r\n")
		c.sees("HD\r\n")
		b.says("EN\r\n")
		w.line(head + `type=proxy_user msg=late false k true`)
	}
}

func TestWatchEvents(t *testing.T) {
	b := newFakeBackend(t)
	text := `
function mcp_config_pools()
    return mcp.pool({ mcp.backend{ label = "b", host = "127.0.0.1", port = $1, failurelimit = 0, retrywaittime = 30 } })
end
function mcp_config_routes(p)
    mcp.attach(mcp.CMD_GET, function(r) return p(r) end)
    mcp.attach(mcp.CMD_SET, function(r) error("said\nforged") end)
    mcp.attach(mcp.CMD_MG, function(r) error({}) end)
    mcp.attach(mcp.CMD_MS, function(r) mcp.log("two\nlines") return "HD\r\n" end)
end`
	path := writeConfig(t, text, port(b.addr()))
	p := startProxy(t, path)
	c, w := dial(t, p), watcher(t, p, "proxyevents proxyuser")
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	w.line(head + `type=proxy_conf status=start`)
	w.line(head + `type=proxy_conf status=done`)

	c.says("set a 0 0 1\r\nx\r\nmg a\r\nms a 1\r\nx\r\n")
	c.sees(lineLuaFailure + lineLuaFailure + "HD\r\n")
	w.line(head + `type=proxy_error msg=\S+conf.lua:7: said`)
	w.line(head + `type=proxy_error msg=\(null\)`)
	w.line(head + `type=proxy_user msg=two`)

	for _, d := range []struct{ conf, msg string }{
		{"function mcp_config_pools() error('pools') end function mcp_config_routes() end", `\S+conf.lua:1: pools`},
		{"this is not Lua", `.*conf.lua:1:.*`},
	} {
		rewrite(t, path, d.conf)
		if _, err := p.Reload(); err == nil {
			t.Fatal("loaded")
		}
		w.line(head + `type=proxy_error msg=` + d.msg) // it has never started
		w.line(head + `type=proxy_conf status=failed`)
	}
	rewrite(t, path, "function mcp_config_pools() end function mcp_config_routes() error('routes') end")
	if _, err := p.Reload(); err == nil {
		t.Fatal("loaded")
	}
	w.line(head + `type=proxy_conf status=start`)
	w.line(head + `type=proxy_error msg=\S+conf.lua:1: routes`)
	w.line(head + `type=proxy_conf status=failed`)

	c.says("get a\r\n")
	b.sees("get a\r\n")
	b.says("VALUE a 0 1\r\nx\r\nEND\r\ngar bage")
	c.sees("VALUE a 0 1\r\nx\r\nEND\r\n")
	host := fmt.Sprintf("name=127.0.0.1 port=%s label=b", port(b.addr()))
	w.line(head + `type=proxy_backend error=trailingdata ` + host + ` depth=0 rbuf=gar%20bage`)
	w.line(head + `type=proxy_backend error=markedbad ` + host + ` retry=3\d`)
}

// What nobody watches is not even looked at.
func TestLogReqCostsNothingUnwatched(t *testing.T) {
	c, _, p := routed(t, `
    mcp.attach(mcp.CMD_MG, function(r) mcp.log_req("no request") mcp.log_reqsample() return "HD\r\n" end)`)
	c.says("mg a\r\n")
	c.sees("HD\r\n")
	w := watcher(t, p, "proxyreqs")
	c.says("mg a\r\n")
	c.sees(lineLuaFailure)
	w.c.Close()
	for p.opts.Watch.Wants(watch.ProxyReqs) {
		c.says("version\r\n")
		c.line("VERSION .*\r")
	}
	c.says("mg a\r\n")
	c.sees("HD\r\n")
}

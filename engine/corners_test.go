// Corners of the session: what is counted, locked and numbered while a batch is under way.

package engine

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
)

// scripted starts a proxy whose only route is the given Lua, without a pool.
func scripted(t *testing.T, route string, change ...func(*Options)) (*client, *Proxy) {
	t.Helper()
	p := startProxy(t, writeConfig(t, "function mcp_config_pools() return true end\nfunction mcp_config_routes() "+route+" end"), change...)
	return dial(t, p), p
}

// What stands behind a quit was counted as under way and never counted out: each such connection took from the limit for good.
func TestWhatFollowsQuitIsCountedOut(t *testing.T) {
	_, p := scripted(t, "mcp.attach(mcp.CMD_GET, print)")
	for range 3 {
		c := dial(t, p)
		c.says("mn\r\nquit\r\nmn\r\nmn\r\n")
		c.sees("MN\r\n")
		c.ends()
	}
	if n := p.inFlight.Load(); n != 0 {
		t.Errorf("%d requests are under way on an idle proxy", n)
	}
}

// A batch's number travels in its Pendings; a connection that lives for 2^31 batches must still know its answers.
func TestConnectionsLiveLong(t *testing.T) {
	p := startProxy(t, writeConfig(t, strings.Replace(instantConfig, "ROUTE", "p", 1)), instantLeaf)
	s := p.Open(server.ConnInfo{ID: 1}).(*session)
	defer s.Close()
	s.number = 1<<31 - 3
	b := server.NewBatch(io.Discard)
	b.Rules = s.Rules()
	b.Reqs = make([]mc.Request, 1)
	var parser mc.Parser
	if _, _, err := parser.Next([]byte("get key\r\n"), &b.Rules, &b.Reqs[0]); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		b.Out = b.Out[:0]
		done := make(chan error, 1)
		go func() { done <- s.Serve(b) }()
		select {
		case err := <-done:
			if err != nil || !strings.HasPrefix(string(b.Out), "VALUE") {
				t.Fatalf("batch %d: %q %v", s.number, b.Out, err)
			}
		case <-time.After(patience):
			t.Fatalf("batch %d waits for ever", s.number)
		}
	}
}

// flush_all waits for every backend. Other clients of the worker do not wait with it.
func TestFlushAllKeepsNoLock(t *testing.T) {
	c, b, p := routed(t, `mcp.attach(mcp.CMD_GET, function(r) return "x\r\n" end)`,
		func(o *Options) { o.AllowFlush, o.Workers = true, 1 })
	c.says("get a\r\nflush_all\r\n") // the get takes the worker's lock
	b.sees("flush_all\r\n")
	other := dial(t, p)
	other.says("get a\r\n")
	other.sees("x\r\n")
	b.says("OK\r\n")
	c.sees("x\r\nOK\r\n")
}

// The END of each key's answer is cut when a script made the answer, too.
func TestMultigetOfStrings(t *testing.T) {
	c, _ := scripted(t, `mcp.attach(mcp.CMD_GET, function(r)
        if r:key() == "miss" then return "END\r\n" end
        return "VALUE " .. r:key() .. " 0 1\r\nx\r\nEND\r\n"
    end)`)
	c.says("get a miss b\r\nget a\r\n")
	c.sees("VALUE a 0 1\r\nx\r\nVALUE b 0 1\r\nx\r\nEND\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
	c.silence()
}

// Commands without a key can have routes too (mcp.CMD_ANY); what cannot be sent by key is not sent.
func TestRoutesOfCommandsWithoutAKey(t *testing.T) {
	for _, d := range []struct{ route, says, sees string }{
		{`function(r) return "VERSION " .. r:command() .. "\r\n" end`, "version\r\n", "VERSION 27\r\n"},
		{`function(r) return p(r) end`, "version\r\n", lineLuaFailure},
		{`p`, "flush_all\r\n", lineNotAllowed}, // no pool can place it: as if there were no route
		{`p`, "verbosity 1\r\n", lineNotAllowed},
		{`mcp.router_new{ map = { x = p }, default = p }`, "flush_all\r\n", lineNotAllowed},
		{`mcp.router_new{ map = { x = p }, default = function() return "VERSION x\r\n" end }`, "version\r\n", "VERSION x\r\n"},
	} {
		c, b, _ := routed(t, "mcp.attach(mcp.CMD_ANY, "+d.route+") mcp.attach(mcp.CMD_GET, p)")
		c.says("get a\r\n")
		b.sees("get a\r\n")
		b.says("END\r\n")
		c.sees("END\r\n")
		c.says(d.says)
		c.sees(d.sees)
		c.silence()
	}
}

// Connections have a number of their own, also where they have the file descriptor that another had; what comes by NATS has none.
func TestClientsAreToldApart(t *testing.T) {
	p := startProxy(t, writeConfig(t, `
function mcp_config_pools() end
function mcp_config_routes()
    local fg = mcp.funcgen_new()
    fg:ready({ n = "who", f = function(rctx) return function(r) return "HD " .. tostring(rctx:client()) .. "\r\n" end end })
    mcp.attach(mcp.CMD_MG, fg)
end`))
	for _, want := range []string{"HD 1\r\n", "HD 2\r\n"} {
		c := dial(t, p)
		c.says("mg a\r\nmg b\r\n")
		c.sees(want + want)
		c.c.Close()
		until(t, "the session's end", func() bool { return p.sessions.count() == 0 })
	}
	s := p.Open(server.ConnInfo{ID: 3, Network: "nats", FD: -1}).(*session)
	defer s.Close()
	if n := s.Client(); n != 0 {
		t.Errorf("the many clients of NATS are %d", n)
	}
}

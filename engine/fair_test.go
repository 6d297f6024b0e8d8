// What one client's requests may cost others, and what is logged of them.

package engine

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// A client that pipelines requests which compute does not keep the others of its worker waiting for all of them.
func TestBatchesShareTheWorker(t *testing.T) {
	const many = 40
	c, p := scripted(t, `mcp.attach(mcp.CMD_GET, function(r)
        if r:key() == "slow" then
            for i = 1, 1e5 do end
            mcp.stat(1, 1)
        end
        return r:key() .. "\r\n"
    end)`, func(o *Options) { o.Workers = 1 })
	p.user.name(map[int]string{1: "slow"}, 1)
	served := func() (n uint64) {
		p.user.each(func(_ string, v uint64) { n = v })
		return n
	}
	other := dial(t, p)
	other.says("get quick\r\n")
	other.sees("quick\r\n")
	c.says(strings.Repeat("get slow\r\n", many))
	for served() == 0 {
		runtime.Gosched()
	}
	other.says("get quick\r\n")
	other.sees("quick\r\n")
	if n := served(); n == many {
		t.Errorf("the other client's request was answered after all %d", n)
	}
	c.sees(strings.Repeat("slow\r\n", many))
}

// logged collects what a proxy logs.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// A script that logs much does not hide its own errors, and neither fills the disk.
func TestErrorsAreLoggedBesideChatter(t *testing.T) {
	out := &logged{}
	c, _ := scripted(t, `mcp.attach(mcp.CMD_GET, function(r)
        for i = 1, 100 do mcp.log("chatter") end
        if r:key() == "long" then mcp.log(string.rep("l", 5e6)) error(string.rep("e", 5e6)) end
        error("the mistake")
    end)`, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(out, nil)) })
	c.says("get a\r\nget long\r\n")
	c.sees(lineLuaFailure + lineLuaFailure)
	if !strings.Contains(out.text(), "the mistake") {
		t.Errorf("the error is not logged:\n%.2000s", out.text())
	}
	if n := len(out.text()); n > 100_000 {
		t.Errorf("%d bytes are logged", n)
	}
}

// A request that waits in place, on a generation that is cut, ends with it.
func TestWaitsInPlaceAreCut(t *testing.T) {
	b := newFakeBackend(t)
	p := startProxy(t, writeConfig(t, `
function mcp_config_pools()
    return mcp.pool({ mcp.backend{ label = "b", host = "127.0.0.1", port = "$1", readtimeout = 3600 } })
end
function mcp_config_routes(p)
    mcp.attach(mcp.CMD_GET, function(r)
        local res
        string.gsub("a", "a", function()
            while not res do pcall(function() res = p(r) end) end
        end)
        return res
    end)
end`, port(b.addr())), func(o *Options) { o.Drain, o.Workers = time.Millisecond, 1 })
	c := dial(t, p)
	c.says("get a\r\n")
	b.sees("get a\r\n")
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	c.sees(lineBackendFailure)
	b.says("VALUE a 0 1\r\n1\r\nEND\r\n") // too late: nobody's
	c.says("get b\r\n")
	b.sees("get b\r\n")
	b.says("VALUE b 0 1\r\n2\r\nEND\r\n")
	c.sees("VALUE b 0 1\r\n2\r\nEND\r\n")
	c.silence()
}

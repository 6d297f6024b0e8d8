// What one client's requests may cost others, and what is logged of them.

package engine

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
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

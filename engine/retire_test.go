// What is left of a generation when it has gone.

package engine

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// Nothing of a generation that has gone is kept, also by connections that it has served.
func TestOldGenerationsAreCollected(t *testing.T) {
	c, b, p := routed(t, `mcp.attach(mcp.CMD_GET, function(r)
        local res
        string.gsub("a", "a", function() res = p(r) end)
        mcp.await(r, { p }, 1, mcp.AWAIT_BACKGROUND)
        return mcp.await(r, { p, p }, 1, mcp.AWAIT_ANY)[1]
    end)`)
	var gone atomic.Int64
	const reloads = 5
	for range reloads {
		c.says("get a\r\nget b\r\n")
		b.sees("get a\r\n")
		b.says("END\r\n")
		b.sees("get a\r\nget a\r\nget a\r\nget b\r\n")
		b.says("END\r\nEND\r\nEND\r\nEND\r\n")
		b.sees("get b\r\nget b\r\nget b\r\n")
		b.says("END\r\nEND\r\nEND\r\n")
		c.sees("END\r\nEND\r\n")
		for _, w := range p.current.Load().workers {
			runtime.AddCleanup(w.state, func(int) { gone.Add(1) }, 0)
		}
		if _, err := p.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	c.silence()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if runtime.GC(); gone.Load() == 2*reloads {
			return
		}
	}
	t.Errorf("%d of %d workers of old generations are collected", gone.Load(), 2*reloads)
}

// What is left of a generation when it has gone.

package engine

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// Nothing of a generation that has gone is kept, also by connections that it has served and that ask for nothing more.
func TestOldGenerationsAreCollected(t *testing.T) {
	t.Run("what waits in place, or lingers", func(t *testing.T) {
		c, b, p := routed(t, `mcp.attach(mcp.CMD_GET, function(r)
            local res
            string.gsub("a", "a", function() res = p(r) end)
            mcp.await(r, { p }, 1, mcp.AWAIT_BACKGROUND)
            return mcp.await(r, { p, p }, 1, mcp.AWAIT_ANY)[1]
        end)`)
		collected(t, p, func() {
			c.says("get a\r\nget b\r\n")
			b.sees("get a\r\n")
			b.says("END\r\n")
			b.sees("get a\r\nget a\r\nget a\r\nget b\r\n")
			b.says("END\r\nEND\r\nEND\r\nEND\r\n")
			b.sees("get b\r\nget b\r\nget b\r\n")
			b.says("END\r\nEND\r\nEND\r\n")
			c.sees("END\r\nEND\r\n")
		})
	})
	t.Run("what lingers over the reload", func(t *testing.T) {
		c, b, p := threeBackends(t, `mcp.attach(mcp.CMD_GET, gen({ p[1], p[2] }, function(rctx, h) return function(r)
            rctx:enqueue(r, h[1])
            return rctx:enqueue_and_wait(r, h[2], 300)
        end end, "lingers"))`)
		asked := false
		collected(t, p, func() {
			if asked { // of the generation before
				b[0].says(miss)
			}
			asked = true
			c.says("get k\r\n")
			b[0].sees("get k\r\n")
			b[1].sees("get k\r\n")
			b[1].says(miss)
			c.sees(miss)
		}, func() { b[0].says(miss) })
	})
	t.Run("what had a deadline", func(t *testing.T) {
		c, b, p := threeBackends(t, `mcp.attach(mcp.CMD_GET, gen({ p[1] }, function(rctx, h) return function(r)
            return rctx:enqueue_and_wait(r, h[1], 300)
        end end, "deadline"))`)
		collected(t, p, func() {
			c.says("get k\r\n")
			b[0].sees("get k\r\n")
			b[0].says(miss)
			c.sees(miss)
		})
	})
}

// collected reloads some times, with traffic before each and at the end what is left of it, and waits until all that went is collected.
func collected(t *testing.T, p *Proxy, traffic func(), rest ...func()) {
	t.Helper()
	var gone atomic.Int64
	want := int64(0)
	for range 5 {
		traffic()
		for _, w := range p.current.Load().workers {
			runtime.AddCleanup(w.state, func(int) { gone.Add(1) }, 0)
			want++
		}
		if _, err := p.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range rest {
		f()
	}
	for deadline := time.Now().Add(patience); gone.Load() < want; time.Sleep(time.Millisecond) {
		if runtime.GC(); time.Now().After(deadline) {
			t.Fatalf("%d of %d workers of old generations are collected", gone.Load(), want)
		}
	}
}

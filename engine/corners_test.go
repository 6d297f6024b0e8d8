// Corners of the session: what is counted, locked and numbered while a batch is under way.

package engine

import (
	"testing"
)

// What stands behind a quit was counted as under way and never counted out: each such connection took from the limit for good.
func TestWhatFollowsQuitIsCountedOut(t *testing.T) {
	_, _, p := routed(t, "mcp.attach(mcp.CMD_GET, p)")
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

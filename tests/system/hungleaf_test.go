// Leaves that hang, and routes that go on to another one.

package system_test

import (
	"fmt"
	"syscall"
	"testing"
)

// A request that has waited for a leaf in vain has all of its time at the next one, and so has one that a route has held up.
func TestTimeAtTheNextLeaf(t *testing.T) {
	leaves, urls := startLeaves(t, 2)
	p := startProxy(t, fmt.Sprintf(`
settings{ backend_read_timeout = 0.3, backend_failure_limit = 100 }
pools{ a = { backends = { %q } }, s = { backends = { %q } } }
routes{ map = { slow = route_latency{ child = "s", before = 0.4 } }, default = route_failover{ children = { "a", "s" } } }`, urls[0], urls[1]))
	p.ready()
	c := dial(t, p.addr)
	eventually(t, "both leaves answer", func() bool {
		return c.ask("get warm\r\n") == "END\r\n" && c.ask("get slow/warm\r\n") == "END\r\n"
	})
	if got := c.ask("get slow/k\r\n"); got != "END\r\n" {
		t.Errorf("held up for longer than the timeout: %q", got)
	}
	leaves[0].signal(syscall.SIGSTOP)
	for range 4 {
		if got := c.ask("get k\r\n"); got != "END\r\n" {
			t.Errorf("the first leaf hangs: %q", got)
		}
	}
}

// Leaves that hang, and routes that go on to another one.

package system_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"
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

// A leaf that was stopped for long enough to be marked bad, and goes on, serves again when it speaks. How long a backend rests is for those that do not.
func TestHungLeafGoesOn(t *testing.T) {
	leaves, urls := startLeaves(t, 1)
	p := startProxy(t, fmt.Sprintf(`
settings{ backend_read_timeout = 0.3, backend_retry_waittime = 3600 }
pools{ a = { backends = { %q } } }
routes{ default = "a" }`, urls[0]))
	p.ready()
	c := dial(t, p.addr)
	served := func() bool { return c.ask("get k\r\n") == "END\r\n" }
	eventually(t, "it answers", served)
	for range 2 {
		from := p.Stderr.Count()
		leaves[0].signal(syscall.SIGSTOP)
		for range 4 {
			c.ask("get k\r\n")
		}
		p.logged(from, "backend trouble", "markedbad")
		time.Sleep(500 * time.Millisecond) // and it hangs on, for longer than a request waits: else it would only have been slow
		leaves[0].signal(syscall.SIGCONT)
		eventually(t, "it serves again", served)
	}
}

// With one processor busy connections are served in a loop, and have no goroutines.

package system_test

import (
	"strings"
	"testing"
)

func TestLoopServesBusyConnections(t *testing.T) {
	t.Setenv("GOMAXPROCS", "1")
	p := startProxy(t, memcachedPool([]string{startMemcached(t)}, "", ""))
	var clients []*client
	for range 20 {
		clients = append(clients, dial(t, p.addr))
	}
	for range 20 { // a connection joins after its first
		for _, c := range clients {
			c.says("get a\r\nget b\r\n")
			c.sees("END\r\nEND\r\n")
		}
	}
	eventually(t, "connections to be without goroutines", func() bool {
		stacks := p.get("/debug/pprof/goroutine?debug=1")
		return strings.Contains(stacks, "sock.(*Loop).run") && !strings.Contains(stacks, "server.(*conn).run") && !strings.Contains(stacks, "memcached.(*conn).read")
	})
	for _, c := range clients {
		c.says("get a\r\nquit\r\n")
		c.sees("END\r\n")
	}
}

// Real proxies and a real leaf under clients that get in each other's way: every key is one register.

package system_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/linear"
)

// Through two proxies, and at the leaf's own listener, several connections each. Memory has room: nothing may be absent that was
// not deleted. tests/linear does the same in one process with memory full and a slow demoter.
func TestLinearizableThroughProxies(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	l := startLeaf(t, "leaf-1", "127.0.0.1:0", "--memcached", "127.0.0.1:0")
	addrs := []string{l.logged(0, "leaf ready")["memcached"].(string)}
	for range 2 {
		p := startProxy(t, fmt.Sprintf(differConfig, l.url))
		p.ready()
		addrs = append(addrs, p.addr)
	}
	load := linear.Load{Seed: seed, Keys: 6, Ops: 250}
	for _, addr := range addrs {
		for range 3 {
			c, err := net.DialTimeout("tcp", addr, patience)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			load.Clients = append(load.Clients, linear.OverConn(c))
		}
	}
	var h linear.History
	if err := h.Run(load); err != nil {
		t.Fatal(err)
	}
	if err := h.Check(patience); err != nil {
		t.Error(err)
	}
}

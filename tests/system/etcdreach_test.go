// A leaf that etcd reaches, and no proxy.

package system_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/tests/faultproxy"
)

// TestLeafThatNoProxyReaches: its registration goes on, and its keys have other owners all the same; it is back when it can be reached, with nothing of
// what it held.
func TestLeafThatNoProxyReaches(t *testing.T) {
	x := newTier(t)
	leaves := x.leaves(3)
	port := freePort(t)
	net, err := faultproxy.Start("127.0.0.1:" + port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { net.Close() })
	far := startLeaf(t, "leaf-4", "127.0.0.1:"+port, "--advertise", net.Addr(), "--etcd", x.endpoints, "--pool", "users")
	far.url = "nats://" + net.Addr() + "/leaf-4"
	all := append(slices.Clone(leaves), far)
	p, q := x.proxy(all), x.proxy(all)
	c, d := dial(t, p.addr), dial(t, q.addr)
	const n = 100
	set := func(value string) {
		for i := range n {
			if got := c.ask(fmt.Sprintf("set key-%d 0 0 1\r\n%s\r\n", i, value)); got != "STORED\r\n" {
				t.Fatalf("set key-%d: %q", i, got)
			}
		}
	}
	set("1")

	from := [...]int{p.Stderr.Count(), q.Stderr.Count()}
	net.Cut()
	for i, one := range []*proxy{p, q} {
		one.logged(from[i], "membership changed", `"went":["leaf-4"]`)
	}
	set("2")

	net.Heal()
	p.members(all...)
	q.members(all...)
	for i := range n {
		if got := d.ask(fmt.Sprintf("get key-%d\r\n", i)); strings.Contains(got, "\r\n1\r\n") || strings.HasPrefix(got, "SERVER_ERROR") {
			t.Errorf("get key-%d: %q", i, got)
		}
	}
}

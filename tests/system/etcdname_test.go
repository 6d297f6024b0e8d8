// Two leaves of one name in etcd: the later has it.

package system_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// TestLeafOfOneNameReplacesAnother: one that was started elsewhere before the first was stopped, as in a rolling update, keeps its place and its items when
// the first stops. And one that gets the name back, for it had hung and
// registers anew, serves nothing that was written over meanwhile.
func TestLeafOfOneNameReplacesAnother(t *testing.T) {
	x := newTier(t)
	leaves := x.leaves(2)
	p := x.proxy(leaves)
	c := dial(t, p.addr)
	const n = 100
	set := func(value string) {
		t.Helper()
		for i := range n {
			if got := c.ask(fmt.Sprintf("set key-%d 0 0 1\r\n%s\r\n", i, value)); got != "STORED\r\n" {
				t.Fatalf("%q", got)
			}
		}
	}
	holds := func(value string) (hits int) {
		t.Helper()
		for i := range n {
			switch got := c.ask(fmt.Sprintf("get key-%d\r\n", i)); {
			case strings.HasSuffix(got, "\r\n"+value+"\r\nEND\r\n"):
				hits++
			case got != "END\r\n":
				t.Errorf("key-%d: %q, want %s or nothing", i, got, value)
			}
		}
		return hits
	}
	set("a")
	first := leaves[0]
	second := x.leaf(first.name)
	p.members(second, leaves[1])
	set("b")
	first.signal(syscall.SIGTERM)
	first.exit(0)
	if hits := holds("b"); hits != n {
		t.Errorf("%d of %d keys are left when the first has stopped", hits, n)
	}

	third := x.leaf(first.name)
	p.members(third, leaves[1])
	set("c")
	before := leases(t, x)
	second.signal(syscall.SIGSTOP)
	eventually(t, "the end of the second's lease", func() bool { return leases(t, x) < before })
	second.signal(syscall.SIGCONT) // it takes another, and with it the name
	p.members(second, leaves[1])
	if hits := holds("c"); hits == 0 || hits == n {
		t.Errorf("%d of %d keys are left where the second has the name again", hits, n)
	}
}

// leases is how many there are in etcd.
func leases(t *testing.T, x *tier) int {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: strings.Split(x.endpoints, ",")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	r, err := c.Leases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(r.Leases)
}

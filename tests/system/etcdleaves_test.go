// Leaves that register in etcd, and proxies that follow: real processes and a real etcd.

package system_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/etcdpeer"
)

// tier is an etcd and the leaves of one pool.
type tier struct {
	t         *testing.T
	endpoints string
}

func newTier(t *testing.T) *tier {
	t.Helper()
	return &tier{t, strings.Join(etcdpeer.Start(t, 1).Endpoints(), ",")}
}

// leaf runs one that registers.
func (x *tier) leaf(name string, args ...string) *runningLeaf {
	x.t.Helper()
	l := startLeaf(x.t, name, "127.0.0.1:0", append([]string{"--etcd", x.endpoints, "--pool", "users"}, args...)...)
	l.url += "/" + name
	return l
}

func (x *tier) leaves(n int) (list []*runningLeaf) {
	x.t.Helper()
	for i := range n {
		list = append(list, x.leaf(fmt.Sprintf("leaf-%d", i+1)))
	}
	return list
}

// proxy runs one that discovers, and waits until it goes by these leaves.
func (x *tier) proxy(leaves []*runningLeaf, args ...string) *proxy {
	x.t.Helper()
	p := startProxy(x.t, discovered, append([]string{"--etcd", x.endpoints}, args...)...)
	p.members(leaves...)
	return p
}

func without(leaves []*runningLeaf, i int) []*runningLeaf {
	return append(append([]*runningLeaf(nil), leaves[:i]...), leaves[i+1:]...)
}

// TestLeavesRegister: one that comes is used within a second, by every proxy; one that is stopped hands over; one that is killed goes,
// and comes back at another address for the keys that it had.
func TestLeavesRegister(t *testing.T) {
	x := newTier(t)
	leaves := x.leaves(3)
	p, q := x.proxy(leaves), x.proxy(leaves)
	c, d := dial(t, p.addr), dial(t, q.addr)
	const n = 200
	if missed := fill(c, n); missed != n {
		t.Fatalf("%d keys are there at the start", n-missed)
	}

	begin := time.Now()
	leaves = append(leaves, x.leaf("leaf-4"))
	p.members(leaves...)
	q.members(leaves...)
	t.Logf("a leaf that came was used after %v, with its start", time.Since(begin).Round(time.Millisecond))
	if hits := found(d, n); hits != n {
		t.Errorf("%d of %d keys after a leaf came: the others are not asked for what they held", hits, n)
	}

	before := found(c, n)
	leaves[1].signal(syscall.SIGTERM)
	leaves[1].exit(0)
	leaves[1].logged(0, "leaf has drained", `"heirs_left":null`, `"err":null`)
	leaves = without(leaves, 1)
	p.members(leaves...)
	q.members(leaves...)
	if after := found(d, n); after != before {
		t.Errorf("%d of %d keys are left when one of four leaves has stopped in good order", after, before)
	}
	fill(c, n)

	old := leaves[1]
	from := p.Stderr.Count()
	old.Kill()
	p.logged(from, "membership changed", `"went":["`+old.name+`"]`)
	lost := fill(c, n)
	if lost == 0 || lost > n*2/3 {
		t.Errorf("%d of %d keys are lost with one of three leaves", lost, n)
	}
	leaves[1] = x.leaf(old.name)
	p.members(leaves...)
	q.members(leaves...)
	if missed := fill(d, n); missed > lost {
		t.Errorf("%d keys are missed when a leaf is back, and %d were when it went: others have moved", missed, lost)
	}
	if e := p.metricOf("tidepool_pool_epoch_applied", "users"); e != 1 {
		t.Errorf("tidepool_pool_epoch_applied is %v", e)
	}
}

// TestNoRequestIsLostToLeavesThatComeAndGo: leaves are started and stopped while two proxies are under load.
func TestNoRequestIsLostToLeavesThatComeAndGo(t *testing.T) {
	x := newTier(t)
	leaves := x.leaves(4)
	p, q := x.proxy(leaves), x.proxy(leaves)
	l, m := startAnyLoad(t, p.addr, 4), startAnyLoad(t, q.addr, 4)
	const changes = 8
	for i := range changes {
		if i%2 == 0 {
			leaves = append(leaves, x.leaf(fmt.Sprintf("leaf-%d", 10+i)))
		} else {
			leaves[1].signal(syscall.SIGTERM)
			leaves[1].exit(0)
			leaves = without(leaves, 1)
		}
		sorted := append([]*runningLeaf(nil), leaves...)
		slices.SortFunc(sorted, func(a, b *runningLeaf) int { return strings.Compare(a.name, b.name) })
		p.members(sorted...)
		q.members(sorted...)
	}
	l.end(t)
	m.end(t)
}

// TestLeafRegisterFlags: what cannot be meant is said at once.
func TestLeafRegisterFlags(t *testing.T) {
	for args, want := range map[string]string{
		"--pool users":                                              "--pool goes with --etcd",
		"--etcd 127.0.0.1:1":                                        "want --pool with --etcd",
		"--etcd 127.0.0.1:1 --pool a/b":                             "pool name",
		"--etcd 127.0.0.1:1 --pool a --weight 0":                    "want more than 0",
		"--etcd 127.0.0.1:1 --pool a --listen 0.0.0.0:0 --insecure": "want --advertise with --etcd",
	} {
		cmd := "leaf --name leaf-1 " + args
		if !strings.Contains(args, "--listen") {
			cmd += " --listen 127.0.0.1:0"
		}
		out, err := exec.Command(tidepool, strings.Fields(cmd)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("tidepool %s: %v, want %q:\n%s", cmd, err, want, out)
		}
	}
}

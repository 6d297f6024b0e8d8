// A leaf of a pool in etcd that is told to stop: nobody notices, and next to nothing is missed after it.

package system_test

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLeafDrains: under load that checks every answer and allows no error and no miss, a leaf hands over and goes. Each further item that it held
// is there afterwards, though nobody asked for it meanwhile.
func TestLeafDrains(t *testing.T) {
	x := newTier(t)
	leaves := x.leaves(3)
	p, q := x.proxy(leaves), x.proxy(leaves)
	const n = 3000
	c := dial(t, p.addr)
	if missed := fill(c, n); missed != n {
		t.Fatalf("%d keys are there at the start", n-missed)
	}
	// One in flight on each connection: a read whose item had to be brought may else see a write that its client sent after it.
	l := &load{addr: p.addr, conns: 10, depth: 1, keys: 20}
	l.start(t)
	m := startAnyLoad(t, q.addr, 2)
	l.flow(t, 2_000)

	from := leaves[1].Stderr.Count()
	begin := time.Now()
	leaves[1].signal(syscall.SIGTERM)
	f := leaves[1].logged(from, "leaf has drained")
	leaves[1].exit(0)
	took := time.Since(begin)
	p.members(without(leaves, 1)...)
	l.flow(t, 2_000)
	l.end(t)
	m.end(t)
	if f["heirs"] != 2.0 || f["heirs_left"] != nil || f["proxies"] != 2.0 || f["proxies_behind"] != 0.0 || f["err"] != nil || f["items"].(float64) < n/8 {
		t.Errorf("it says of its drain: %v", f)
	}
	hits := found(c, n)
	t.Logf("%d of %d keys are there after a drain of %v, which handed %v items over", hits, n, took.Round(time.Millisecond), f["items"])
	if hits != n {
		t.Errorf("%d keys are missed", n-hits)
	}
}

// TestLeafWithoutProxiesDrainsAtOnce: nobody is waited for who cannot come.
func TestLeafWithoutProxiesDrainsAtOnce(t *testing.T) {
	x := newTier(t)
	l := x.leaf("leaf-1", "--drain", "10m")
	p := x.proxy([]*runningLeaf{l})
	fill(dial(t, p.addr), 10)
	p.signal(syscall.SIGTERM)
	p.exit(0)
	eventually(t, "the proxy to be gone from etcd", func() bool {
		out, err := exec.Command(tidepool, "status", "--etcd", x.endpoints).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return !strings.Contains(string(out), "users@")
	})
	l.signal(syscall.SIGTERM)
	l.exit(0)
}

// TestLastLeafDrains: there is no heir.
func TestLastLeafDrains(t *testing.T) {
	x := newTier(t)
	l := x.leaf("leaf-1", "--drain", "10m")
	p := x.proxy([]*runningLeaf{l})
	c := dial(t, p.addr)
	fill(c, 10)
	l.signal(syscall.SIGTERM)
	f := l.logged(0, "leaf has drained")
	l.exit(0)
	if f["heirs"] != 0.0 || f["err"] != nil {
		t.Errorf("it says of its drain: %v", f)
	}
	if got := c.ask("get key-1\r\n"); !strings.HasPrefix(got, "SERVER_ERROR ") {
		t.Errorf("a pool without leaves answers %q", got)
	}
}

// TestSecondSignalCutsALeafDrain: which waits for an heir that hangs.
func TestSecondSignalCutsALeafDrain(t *testing.T) {
	x := newTier(t)
	l, other := x.leaf("leaf-1", "--drain", "10m", "--admin", "127.0.0.1:0"), x.leaf("leaf-2")
	p := x.proxy([]*runningLeaf{l, other})
	fill(dial(t, p.addr), 10)
	other.signal(syscall.SIGSTOP)
	defer other.signal(syscall.SIGCONT)
	l.signal(syscall.SIGTERM)
	l.logged(0, "leaf drains")
	admin := l.logged(0, "leaf ready")["admin"].(string)
	unready(t, admin)
	l.signal(syscall.SIGTERM)
	l.exit(1)
}

// Everything dies, and is started again in any order.

package system_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/tests/etcdpeer"
)

// ruin is an etcd, leaves and proxies that keep what they know of the topology on disk, at addresses that stay.
type ruin struct {
	t       *testing.T
	etcd    *etcdpeer.Cluster
	tier    *tier
	ports   []string // of leaves
	dirs    []string // of leaves and then of proxies
	leaves  []*runningLeaf
	proxies []*proxy
}

func newRuin(t *testing.T) *ruin {
	t.Helper()
	x := &ruin{t: t, etcd: etcdpeer.Start(t, 1)}
	x.tier = &tier{t, strings.Join(x.etcd.Endpoints(), ",")}
	for range 3 {
		x.ports = append(x.ports, freePort(t))
	}
	for range 5 {
		x.dirs = append(x.dirs, t.TempDir())
	}
	return x
}

// parts are what is started, by name.
func (x *ruin) start(part string) {
	x.t.Helper()
	switch part {
	case "etcd":
		x.etcd.Restart()
	case "leaves":
		x.leaves = nil
		for i, port := range x.ports {
			name := fmt.Sprintf("leaf-%d", i+1)
			l := startLeaf(x.t, name, "127.0.0.1:"+port, "--etcd", x.tier.endpoints, "--pool", "users", "--state-dir", x.dirs[i])
			l.url = "nats://127.0.0.1:" + port + "/" + name
			x.leaves = append(x.leaves, l)
		}
	case "proxies":
		x.proxies = nil
		for i := range 2 {
			x.proxies = append(x.proxies, startProxy(x.t, discovered, "--etcd", x.tier.endpoints, "--state-dir", x.dirs[3+i]))
		}
	}
}

// kill ends all, at once.
func (x *ruin) kill() {
	for _, p := range x.proxies {
		p.Kill()
	}
	for _, l := range x.leaves {
		l.Kill()
	}
	for _, m := range x.etcd.Members {
		m.Kill()
	}
}

// serves wants what is written through one proxy to be read through the other.
func (x *ruin) serves(when string) {
	x.t.Helper()
	for _, p := range x.proxies {
		p.members(x.leaves...)
	}
	a, b := dial(x.t, x.proxies[0].addr), dial(x.t, x.proxies[1].addr)
	for i := range 50 {
		key := fmt.Sprintf("key-%d", i)
		if got := a.ask("set " + key + " 0 0 5\r\nvalue\r\n"); got != "STORED\r\n" {
			x.t.Fatalf("%s: set %s: %q", when, key, got)
		}
		if got := b.ask("get " + key + "\r\n"); got != "VALUE "+key+" 0 5\r\nvalue\r\nEND\r\n" {
			x.t.Fatalf("%s: get %s: %q", when, key, got)
		}
		if got := b.ask("delete " + key + "\r\n"); got != "DELETED\r\n" {
			x.t.Fatalf("%s: delete %s: %q", when, key, got)
		}
		if got := a.ask("get " + key + "\r\n"); got != "END\r\n" {
			x.t.Fatalf("%s: get %s after its delete: %q", when, key, got)
		}
	}
}

// TestRestartInAnyOrder: with what is on disk a tier serves as soon as leaves and proxies are there, with etcd or without, and etcd knows all of
// them when it is back; also one that has forgotten everything.
func TestRestartInAnyOrder(t *testing.T) {
	x := newRuin(t)
	for _, part := range []string{"leaves", "proxies"} {
		x.start(part)
	}
	x.serves("at first")
	for i, order := range [][3]string{
		{"leaves", "proxies", "etcd"}, {"proxies", "leaves", "etcd"}, {"etcd", "leaves", "proxies"},
		{"etcd", "proxies", "leaves"}, {"leaves", "etcd", "proxies"}, {"proxies", "etcd", "leaves"},
	} {
		x.kill()
		when := strings.Join(order[:], ", ")
		if i%2 == 1 {
			x.etcd.Wipe()
			when += ", with an empty etcd"
		}
		for _, part := range order {
			if part == "etcd" && order[2] == part {
				x.writes()
				x.serves(when + ": before etcd")
			}
			x.start(part)
		}
		x.writes()
		x.serves(when)
		eventually(t, when+": etcd knows all", func() bool {
			out, err := exec.Command(tidepool, "status", "--etcd", x.tier.endpoints).Output()
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			known := true
			for _, l := range x.leaves {
				known = known && strings.Contains(string(out), l.name)
			}
			return known
		})
		x.serves(when + ", and registered")
		t.Log(when)
	}
}

// writes waits until proxies take them: who cannot ask etcd who else is there, or finds there who was killed a moment ago, waits until those have had time
// to hear that they are outdated.
func (x *ruin) writes() {
	x.t.Helper()
	for _, p := range x.proxies {
		p.members(x.leaves...)
		c := dial(x.t, p.addr)
		for i := range 20 {
			eventually(x.t, "a write", func() bool { return c.ask(fmt.Sprintf("set key-%d 0 0 1\r\nv\r\n", i)) == "STORED\r\n" })
		}
	}
}

// TestEtcdRestartsUnderLoad: clients do not notice, neither that it is gone nor that it comes back empty.
func TestEtcdRestartsUnderLoad(t *testing.T) {
	x := newRuin(t)
	x.start("leaves")
	x.start("proxies")
	x.serves("at first")
	l := &load{addr: x.proxies[0].addr, conns: 3, depth: 4, keys: 40}
	l.start(t)
	for _, away := range []func(){x.etcd.Members[0].Kill, x.etcd.Wipe} {
		l.flow(t, 500)
		away()
		l.flow(t, 2_000)
		x.start("etcd")
		for _, p := range x.proxies {
			eventually(t, "etcd to be heard", func() bool { return p.metricOf("tidepool_topology_connected", x.source()) == 1 })
		}
		l.flow(t, 2_000)
	}
	l.end(t)
}

// source is what proxies call etcd.
func (x *ruin) source() string { return "etcd " + x.tier.endpoints + " /tidepool" }

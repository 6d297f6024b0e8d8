// Leaves that come and go, found by a topology file: none of a client's requests is lost, and no key moves that need not.

package system_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// discovered is a proxy of one pool, whose members are in a file.
const discovered = `pool{ name = "users", discover = true }
router{ router_type = "flat", default_pool = "users" }`

// topology is a file with the members of the pool users.
type topology struct {
	t    *testing.T
	path string
}

func newTopology(t *testing.T, leaves ...*runningLeaf) *topology {
	f := &topology{t, filepath.Join(t.TempDir(), "topology.json")}
	f.is(leaves...)
	return f
}

// is writes the file anew, whole.
func (f *topology) is(leaves ...*runningLeaf) {
	f.t.Helper()
	members := []map[string]any{}
	for i, l := range leaves {
		members = append(members, map[string]any{"name": l.name, "addr": l.url, "zone": fmt.Sprintf("z%d", i%2)})
	}
	text, err := json.MarshalIndent(map[string]any{"pools": map[string]any{"users": members}}, "", "  ")
	if err != nil {
		f.t.Fatal(err)
	}
	f.says(string(text))
}

func (f *topology) says(text string) {
	f.t.Helper()
	if err := os.WriteFile(f.path+".new", []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(f.path+".new", f.path); err != nil {
		f.t.Fatal(err)
	}
}

// members waits until the proxy goes by these.
func (p *proxy) members(leaves ...*runningLeaf) {
	p.t.Helper()
	var want []string
	for _, l := range leaves {
		want = append(want, l.name+" "+l.url)
	}
	var got string
	eventually(p.t, "members "+strings.Join(want, ", "), func() bool {
		var v struct {
			Pools []struct {
				Backends []struct {
					Name, Addr string
					Up         bool
				}
			}
		}
		if err := json.Unmarshal([]byte(p.get("/config")), &v); err != nil {
			p.t.Fatal(err)
		}
		var now []string
		for _, b := range v.Pools[0].Backends {
			if b.Up {
				now = append(now, b.Name+" "+b.Addr)
			}
		}
		got = strings.Join(now, ", ")
		return got == strings.Join(want, ", ")
	})
}

// fill sets keys that are not there, and gives how many those are.
func fill(c *client, n int) (missed int) {
	c.t.Helper()
	for i := range n {
		key := fmt.Sprintf("key-%d", i)
		switch got := c.ask("get " + key + "\r\n"); {
		case got == "END\r\n":
			missed++
			if got := c.ask("set " + key + " 0 0 1\r\nv\r\n"); got != "STORED\r\n" {
				c.t.Fatalf("set %s: %q", key, got)
			}
		case !strings.HasPrefix(got, "VALUE "+key+" "):
			c.t.Fatalf("get %s: %q", key, got)
		}
	}
	return missed
}

// found is how many of the keys are there.
func found(c *client, n int) (hits int) {
	c.t.Helper()
	for i := range n {
		if got := c.ask(fmt.Sprintf("get key-%d\r\n", i)); got != "END\r\n" {
			hits++
		}
	}
	return hits
}

// TestLeavesComeAndGo: by a file that changes, which keys move is rendezvous' choice by name.
func TestLeavesComeAndGo(t *testing.T) {
	leaves, _ := startLeaves(t, 4)
	f := newTopology(t, leaves[:3]...)
	p := startProxy(t, discovered, "--topology", f.path)
	p.members(leaves[:3]...)
	c := dial(t, p.addr)
	const n = 300
	if missed := fill(c, n); missed != n {
		t.Fatalf("%d keys are there at the start", n-missed)
	}

	begin := time.Now()
	f.is(leaves...)
	p.members(leaves...)
	t.Logf("a leaf that came was used after %v", time.Since(begin).Round(time.Millisecond))
	moved := n - found(c, n)
	if moved < n/8 || moved > n/2 {
		t.Errorf("%d of %d keys moved to the fourth leaf", moved, n)
	}

	f.is(leaves[0], leaves[2], leaves[3])
	p.members(leaves[0], leaves[2], leaves[3])
	f.is(leaves[:3]...)
	p.members(leaves[:3]...)
	if hits := found(c, n); hits != n {
		t.Errorf("%d of %d keys are where they were: others than those of who came and went have moved", hits, n)
	}

	// One that is gone takes its own keys only: what is set elsewhere then is found there when it is back.
	f.is(leaves[0], leaves[2])
	p.members(leaves[0], leaves[2])
	lost := fill(c, n)
	if lost < n/8 || lost > n/2 {
		t.Errorf("%d of %d keys are lost with one of three leaves", lost, n)
	}

	// A leaf that comes back at another address has the same keys.
	leaves[1].signal(syscall.SIGTERM)
	leaves[1].exit(0)
	leaves[1] = startLeaf(t, leaves[1].name, "127.0.0.1:0")
	f.is(leaves[:3]...)
	p.members(leaves[:3]...)
	if missed := fill(c, n); missed != lost {
		t.Errorf("%d keys are looked for at the leaf that is back, want %d, those that it had before", missed, lost)
	}

	// A file with a mistake, or none, changes nothing.
	from := p.Stderr.Count()
	f.says(`{"pools": {"users": [` + "\n" + `{"name": "Leaf", "addr": "x"}]}}`)
	const refused = "topology file is not taken: what it said before serves on"
	p.logged(from, refused, "topology.json:2: pool")
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	p.logged(from, refused, "no such file")
	if hits := found(c, n); hits != n {
		t.Errorf("%d of %d keys without the file", hits, n)
	}
	if st := p.metricOf("tidepool_topology_connected", "file "+f.path); st != 0 {
		t.Errorf("tidepool_topology_connected is %v", st)
	}
	f.is(leaves...)
	p.members(leaves...)
	if n := p.metricOf("tidepool_pool_members", "users", "ready"); n != 4 {
		t.Errorf("tidepool_pool_members is %v", n)
	}
	if g := p.generation(); g != 1 {
		t.Errorf("generation %d: the configuration was loaded again", g)
	}
}

func (p *proxy) metricOf(name string, labels ...string) float64 {
	p.t.Helper()
	return value(p.t, p.metrics(), name, labels...)
}

// anyLoad asks and sets keys that have no owner: whoever has a key may forget it, but every answer is one, and its key's.
type anyLoad struct {
	stop     chan struct{}
	done     sync.WaitGroup
	answered atomic.Int64
	faults   sync.Map // by text
}

func startAnyLoad(t *testing.T, addr string, conns int) *anyLoad {
	t.Helper()
	l := &anyLoad{stop: make(chan struct{})}
	for n := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		l.done.Go(func() {
			defer c.Close()
			for i := n; ; i++ {
				select {
				case <-l.stop:
					return
				default:
				}
				if err := l.turn(c, i%500); err != nil {
					l.faults.Store(err.Error(), true)
					return
				}
			}
		})
	}
	return l
}

// turn sets two keys and gets two.
func (l *anyLoad) turn(c net.Conn, k int) error {
	ask := fmt.Sprintf("set a%d 0 0 4\r\na%03d\r\nget b%d\r\nset b%d 0 0 4\r\nb%03d\r\nget a%d\r\nmn\r\n", k, k, k, k, k, k)
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, ask); err != nil {
		return err
	}
	var got string
	buf := make([]byte, 1024)
	for !strings.HasSuffix(got, "MN\r\n") {
		n, err := c.Read(buf)
		if err != nil {
			return fmt.Errorf("after %q: %w", got, err)
		}
		got += string(buf[:n])
	}
	one := strings.ReplaceAll(got, fmt.Sprintf("VALUE a%d 0 4\r\na%03d\r\n", k, k), "")
	if strings.ReplaceAll(one, fmt.Sprintf("VALUE b%d 0 4\r\nb%03d\r\n", k, k), "") != "STORED\r\nEND\r\nSTORED\r\nEND\r\nMN\r\n" {
		return fmt.Errorf("%q is answered with %q", ask, got)
	}
	l.answered.Add(4)
	return nil
}

// end stops, and wants no faults.
func (l *anyLoad) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.done.Wait()
	l.faults.Range(func(text, _ any) bool {
		t.Error(text)
		return true
	})
	t.Logf("%d answers", l.answered.Load())
}

// TestNoRequestIsLostToChanges: fifty memberships, one after another, under load.
func TestNoRequestIsLostToChanges(t *testing.T) {
	leaves, _ := startLeaves(t, 4)
	f := newTopology(t, leaves...)
	p := startProxy(t, discovered, "--topology", f.path)
	p.members(leaves...)
	l := startAnyLoad(t, p.addr, 8)
	const changes = 50
	for i := range changes {
		now := append([]*runningLeaf(nil), leaves...)
		if i < changes-1 {
			out := i % 4
			now = append(now[:out], now[out+1:]...)
			if i%3 == 1 {
				now = now[1:]
			}
		}
		f.is(now...)
		p.members(now...)
	}
	l.end(t)
	if n := p.metricOf("tidepool_topology_changes_total", "file "+f.path); n != changes+1 {
		t.Errorf("%v memberships, want %d", n, changes+1)
	}
}

// TestTopologyFlags: what a proxy does not start with, and what the commands make of a file that connect to nothing.
func TestTopologyFlags(t *testing.T) {
	config, bad := write(t, "routes.lua", discovered), write(t, "bad.json", `{"pools": []}`)
	f := newTopology(t, &runningLeaf{name: "leaf-1", url: "nats://127.0.0.1:1/leaf-1"}, &runningLeaf{name: "leaf-2", url: "nats://127.0.0.1:2/leaf-2"})
	less := newTopology(t, &runningLeaf{name: "leaf-1", url: "nats://127.0.0.1:9/leaf-1"})
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"proxy " + config + " --listen 127.0.0.1:0 --admin none", "there is neither etcd nor a topology file to ask", 1},
		{"proxy " + config + " --topology " + bad, "bad.json:1: json: cannot unmarshal array", 1},
		{"proxy " + config + " --topology /nowhere/t.json", "cannot read topology: open /nowhere/t.json", 1},
		{"proxy " + config + " --dns-interval 1ms", "want at least 100ms", 2},
		{"check " + config, "ok", 0},
		{"explain " + config + " get x --topology " + f.path, "leaf-", 0},
		{"diff " + config + " " + config + " --topology " + f.path, "", 0},
		{"diff " + config + " " + config + " --topology " + f.path + " --new-topology " + less.path, "leaf-2", 1},
	} {
		out, err := exec.Command(tidepool, strings.Fields(c.args)...).CombinedOutput()
		code := 0
		if exit, ok := err.(*exec.ExitError); ok {
			code = exit.ExitCode()
		}
		if code != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("tidepool %s: exit %d, want %d with %q:\n%s", c.args, code, c.code, c.want, out)
		}
	}
}

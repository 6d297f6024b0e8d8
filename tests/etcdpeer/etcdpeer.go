// Package etcdpeer runs real etcd servers for tests: the etcd in PATH, as processes of their own, one or a cluster, which may be killed, started
// again, stopped in their tracks, emptied and cut off from one another. The tests of whatever uses etcd call it. Any number of clusters may run at once; the methods of one
// are not to be called concurrently.
package etcdpeer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/faultproxy"
	"github.com/tidepool-proxy/tidepool/tests/peer"
	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// patience bounds the start of a cluster.
const patience = 30 * time.Second

// Cluster is one etcd, of one member or several.
type Cluster struct {
	Members []*Member
	t       testing.TB
	links   []*faultproxy.Proxy // by member, where the others reach it; nil: they do so without
}

// Member is one etcd process.
type Member struct {
	Name   string
	Client string // host:port for clients
	Dir    string

	peer string // host:port for other members
	args []string
	p    *proc.Process
	t    testing.TB
}

// Start runs etcd on n ports of 127.0.0.1 until the test ends, and waits until it answers. args go to every member after those that it
// needs, and so replace them; {client} in them is the member's host:port for clients.
func Start(t testing.TB, n int, args ...string) *Cluster {
	t.Helper()
	return start(t, n, false, args)
}

// StartLinked is Start with networks between the members that can be made bad: Isolate, Slow.
func StartLinked(t testing.TB, n int, args ...string) *Cluster {
	t.Helper()
	return start(t, n, true, args)
}

func start(t testing.TB, n int, linked bool, args []string) *Cluster {
	t.Helper()
	path := peer.Need(t, "etcd")
	addrs, err := proc.FreePorts(3 * n)
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{t: t}
	var peers, told []string // told: the members' addresses as the others know them
	for i := range n {
		told = append(told, "http://"+addrs[n+i])
		if linked {
			told[i] = "http://" + c.link(addrs[n+i])
		}
		peers = append(peers, fmt.Sprintf("m%d=%s", i, told[i]))
	}
	root := tempDir(t)
	for i := range n {
		m := &Member{Name: fmt.Sprintf("m%d", i), Client: addrs[i], peer: addrs[n+i], Dir: fmt.Sprintf("%s/m%d", root, i), t: t}
		m.args = append([]string{
			path, "--name", m.Name, "--data-dir", m.Dir, "--heartbeat-interval", "50", "--election-timeout", "500",
			"--listen-client-urls", "http://" + m.Client, "--advertise-client-urls", "http://" + m.Client,
			"--listen-peer-urls", "http://" + m.peer, "--initial-advertise-peer-urls", told[i],
			"--listen-metrics-urls", "http://" + addrs[2*n+i],
			"--initial-cluster", strings.Join(peers, ","), "--log-level", "warn", "--logger", "zap",
		}, args...)
		for j, a := range m.args {
			m.args[j] = strings.ReplaceAll(a, "{client}", m.Client)
		}
		c.Members = append(c.Members, m)
	}
	for _, m := range c.Members {
		m.Start()
	}
	c.Await()
	t.Cleanup(func() {
		for _, m := range c.Members {
			m.Kill()
		}
	})
	return c
}

// tempDir is in memory where it can be: etcd waits for its disk at every write.
func tempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "etcd-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Endpoints are the addresses for clients.
func (c *Cluster) Endpoints() (out []string) {
	for _, m := range c.Members {
		out = append(out, m.Client)
	}
	return out
}

// Await waits until every member that runs is healthy.
func (c *Cluster) Await() {
	c.t.Helper()
	for _, m := range c.Members {
		if m.p != nil {
			m.Await()
		}
	}
}

// Start runs the member, again if it was killed.
func (m *Member) Start() {
	m.t.Helper()
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread must not end before the process does: see leash
		defer runtime.UnlockOSThread()
		cmd := exec.Command(m.args[0], m.args[1:]...)
		leash(cmd)
		p, err := proc.Start(cmd)
		m.p = p
		started <- err
		if err == nil {
			<-p.Exited
		}
	}()
	if err := <-started; err != nil {
		m.t.Fatalf("cannot start etcd: %v", err)
	}
}

// Await waits until the member has a leader and answers.
func (m *Member) Await() {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if m.healthy(ctx) {
			return
		}
		select {
		case <-m.p.Exited:
			m.t.Fatalf("etcd has ended:\n%s", m.p.Stderr.Tail())
		case <-ctx.Done():
			m.t.Fatalf("etcd is not healthy after %v:\n%s", patience, m.p.Stderr.Tail())
		case <-time.After(20 * time.Millisecond): // another process: there is nothing to wait on
		}
	}
}

func (m *Member) healthy(ctx context.Context) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.metrics()+"/health", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	b, _ := io.ReadAll(answer.Body)
	return answer.StatusCode == http.StatusOK && strings.Contains(string(b), "true")
}

// metrics is where the member tells of its health, without TLS and users.
func (m *Member) metrics() string {
	for i, a := range m.args {
		if a == "--listen-metrics-urls" {
			return m.args[i+1]
		}
	}
	return ""
}

// Kill ends the member, by SIGKILL. It may be called again.
func (m *Member) Kill() {
	if m.p != nil {
		_ = m.p.Cmd.Process.Signal(syscall.SIGCONT)
		m.p.Kill()
		m.p = nil
	}
}

// Hang stops the member in its tracks: its connections stay, and say nothing. Resume lets it go on.
func (m *Member) Hang() { m.signal(syscall.SIGSTOP) }

// Resume ends Hang.
func (m *Member) Resume() { m.signal(syscall.SIGCONT) }

func (m *Member) signal(s syscall.Signal) {
	m.t.Helper()
	if err := m.p.Cmd.Process.Signal(s); err != nil {
		m.t.Fatal(err)
	}
}

// Wipe kills every member and throws away what they knew. Start them again after it.
func (c *Cluster) Wipe() {
	c.t.Helper()
	for _, m := range c.Members {
		m.Kill()
		if err := os.RemoveAll(m.Dir); err != nil {
			c.t.Fatal(err)
		}
	}
}

// Restart starts every member that does not run, and waits.
func (c *Cluster) Restart() {
	c.t.Helper()
	for _, m := range c.Members {
		if m.p == nil {
			m.Start()
		}
	}
	c.Await()
}

// Leader is the member that leads, as the members say.
func (c *Cluster) Leader() *Member {
	c.t.Helper()
	for _, m := range c.Members {
		if m.Leads() {
			return m
		}
	}
	c.t.Fatal("no member leads")
	return nil
}

// A cluster on one machine: tidepool dev --etcd, and what it says to try.

package system_test

import (
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tidepool-proxy/tidepool/tests/peer"
)

func TestDevCluster(t *testing.T) {
	peer.Need(t, "etcd")
	peer.Need(t, "curl")
	p := start(t, "dev", "--etcd", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--leaf-port", "0", "--memory", "16MiB")
	if p.Stdout.Find(0, 2*patience, "Ctrl-C stops all of it.") == "" { // after its own patience it says why there is no cluster
		t.Fatalf("no banner:\n%s\n%s", p.Stdout.Text(), p.Stderr.Tail())
	}
	banner := p.Stdout.Text()
	var tries []string
	for line := range strings.SplitSeq(banner, "\n") {
		if strings.HasPrefix(line, "     ") && !strings.Contains(line, "process") {
			tries = append(tries, strings.TrimSpace(line))
		}
	}
	if len(tries) != 6 {
		t.Fatalf("%d things to try:\n%s", len(tries), banner)
	}
	if got := shell(t, tries[0]); got != "STORED\r\nVALUE hello 0 5\r\nworld\r\nEND\r\n" {
		t.Errorf("%s\n%q", tries[0], got)
	}
	members := func(n int) {
		t.Helper()
		eventually(t, strconv.Itoa(n)+" members", func() bool {
			_, list, _ := strings.Cut(shell(t, tries[1]), `"backends"`)
			list, _, _ = strings.Cut(list, `"discovered"`)
			return strings.Count(list, `"up": true`) == n && strings.Count(list, `"name"`) == n
		})
	}
	members(5)

	args := strings.Fields(tries[2])
	if len(args) < 2 || args[1] != "leaf" || args[3] != "leaf-6" {
		t.Fatalf("to add a leaf: %q", tries[2])
	}
	more := run(t, exec.Command(tidepool, args[1:]...))
	members(6)
	shell(t, tries[3])
	members(5)
	shell(t, tries[4])
	members(4)
	shell(t, tries[5])
	if got := shell(t, tries[0]); got != "STORED\r\nVALUE hello 0 5\r\nworld\r\nEND\r\n" {
		t.Errorf("without etcd: %q", got)
	}

	p.signal(syscall.SIGTERM)
	p.exit(0)
	more.Kill()
	for _, pid := range regexp.MustCompile(`process (\d+)`).FindAllStringSubmatch(banner, -1) {
		if n, _ := strconv.Atoi(pid[1]); syscall.Kill(n, 0) == nil {
			t.Errorf("process %d is still there", n)
		}
	}
}

// TestDevClusterWithoutEtcd: what is missing is said.
func TestDevClusterWithoutEtcd(t *testing.T) {
	cmd := exec.Command(tidepool, "dev", "--etcd")
	cmd.Env = []string{"PATH=/nowhere"}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "etcd-server") {
		t.Errorf("%v, want the package's name:\n%s", err, out)
	}
}

// TestDevClusterWhereAnotherIs: another cluster's addresses are not taken for its own.
func TestDevClusterWhereAnotherIs(t *testing.T) {
	peer.Need(t, "etcd")
	taken := listen(t).Addr().String()
	for _, flag := range []string{"--listen", "--admin"} {
		args := []string{"dev", "--etcd", "--leaf-port", "0", flag, taken}
		for _, other := range []string{"--listen", "--admin"} {
			if other != flag {
				args = append(args, other, "127.0.0.1:0")
			}
		}
		out, err := exec.Command(tidepool, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "cannot start a cluster: listen tcp "+taken) {
			t.Errorf("%s: %v, want %s named:\n%s", flag, err, taken, out)
		}
	}
}

// Processes of a shell: what they write, how they end.

package proc

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = 20 * time.Second

func sh(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(exec.Command("sh", "-c", script))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestLinesAndExit(t *testing.T) {
	p := sh(t, `echo out; echo '{"msg":"it serves","addr":"a"}' >&2; echo '{"msg":"it serves","addr":"b"}' >&2; exit 3`)
	if f, err := p.Logged(0, patience, "it serves", `"b"`); err != nil || f["addr"] != "b" {
		t.Errorf("%v, %v", f, err)
	}
	if f, err := p.Logged(1, patience, "it serves"); err != nil || f["addr"] != "b" {
		t.Errorf("from the second line on: %v, %v", f, err)
	}
	if code, err := p.Exit(patience); code != 3 || err != nil {
		t.Errorf("exit %d, %v", code, err)
	}
	if s := p.Stdout.Text(); s != "out" {
		t.Errorf("wrote %q", s)
	}
	if _, err := p.Logged(0, patience, "another"); err == nil || !strings.Contains(err.Error(), `no log line with "another"`) {
		t.Errorf("a line that never came: %v", err)
	}
}

func TestStopAndKill(t *testing.T) {
	p := sh(t, `trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done`)
	p.Stdout.Find(0, patience, "ready")
	p.Stop(patience)
	if code, err := p.Exit(0); code != 7 || err != nil {
		t.Errorf("stopped: %d, %v", code, err)
	}
	p = sh(t, `trap '' TERM; echo ready; while :; do sleep 0.01; done`)
	p.Stdout.Find(0, patience, "ready")
	if _, err := p.Exit(0); err == nil {
		t.Error("it should run still")
	}
	p.Stop(0)
	if ws := p.Cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != syscall.SIGKILL {
		t.Errorf("ended by %v", ws.Signal())
	}
	p.Kill()
}

func TestAwaitListening(t *testing.T) {
	addrs, err := FreePorts(2)
	if err != nil || addrs[0] == addrs[1] {
		t.Fatal(addrs, err)
	}
	p := sh(t, "echo why >&2; exit 1")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.AwaitListening(ctx, addrs[0]); err == nil || !strings.Contains(err.Error(), "it ended:\nwhy") {
		t.Errorf("%v", err)
	}
}

func TestUsage(t *testing.T) {
	p := sh(t, `i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done; exec sleep 60`)
	p.Stdout.Find(0, patience, "done")
	if cpu, err := p.CPU(); err != nil || cpu < 10*time.Millisecond || cpu > time.Minute {
		t.Errorf("CPU %v, %v", cpu, err)
	}
	rss, err := p.RSS()
	for end := time.Now().Add(patience); err == nil && rss < 100<<10 && time.Now().Before(end); { // exec may just have emptied it
		rss, err = p.RSS()
	}
	if err != nil || rss < 100<<10 || rss > 1<<30 {
		t.Errorf("RSS %d, %v", rss, err)
	}
}

// Running processes in tests: start one, read its log, talk to it, wait for its end.

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must come; it is never waited for in full unless the test fails.
const patience = 20 * time.Second

// process is a running tidepool.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout *lines
	stderr *lines // JSON logs
	exited chan struct{}
}

// lines is what a process has written to one of its outputs, for whoever waits for a line.
type lines struct {
	mu   sync.Mutex
	all  []string
	more chan struct{} // closed and replaced at each line
	end  bool
}

func (l *lines) read(r io.Reader) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		l.mu.Lock()
		l.all = append(l.all, s.Text())
		close(l.more)
		l.more = make(chan struct{})
		l.mu.Unlock()
	}
	l.mu.Lock()
	l.end = true
	close(l.more)
	l.mu.Unlock()
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// await waits for a line that has every part and gives it. Lines before from (see count) are not looked at.
func (l *lines) await(t *testing.T, from int, parts ...string) string {
	t.Helper()
	late := time.After(patience)
	for i := from; ; {
		l.mu.Lock()
		for ; i < len(l.all); i++ {
			if hasAll(l.all[i], parts) {
				defer l.mu.Unlock()
				return l.all[i]
			}
		}
		more, end := l.more, l.end
		l.mu.Unlock()
		if end {
			t.Fatalf("the process ended without a line with %q:\n%s", parts, l.text())
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("no line with %q:\n%s", parts, l.text())
		}
	}
}

func (l *lines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

func hasAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// start runs tidepool with JSON logs. It is killed with the test if it has not ended before.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{
		t: t, cmd: exec.Command(binary, append(args, "--log-format", "json")...), exited: make(chan struct{}),
		stdout: &lines{more: make(chan struct{})}, stderr: &lines{more: make(chan struct{})},
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { p.stdout.read(out) })
	readers.Go(func() { p.stderr.read(errs) })
	go func() {
		readers.Wait()
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
	})
	return p
}

// signal sends one to this process alone.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the end and wants its code.
func (p *process) exit(code int) {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("still running:\n%s", p.stderr.text())
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit code %d, want %d:\n%s", got, code, p.stderr.text())
	}
}

// logged waits for a log line with that message and gives its fields.
func (p *process) logged(from int, msg string, parts ...string) map[string]any {
	p.t.Helper()
	line := p.stderr.await(p.t, from, append(parts, fmt.Sprintf("%q:%q", "msg", msg))...)
	var fields map[string]any
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		p.t.Fatalf("%q: %v", line, err)
	}
	return fields
}

// startProxy runs a proxy over a configuration on ports that the kernel chooses, and gives its client and admin addresses.
func startProxy(t *testing.T, config string, args ...string) (p *process, addr, admin string) {
	t.Helper()
	p = start(t, append([]string{"proxy", write(t, "routes.lua", config), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)...)
	f := p.logged(0, "proxy serves")
	return p, f["addrs"].([]any)[0].(string), f["admin"].(string)
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// get asks an admin page and gives its body.
func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("GET %s: %s, %v\n%s", url, resp.Status, err, b)
	}
	return string(b)
}

// bash runs a command line as a person would paste it.
func bash(t *testing.T, line string) string {
	t.Helper()
	var errs bytes.Buffer
	c := exec.Command("bash", "-c", line)
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, errs.String())
	}
	return string(out)
}

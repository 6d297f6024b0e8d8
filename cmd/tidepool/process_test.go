// Running processes in tests: start one, read its log, talk to it, wait for its end.

package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// patience is how long a test waits for what must come; it is never waited for in full unless the test fails.
const patience = 20 * time.Second

// process is a running tidepool, whose standard error is a JSON log.
type process struct {
	t *testing.T
	*proc.Process
}

// start runs tidepool with JSON logs. It is killed with the test if it has not ended before.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p, err := proc.Start(exec.Command(binary, append(args, "--log-format", "json")...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return &process{t, p}
}

// signal sends one to this process alone.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.Cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// exit waits for the end and wants its code.
func (p *process) exit(code int) {
	p.t.Helper()
	if got, err := p.Exit(patience); err != nil || got != code {
		p.t.Fatalf("exit code %d (%v), want %d:\n%s", got, err, code, p.Stderr.Tail())
	}
}

// logged waits for a log line with that message and gives its fields.
func (p *process) logged(from int, msg string, parts ...string) map[string]any {
	p.t.Helper()
	f, err := p.Logged(from, patience, msg, parts...)
	if err != nil {
		p.t.Fatal(err)
	}
	return f
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

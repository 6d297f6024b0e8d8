// Running processes: start one, read its log, wait for its end. No test leaves one behind, and a data race in one fails
// the test that started it.

package system_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/peer"
)

// process is a running tidepool, or a peer.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout *lines
	stderr *lines // of tidepool: JSON logs
	exited chan struct{}
}

// lines is what a process has written to one of its outputs, for whoever waits for a line.
type lines struct {
	mu   sync.Mutex
	all  []string
	more chan struct{} // closed and replaced at each line
	end  bool
}

func newLines() *lines { return &lines{more: make(chan struct{})} }

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

// tail is the end of what was written, for messages.
func (l *lines) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all[max(0, len(l.all)-30):], "\n")
}

func (l *lines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// find waits for a line that has every part. Lines before from are not looked at. "": the process ended, or it came not in time.
func (l *lines) find(from int, parts ...string) string {
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
			return ""
		}
		select {
		case <-more:
		case <-late:
			return ""
		}
	}
}

func hasAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// run starts a program. It is killed with the test if it has not ended before.
func run(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, stdout: newLines(), stderr: newLines(), exited: make(chan struct{})}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { p.stdout.read(out) })
	readers.Go(func() { p.stderr.read(errs) })
	go func() {
		readers.Wait()
		_ = cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	return p
}

// start runs tidepool with JSON logs.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := run(t, exec.Command(tidepool, append(args, "--log-format", "json")...))
	t.Cleanup(func() {
		<-p.exited
		for _, sign := range []string{"WARNING: DATA RACE", "session panicked", "fatal error: ", "goroutine 1 ["} {
			if strings.Contains(p.stderr.text(), sign) {
				t.Errorf("%s: the log has %q:\n%s", args[0], sign, p.stderr.text())
				return
			}
		}
	})
	t.Cleanup(p.kill) // before the log is looked at: cleanups run last first
	return p
}

// kill is SIGKILL, and the end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
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
		p.t.Fatalf("still running:\n%s", p.stderr.tail())
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit code %d, want %d:\n%s", got, code, p.stderr.tail())
	}
}

// fields reads a log line.
func fields(t *testing.T, line string) map[string]any {
	t.Helper()
	var f map[string]any
	if err := json.Unmarshal([]byte(line), &f); err != nil {
		t.Fatalf("log line %q: %v", line, err)
	}
	return f
}

// logged waits for a log line with that message and gives its fields. Lines before from (see lines.count) do not count.
func (p *process) logged(from int, msg string, parts ...string) map[string]any {
	p.t.Helper()
	parts = append(parts, fmt.Sprintf("%q:%q", "msg", msg))
	line := p.stderr.find(from, parts...)
	if line == "" {
		p.t.Fatalf("no log line with %q:\n%s", parts, p.stderr.tail())
	}
	return fields(p.t, line)
}

// proxy is a running proxy.
type proxy struct {
	*process
	addr, admin string // of clients and of admin: host:port
	file        string // its configuration
}

// startProxy runs a proxy over a configuration and waits until it serves.
func startProxy(t *testing.T, config string, args ...string) *proxy {
	t.Helper()
	p := &proxy{file: write(t, "routes.lua", config)}
	p.process = start(t, append([]string{"proxy", p.file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)...)
	f := p.logged(0, "proxy serves")
	p.addr, p.admin = f["addrs"].([]any)[0].(string), f["admin"].(string)
	return p
}

// put writes the configuration file anew.
func (p *proxy) put(config string) {
	p.t.Helper()
	if err := os.WriteFile(p.file, []byte(config), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// runningLeaf is a leaf process.
type runningLeaf struct {
	*process
	name, url string
}

// startLeaf runs a leaf and waits until it serves.
func startLeaf(t *testing.T, name, listen string, args ...string) *runningLeaf {
	t.Helper()
	p := start(t, append([]string{"leaf", "--name", name, "--listen", listen, "--memory", "64MiB"}, args...)...)
	return &runningLeaf{p, name, p.logged(0, "leaf ready")["url"].(string)}
}

// startLeaves runs leaf-1 to leaf-n.
func startLeaves(t *testing.T, n int) (leaves []*runningLeaf, urls []string) {
	t.Helper()
	for i := range n {
		l := startLeaf(t, fmt.Sprintf("leaf-%d", i+1), "127.0.0.1:0")
		leaves, urls = append(leaves, l), append(urls, l.url)
	}
	return leaves, urls
}

// startMemcached runs Debian's memcached on a port that the kernel chooses and gives its address.
func startMemcached(t *testing.T) string {
	t.Helper()
	path := peer.Need(t, "memcached")
	who := "nobody"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	ports := filepath.Join(t.TempDir(), "ports")
	cmd := exec.Command(path, "-u", who, "-l", "127.0.0.1", "-p", "-1", "-U", "0", "-t", "1", "-m", "64")
	cmd.Env = append(os.Environ(), "MEMCACHED_PORT_FILENAME="+ports)
	p := run(t, cmd)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		b, _ := os.ReadFile(ports)
		if _, port, ok := strings.Cut(strings.TrimSuffix(string(b), "\n"), "TCP INET: "); ok && bytes.HasSuffix(b, []byte("\n")) {
			return "127.0.0.1:" + strings.TrimSpace(port)
		}
		time.Sleep(time.Millisecond) // another process writes the file: there is nothing to wait on
	}
	t.Fatalf("memcached does not say its port:\n%s", p.stderr.tail())
	return ""
}

// freePort gives a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	ln := listen(t)
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// eventually asks again and again until ok; what is asked is another process, so there is nothing to wait on.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Running processes: start one, read its log, wait for its end. No test leaves one behind, and a data race in one fails
// the test that started it.

package system_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/peer"
	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// process is a running tidepool, whose standard error is a JSON log, or a peer.
type process struct {
	t *testing.T
	*proc.Process
}

// run starts a program. It is killed with the test if it has not ended before.
func run(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p, err := proc.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return &process{t, p}
}

// start runs tidepool with JSON logs.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := run(t, exec.Command(tidepool, append(args, "--log-format", "json")...))
	t.Cleanup(func() {
		<-p.Exited
		for _, sign := range []string{"WARNING: DATA RACE", "session panicked", "fatal error: ", "goroutine 1 ["} {
			if strings.Contains(p.Stderr.Text(), sign) {
				t.Errorf("%s: the log has %q:\n%s", args[0], sign, p.Stderr.Text())
				return
			}
		}
	})
	t.Cleanup(p.Kill) // before the log is looked at: cleanups run last first
	return p
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

// logged waits for a log line with that message and gives its fields. Lines before from (see proc.Lines.Count) do not count.
func (p *process) logged(from int, msg string, parts ...string) map[string]any {
	p.t.Helper()
	f, err := p.Logged(from, patience, msg, parts...)
	if err != nil {
		p.t.Fatal(err)
	}
	return f
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

// startMemcached runs Debian's memcached, with further arguments, on a port that the kernel chooses and gives its address.
func startMemcached(t *testing.T, args ...string) string {
	t.Helper()
	addr, _ := runMemcached(t, "-1", args...)
	return addr
}

// runMemcached is startMemcached on a port, "-1" for any, and gives the process too.
func runMemcached(t *testing.T, port string, args ...string) (addr string, p *process) {
	t.Helper()
	path := peer.Need(t, "memcached")
	who := "nobody"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	ports := filepath.Join(t.TempDir(), "ports")
	cmd := exec.Command(path, append([]string{"-u", who, "-l", "127.0.0.1", "-p", port, "-U", "0", "-t", "1", "-m", "64"}, args...)...)
	cmd.Env = append(os.Environ(), "MEMCACHED_PORT_FILENAME="+ports)
	p = run(t, cmd)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		b, _ := os.ReadFile(ports)
		if _, port, ok := strings.Cut(strings.TrimSuffix(string(b), "\n"), "TCP INET: "); ok && bytes.HasSuffix(b, []byte("\n")) {
			return "127.0.0.1:" + strings.TrimSpace(port), p
		}
		time.Sleep(time.Millisecond) // another process writes the file: there is nothing to wait on
	}
	t.Fatalf("memcached does not say its port:\n%s", p.Stderr.Tail())
	return "", nil
}

// freePort gives a port that nobody listens at, and that no connection is made from.
func freePort(t *testing.T) string {
	t.Helper()
	free, err := proc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free[0])
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

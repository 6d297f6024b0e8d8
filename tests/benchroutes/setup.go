// The processes: memcached-speaking backends that can die and hang, and proxies over them.

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// server is one process of the binary at one address.
type server struct {
	p    *proc.Process
	addr string
	args []string
}

// start starts the binary with args and waits until it, and nobody else, listens at addr.
func start(ctx context.Context, binary, addr string, args ...string) (*server, error) {
	p, err := proc.Start(exec.Command(binary, args...))
	if err != nil {
		return nil, fmt.Errorf("cannot start %v: %w", args, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := p.AwaitListening(ctx, addr); err != nil {
		p.Kill()
		return nil, fmt.Errorf("cannot start %v: %w", args, err)
	}
	pid, err := stat(addr, "pid")
	if err == nil && pid != int64(p.PID()) {
		err = fmt.Errorf("process %d listens on %s", pid, addr)
	}
	if err != nil {
		p.Kill()
		return nil, fmt.Errorf("cannot start %v: %w", args, err)
	}
	return &server{p, addr, args}, nil
}

// stat asks for one figure of `stats`.
func stat(addr, name string) (n int64, err error) {
	c, err := dial(addr)
	if err != nil {
		return 0, err
	}
	defer c.c.Close()
	found := fmt.Errorf("%w: stats have no %s", errWrong, name)
	line, err := c.say("stats\r\n")
	for ; err == nil && line != "END"; line, err = c.line() {
		if _, err := fmt.Sscanf(line, "STAT "+name+" %d", &n); err == nil {
			found = nil
		} else if !strings.HasPrefix(line, "STAT ") {
			return 0, fmt.Errorf("%w: %q", errWrong, line)
		}
	}
	return n, errors.Join(err, found)
}

// hang stops the process where it is, and wake lets it go on: it has what it had, and does what it was sent meanwhile.
func (s *server) hang() error { return s.p.Cmd.Process.Signal(syscall.SIGSTOP) }
func (s *server) wake() error { return s.p.Cmd.Process.Signal(syscall.SIGCONT) }

// kill ends the process at once, whatever it is doing, and again starts another one, which has nothing.
func (s *server) kill() { s.p.Kill() }
func (s *server) again(ctx context.Context, binary string) error {
	next, err := start(ctx, binary, s.addr, s.args...)
	if err == nil {
		s.p = next.p
	}
	return err
}

// tries is how often a port that another process has taken meanwhile is replaced by another one.
const tries = 3

// startAnywhere starts the binary at a free address; argsOf gives its arguments.
func startAnywhere(ctx context.Context, binary string, argsOf func(addr, host, port string) []string) (s *server, err error) {
	for range tries {
		var addrs []string
		if addrs, err = proc.FreePorts(1); err != nil {
			return nil, err
		}
		host, port, splitErr := net.SplitHostPort(addrs[0])
		if splitErr != nil {
			return nil, splitErr
		}
		if s, err = start(ctx, binary, addrs[0], argsOf(addrs[0], host, port)...); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// tier is some backends.
type tier []*server

func startTier(ctx context.Context, binary string, n int) (t tier, err error) {
	for range n {
		s, err := startAnywhere(ctx, binary, func(_, host, port string) []string { return []string{"memcached", "-l", host, "-p", port, "-m", "64"} })
		if err != nil {
			t.stop()
			return nil, err
		}
		t = append(t, s)
	}
	return t, nil
}

func (t tier) stop() {
	for _, s := range t {
		s.kill()
	}
}

// list gives addresses as a configuration has them; turned begins with the one after that many.
func (t tier) list(turned int) (text string) {
	for i := range t {
		text += fmt.Sprintf("%q, ", t[(i+turned)%len(t)].addr)
	}
	return "{ " + text + "}"
}

// gets is how many gets all of them had.
func (t tier) gets() (sum int64, err error) {
	for _, s := range t {
		n, err := stat(s.addr, "cmd_get")
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// startProxy starts a proxy with that configuration.
func startProxy(ctx context.Context, binary, config string) (*server, error) {
	dir, err := os.MkdirTemp("", "benchroutes")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // it has been read when the proxy listens
	file := filepath.Join(dir, "routes.lua")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return startAnywhere(ctx, binary, func(addr, _, _ string) []string {
		return []string{"proxy", file, "--listen", addr, "--admin", "none", "--log-level", "error"}
	})
}

// Package proc runs processes for tests and benchmarks: real programs, started, read, waited for, ended by their ids.
//
// A Process belongs to whoever started it, who must Kill it or wait for its end. Its methods may be called concurrently.
package proc

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Process is a program that was started.
type Process struct {
	Cmd    *exec.Cmd
	Stdout *Lines
	Stderr *Lines
	Exited chan struct{} // closed when it has ended and all its output has been read
}

// Start starts cmd, whose outputs it reads.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{Cmd: cmd, Stdout: newLines(), Stderr: newLines(), Exited: make(chan struct{})}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var readers sync.WaitGroup
	readers.Go(func() { p.Stdout.read(out) })
	readers.Go(func() { p.Stderr.read(errs) })
	go func() {
		readers.Wait()
		_ = cmd.Wait()
		close(p.Exited)
	}()
	return p, nil
}

// PID is the process's number.
func (p *Process) PID() int { return p.Cmd.Process.Pid }

// Kill is SIGKILL, and the end. It may be called again.
func (p *Process) Kill() {
	_ = p.Cmd.Process.Kill()
	<-p.Exited
}

// Stop is SIGTERM, and SIGKILL if the process has not ended within patience.
func (p *Process) Stop(patience time.Duration) {
	_ = p.Cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.Exited:
	case <-time.After(patience):
		p.Kill()
	}
}

// Exit waits for the end and gives the exit code; -1 after a signal.
func (p *Process) Exit(patience time.Duration) (int, error) {
	if patience > 0 {
		select {
		case <-p.Exited:
		case <-time.After(patience):
		}
	}
	select {
	case <-p.Exited:
		return p.Cmd.ProcessState.ExitCode(), nil
	default:
		return 0, fmt.Errorf("still running after %v:\n%s", patience, p.Stderr.Tail())
	}
}

// Logged waits for a JSON log line with that message and parts, and gives its fields. Lines before from (see Lines.Count) do not count.
func (p *Process) Logged(from int, patience time.Duration, msg string, parts ...string) (fields map[string]any, err error) {
	line := p.Stderr.Find(from, patience, append(parts, fmt.Sprintf("%q:%q", "msg", msg))...)
	if line == "" {
		return nil, fmt.Errorf("no log line with %q %q:\n%s", msg, parts, p.Stderr.Tail())
	}
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		return nil, fmt.Errorf("cannot read log line %q: %w", line, err)
	}
	return fields, nil
}

// AwaitListening waits until something accepts connections at addr, or the process has ended.
func (p *Process) AwaitListening(ctx context.Context, addr string) error {
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.Exited:
			return fmt.Errorf("it ended:\n%s%s", p.Stdout.Tail(), p.Stderr.Tail())
		case <-ctx.Done():
			return fmt.Errorf("it does not listen on %s: %w", addr, ctx.Err())
		case <-time.After(20 * time.Millisecond): // another process: there is nothing to wait on
		}
	}
}

// Ports that Linux gives nobody who does not ask for them: outgoing connections begin at 32,768. One of those may get the port of a server that
// is down for a moment, even one that connects to just that server, and then the server cannot come back.
const (
	portFrom = 20_000
	portTo   = 32_000
)

// FreePorts gives addresses of 127.0.0.1 that were free a moment ago, all different.
func FreePorts(n int) (addrs []string, err error) {
	for tries := 0; len(addrs) < n; tries++ {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", portFrom+rand.IntN(portTo-portFrom)))
		if err == nil {
			defer ln.Close()
			addrs = append(addrs, ln.Addr().String())
		} else if tries == 1000 {
			return nil, err
		}
	}
	return addrs, nil
}

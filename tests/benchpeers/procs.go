// Processes: started, waited for until they listen, ended by their ids.

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// procs are the processes of this run, in the order of their start.
type procs []*proc

type proc struct {
	name string
	cmd  *exec.Cmd
	out  bytes.Buffer // both outputs, for whoever asks why it ended
	done chan struct{}
}

const (
	startPatience = 15 * time.Second
	stopPatience  = 5 * time.Second
)

// start runs a program that is to listen on addr, and waits until it does.
func (ps *procs) start(ctx context.Context, name, addr string, path string, args ...string) (*proc, error) {
	p := &proc{name: name, cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	*ps = append(*ps, p)
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return p, c.Close()
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("cannot start %s: it ended:\n%s", name, p.out.String())
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot start %s: it does not listen on %s: %w", name, addr, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends what was started last first: proxies before what they talk to.
func (ps *procs) stop() {
	for _, p := range slices.Backward(*ps) {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(stopPatience):
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	}
}

// freePorts gives addresses of 127.0.0.1 that were free a moment ago, all different.
func freePorts(n int) (addrs []string, err error) {
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs, nil
}

// Processes: started, waited for until they listen, ended by their ids.

package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// procs are the processes of this run, in the order of their start.
type procs []*proc.Process

const (
	startPatience = 15 * time.Second
	stopPatience  = 5 * time.Second
)

// start runs a program that is to listen on addr, and waits until it does.
func (ps *procs) start(ctx context.Context, name, addr string, path string, args ...string) (*proc.Process, error) {
	p, err := proc.Start(exec.Command(path, args...))
	if err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	*ps = append(*ps, p)
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	if err := p.AwaitListening(ctx, addr); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	return p, nil
}

// stop ends what was started last first: proxies before what they talk to.
func (ps *procs) stop() {
	for _, p := range slices.Backward(*ps) {
		p.Stop(stopPatience)
	}
}

// The processes: two leaves that recover from each other, and a proxy over both.

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// world is what runs.
type world struct {
	s      *settings
	dir    string
	proxy  *member
	leaves [2]*member
	addr   string // of clients

	seen // watch.go
}

// member is a process that may be killed and started again.
type member struct {
	life  atomic.Pointer[proc.Process] // the present one; nil before the first
	name  string
	args  []string
	admin string
}

// patience is for one thing to happen: a process that starts, a leaf that recovers.
const patience = 2 * time.Minute

func startWorld(ctx context.Context, s *settings) (w *world, err error) {
	w = &world{s: s}
	defer func() {
		if err != nil {
			w.end()
		}
	}()
	if w.dir, err = os.MkdirTemp("", "tidepool-soak-"); err != nil {
		return nil, err
	}
	addrs, err := proc.FreePorts(6)
	if err != nil {
		return nil, err
	}
	for i := range w.leaves {
		w.leaves[i] = &member{
			name: fmt.Sprintf("leaf-%d", i+1), admin: addrs[3+i],
			args: []string{
				"leaf", "--name", fmt.Sprintf("leaf-%d", i+1), "--listen", addrs[i], "--admin", addrs[3+i],
				"--memory", fmt.Sprintf("%dMiB", s.memory),
			},
		}
		if err := w.leaves[i].start(ctx, s, "leaf ready"); err != nil {
			return w, err
		}
	}
	for i := range w.leaves { // from its second life on
		other := fmt.Sprintf("nats://%s/leaf-%d", addrs[1-i], 2-i)
		w.leaves[i].args = append(w.leaves[i].args, "--recover-from", other)
	}
	if err := w.configure(addrs[:2], 0); err != nil {
		return w, err
	}
	w.addr = addrs[2]
	w.proxy = &member{
		name: "proxy", admin: addrs[5],
		args: []string{"proxy", w.config(), "--listen", w.addr, "--admin", addrs[5]},
	}
	return w, w.proxy.start(ctx, s, "proxy serves")
}

// start starts the process and waits until its log says that it serves. Its port may be taken for a moment by connections
// of a former life.
func (m *member) start(ctx context.Context, s *settings, serves string) error {
	for late := time.Now().Add(patience); ; {
		p, err := proc.Start(exec.Command(s.tidepool, append(m.args, "--log-format", "json")...))
		if err != nil {
			return fmt.Errorf("cannot start %s: %w", m.name, err)
		}
		m.life.Store(p)
		if _, err = p.Logged(0, patience, serves); err == nil {
			return nil
		}
		p.Kill()
		if ctx.Err() != nil || time.Now().After(late) || !strings.Contains(p.Stderr.Text(), "address already in use") {
			return fmt.Errorf("%s does not serve: %w", m.name, err)
		}
	}
}

func (w *world) config() string { return filepath.Join(w.dir, "routes.lua") }

// route is the configuration. Each number is another text.
const route = `-- number %d
function mcp_config_pools()
    local pools = {}
    for i, address in ipairs({ "nats://%s/leaf-1", "nats://%s/leaf-2" }) do
        pools[i] = mcp.pool({ mcp.backend{ label = "leaf-" .. i, address = address } }, { name = "replica " .. i })
    end
    return pools
end

function mcp_config_routes(pools)
    mcp.attach(mcp.CMD_ANY_STORAGE, function(r)
        local res
        for _, answer in pairs(mcp.await(r, pools)) do
            if not answer:ok() then
                return "SERVER_ERROR not on both replicas\r\n"
            end
            res = answer
        end
        return res
    end)
    local function read(r)
        local res = pools[1](r)
        if res:hit() then
            return res
        end
        return pools[2](r)
    end
    mcp.attach(mcp.CMD_GET, read)
    mcp.attach(mcp.CMD_MG, read)
end
`

func (w *world) configure(leaves []string, number int) error {
	next := w.config() + ".new"
	if err := os.WriteFile(next, fmt.Appendf(nil, route, number, leaves[0], leaves[1]), 0o600); err != nil {
		return err
	}
	return os.Rename(next, w.config())
}

// end kills what runs.
func (w *world) end() {
	for _, m := range []*member{w.proxy, w.leaves[0], w.leaves[1]} {
		if m != nil && m.life.Load() != nil {
			m.life.Load().Kill()
		}
	}
	_ = os.RemoveAll(w.dir)
}

// alive says whether a process has ended that nobody killed, or whose log tells of a bug.
func (m *member) alive() error {
	p := m.life.Load()
	for _, sign := range []string{"WARNING: DATA RACE", "panicked", "fatal error: "} {
		if text := p.Stderr.Text(); strings.Contains(text, sign) {
			return fmt.Errorf("%s: the log has %q:\n%s", m.name, sign, text)
		}
	}
	select {
	case <-p.Exited:
		return fmt.Errorf("%s has ended:\n%s", m.name, p.Stderr.Tail())
	default:
		return nil
	}
}

var errNotInTime = errors.New("not in time")

// until asks again and again until ok; what is asked is another process, so there is nothing to wait on.
func until(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", errNotInTime, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

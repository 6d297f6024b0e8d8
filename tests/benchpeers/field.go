// The contenders: what runs, over what.

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/tidepool-proxy/tidepool/tests/peer"
	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// contender is a proxy under load.
type contender struct {
	name string
	addr string
	pid  int // of the proxy, whose CPU time is counted
}

// backends is how many leaves, and how many memcached servers, there are.
const backends = 3

// luaRoute is a configuration whose every storage command goes through a Lua function.
const luaRoute = `-- Every command goes through a Lua function: what is measured is routing, not a short cut.
function mcp_config_pools()
    return mcp.pool({ %s })
end

function mcp_config_routes(pool)
    mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return pool(r) end)
end
`

// field starts every contender that can run here. Who is missing is said.
func field(ctx context.Context, s *settings, ps *procs, dir string) (out []contender, err error) {
	leaves, err := startLeaves(ctx, s, ps)
	if err != nil {
		return nil, err
	}
	over, err := startProxy(ctx, s, ps, dir, "leaves", leaves)
	if err != nil {
		return nil, err
	}
	out = append(out, over)
	memcached := peer.Find("memcached")
	if memcached == "" {
		fmt.Println("PEER MISSING: memcached: measuring over leaves only (make ci-deps installs it)")
		return out, nil
	}
	servers, err := startMemcached(ctx, ps, memcached)
	if err != nil {
		return nil, err
	}
	if over, err = startProxy(ctx, s, ps, dir, "memcached", servers); err != nil {
		return nil, err
	}
	out = append(out, over)
	nutcracker := peer.Find("nutcracker")
	if nutcracker == "" {
		fmt.Println("PEER MISSING: nutcracker: no comparison with it (make ci-deps installs it)")
		return out, nil
	}
	over, err = startNutcracker(ctx, ps, dir, nutcracker, servers)
	return append(out, over), err
}

func startLeaves(ctx context.Context, s *settings, ps *procs) (urls []string, err error) {
	addrs, err := proc.FreePorts(backends)
	if err != nil {
		return nil, err
	}
	for i, addr := range addrs {
		name := fmt.Sprintf("leaf-%d", i+1)
		if _, err := ps.start(ctx, name, addr, s.tidepool, "leaf", "--name", name, "--listen", addr, "--memory", "256MiB", "--log-level", "warn"); err != nil {
			return nil, err
		}
		urls = append(urls, "nats://"+addr)
	}
	return urls, nil
}

func startMemcached(ctx context.Context, ps *procs, path string) (addrs []string, err error) {
	addrs, err = proc.FreePorts(backends)
	if err != nil {
		return nil, err
	}
	for i, addr := range addrs {
		_, port, _ := net.SplitHostPort(addr)
		args := []string{"-l", "127.0.0.1", "-p", port, "-U", "0", "-m", "256", "-t", "2"}
		if u, err := user.Current(); err == nil && u.Uid == "0" {
			args = append(args, "-u", "nobody") // it refuses to run as root
		}
		if _, err := ps.start(ctx, fmt.Sprintf("memcached %d", i+1), addr, path, args...); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

// startProxy runs tidepool with a Lua route over backends, which are of one kind.
func startProxy(ctx context.Context, s *settings, ps *procs, dir, kind string, addrs []string) (contender, error) {
	var list []string
	for i, a := range addrs {
		if host, port, err := net.SplitHostPort(a); err == nil && !strings.Contains(a, "://") {
			list = append(list, fmt.Sprintf("mcp.backend(%q, %q, %s)", fmt.Sprintf("b%d", i+1), host, port))
		} else {
			list = append(list, fmt.Sprintf("mcp.backend(%q)", a))
		}
	}
	config := filepath.Join(dir, kind+".lua")
	if err := os.WriteFile(config, fmt.Appendf(nil, luaRoute, strings.Join(list, ", ")), 0o600); err != nil {
		return contender{}, err
	}
	addr, err := proc.FreePorts(1)
	if err != nil {
		return contender{}, err
	}
	name := "tidepool, Lua route, " + kind
	p, err := ps.start(ctx, name, addr[0], s.tidepool, "proxy", config, "--listen", addr[0], "--admin", "none", "--log-level", "warn")
	if err != nil {
		return contender{}, err
	}
	return contender{name, addr[0], p.PID()}, nil
}

func startNutcracker(ctx context.Context, ps *procs, dir, path string, servers []string) (contender, error) {
	addrs, err := proc.FreePorts(2) // clients, statistics
	if err != nil {
		return contender{}, err
	}
	var y strings.Builder
	fmt.Fprintf(&y, "bench:\n  listen: %s\n  hash: fnv1a_64\n  distribution: ketama\n  timeout: 3000\n  auto_eject_hosts: false\n  server_connections: 1\n  servers:\n", addrs[0])
	for _, s := range servers {
		fmt.Fprintf(&y, "   - %s:1\n", s)
	}
	config := filepath.Join(dir, "nutcracker.yml")
	if err := os.WriteFile(config, []byte(y.String()), 0o600); err != nil {
		return contender{}, err
	}
	_, statPort, _ := net.SplitHostPort(addrs[1])
	p, err := ps.start(ctx, "nutcracker", addrs[0], path, "-c", config, "-a", "127.0.0.1", "-s", statPort, "-v", "0",
		"-p", filepath.Join(dir, "nutcracker.pid"), "-o", filepath.Join(dir, "nutcracker.log"))
	if err != nil {
		return contender{}, err
	}
	return contender{"nutcracker, memcached", addrs[0], p.PID()}, nil
}

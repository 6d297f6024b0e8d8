// The contenders: what runs, over what.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/tidepool-proxy/tidepool/tests/peer"
	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// contender is a proxy under load.
type contender struct {
	kind kind
	addr string
	proc *proc.Process // whose CPU time is counted; nil where there is no proxy
}

// kind is a way to run a contender.
type kind struct {
	name  string
	start starter
}

// starter runs a contender that ps is to end.
type starter func(b *bench, ctx context.Context, ps *procs) (contender, error)

// errMissing is what a kind says that cannot run here.
var errMissing = errors.New("is not there")

// The kinds.
var (
	oursLua         = kind{"tidepool, Lua route", ours(luaRoute, (*bench).memcacheds)}
	oursPool        = kind{"tidepool, pool without Lua", ours(poolRoute, (*bench).memcacheds)}
	oursFailover    = kind{"tidepool, failover in Lua", ours(failoverRoute, (*bench).memcacheds)}
	oursLeaves      = kind{"tidepool, Lua route, leaves", ours(luaRoute, (*bench).leaves)}
	theirs1         = kind{"memcached's proxy, -t 1", theirProxy(1, directRoute, routelibDirect)}
	theirs2         = kind{"memcached's proxy, -t 2", theirProxy(2, directRoute, routelibDirect)}
	theirsFailover1 = kind{"memcached's proxy, failover, -t 1", theirProxy(1, failoverRoute, routelibFailover)}
	theirsFailover2 = kind{"memcached's proxy, failover, -t 2", theirProxy(2, failoverRoute, routelibFailover)}
	nutcracker      = kind{"nutcracker", (*bench).startNutcracker}
)

// backends is how many leaves, and how many memcached servers, there are.
const backends = 3

// bench is the run: what its rows share.
type bench struct {
	s         *settings
	dir       string
	w         io.Writer // for what is found; progress goes to standard error
	ps        procs     // backends, for all rows
	memcached string
	routelib  string // "": none
	nut       string
	servers   []string // addresses of memcached servers, once started
	leafURLs  []string
	files     int // configurations written so far
	conns     int // that clients may open at a contender, in this row
}

// findPeers says who is missing.
func (b *bench) findPeers() error {
	b.memcached, b.nut = peer.Find("memcached"), peer.Find("nutcracker")
	switch {
	case b.s.peer == "":
		fmt.Fprintln(b.w, "PEER MISSING: memcached's proxy: PEER_MEMCACHED, a memcached built with --enable-proxy, is not set; measuring the rest")
	case peer.Find(b.s.peer) == "":
		return fmt.Errorf("cannot run %q, which is to be a memcached with its proxy", b.s.peer)
	case b.memcached == "":
		b.memcached = b.s.peer
	}
	if b.memcached == "" {
		fmt.Fprintln(b.w, "PEER MISSING: memcached: measuring over leaves only (make ci-deps installs it)")
	}
	if b.nut == "" {
		fmt.Fprintln(b.w, "PEER MISSING: nutcracker: no comparison with it (make ci-deps installs it)")
	}
	if b.s.proxylibs == "" {
		return nil
	}
	b.routelib = filepath.Join(b.s.proxylibs, "lib/routelib/routelib.lua")
	if _, err := os.Stat(b.routelib); err != nil {
		return fmt.Errorf("cannot find routelib in %q, which is to be a folder of memcached-proxylibs: %w", b.s.proxylibs, err)
	}
	return nil
}

// leaves starts the leaves, at the first call.
func (b *bench) leaves(ctx context.Context) ([]string, error) {
	if b.leafURLs != nil {
		return b.leafURLs, nil
	}
	addrs, err := proc.FreePorts(backends)
	if err != nil {
		return nil, err
	}
	var urls []string
	for i, addr := range addrs {
		name := fmt.Sprintf("leaf-%d", i+1)
		if _, err := b.ps.start(ctx, name, addr, b.s.tidepool, "leaf", "--name", name, "--listen", addr, "--memory", "256MiB", "--log-level", "warn"); err != nil {
			return nil, err
		}
		urls = append(urls, "nats://"+addr)
	}
	b.leafURLs = urls
	return urls, nil
}

// memcacheds starts the memcached servers, at the first call.
func (b *bench) memcacheds(ctx context.Context) ([]string, error) {
	if b.servers != nil {
		return b.servers, nil
	}
	if b.memcached == "" {
		return nil, fmt.Errorf("memcached %w", errMissing)
	}
	addrs, err := proc.FreePorts(backends)
	if err != nil {
		return nil, err
	}
	for i, addr := range addrs {
		args := append(memcachedArgs(addr, 2), "-m", "256")
		if _, err := b.ps.start(ctx, fmt.Sprintf("memcached %d", i+1), addr, b.memcached, args...); err != nil {
			return nil, err
		}
	}
	b.servers = addrs
	return addrs, nil
}

// memcachedArgs are the arguments that every memcached has.
func memcachedArgs(addr string, threads int) []string {
	_, port, _ := net.SplitHostPort(addr)
	args := []string{"-l", "127.0.0.1", "-p", port, "-U", "0", "-t", strconv.Itoa(threads)}
	if os.Getuid() == 0 {
		args = append(args, "-u", "nobody") // it refuses to run as root
	}
	return args
}

// config writes a file that other users may read: memcached gives up root.
func (b *bench) config(suffix, text string) (path string, err error) {
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return "", err
	}
	b.files++
	path = filepath.Join(b.dir, fmt.Sprintf("%d%s", b.files, suffix))
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// ours starts tidepool with a route over what backends gives.
func ours(route string, backends func(*bench, context.Context) ([]string, error)) starter {
	return func(b *bench, ctx context.Context, ps *procs) (contender, error) {
		over, err := backends(b, ctx)
		if err != nil {
			return contender{}, err
		}
		config, err := b.config(".lua", fmt.Sprintf(route, backendList(over)))
		if err != nil {
			return contender{}, err
		}
		addr, err := proc.FreePorts(1)
		if err != nil {
			return contender{}, err
		}
		p, err := ps.start(ctx, "it", addr[0], b.s.tidepool, "proxy", config, "--listen", addr[0], "--admin", "none", "--log-level", "warn")
		return contender{addr: addr[0], proc: p}, err
	}
}

// theirProxy starts memcached's own proxy over the memcached servers: with routelib where the user has it, otherwise with a file of ours.
func theirProxy(threads int, route, routelib string) starter {
	return func(b *bench, ctx context.Context, ps *procs) (contender, error) {
		if b.s.peer == "" {
			return contender{}, fmt.Errorf("memcached's proxy %w", errMissing)
		}
		over, err := b.memcacheds(ctx)
		if err != nil {
			return contender{}, err
		}
		var config string
		if b.routelib == "" {
			if config, err = b.config(".lua", fmt.Sprintf(route, backendList(over))); err != nil {
				return contender{}, err
			}
		} else {
			lib, err := os.ReadFile(b.routelib) // copied: whom memcached runs as may not read the user's
			if err != nil {
				return contender{}, err
			}
			arg, err := b.config(".lua", fmt.Sprintf(routelib, quotedList(over)))
			if err != nil {
				return contender{}, err
			}
			if config, err = b.config("-routelib.lua", string(lib)); err != nil {
				return contender{}, err
			}
			config += ",proxy_arg=" + arg
		}
		addr, err := proc.FreePorts(1)
		if err != nil {
			return contender{}, err
		}
		args := append(memcachedArgs(addr[0], threads), "-c", strconv.Itoa(max(1024, b.conns)), "-o", "proxy_config="+config)
		p, err := ps.start(ctx, "it", addr[0], b.s.peer, args...)
		return contender{addr: addr[0], proc: p}, err
	}
}

func (b *bench) startNutcracker(ctx context.Context, ps *procs) (contender, error) {
	if b.nut == "" {
		return contender{}, fmt.Errorf("nutcracker %w", errMissing)
	}
	over, err := b.memcacheds(ctx)
	if err != nil {
		return contender{}, err
	}
	addrs, err := proc.FreePorts(2) // clients, statistics
	if err != nil {
		return contender{}, err
	}
	config, err := b.config(".yml", nutcrackerYAML(addrs[0], over))
	if err != nil {
		return contender{}, err
	}
	_, statPort, _ := net.SplitHostPort(addrs[1])
	p, err := ps.start(ctx, "it", addrs[0], b.nut, "-c", config, "-a", "127.0.0.1", "-s", statPort, "-v", "0",
		"-p", filepath.Join(b.dir, "nutcracker.pid"), "-o", filepath.Join(b.dir, "nutcracker.log"))
	return contender{addr: addrs[0], proc: p}, err
}

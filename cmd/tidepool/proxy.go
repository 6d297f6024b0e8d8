// tidepool proxy.

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func newProxyCommand() *cobra.Command {
	var f proxyFlags
	c := &cobra.Command{
		Use:   "proxy CONFIG... | etcd:///KEY",
		Short: "Run a proxy: memcached clients in, Lua routes, leaves or memcached servers behind",
		Long: `Run a proxy with the routes of one or more configuration files, which are loaded in order.

SIGHUP, or POST /reload on the admin address, loads them again: requests under way end on the old routes, connections
stay, and a file with a mistake changes nothing. With --watch that happens by itself when the files, or modules that they
require, have changed.

etcd:///tidepool/config is the configuration in etcd that 'tidepool config put' puts there: one file, which requires no others. --etcd says where etcd
is, or the argument does (etcd://host:port,host:port/tidepool/config). A new one is loaded as soon as it is there; one with a mistake
changes nothing. While etcd is away, a start takes the last good one from --state-dir, or waits for --config-wait and fails.

SIGTERM and SIGINT make /readyz of --admin say 503, wait for --drain-delay while all goes on as before, stop accepting,
finish what is under way within --drain, and end the process; a second one ends it at once.`,
		Example: `  tidepool proxy routes.lua
  tidepool proxy routes.lua --listen 127.0.0.1:11211 --listen unix:/run/tidepool.sock
  tidepool proxy --watch 2s --drain-delay 10s /etc/tidepool/routes.lua
  tidepool proxy etcd:///tidepool/config --etcd 10.0.0.1:2379,10.0.0.2:2379 --state-dir /var/lib/tidepool
  tidepool proxy lib.lua routes.lua --listen tag_b_:0.0.0.0:11212 --insecure --log-format json`,
		Args:              files(1, 0),
		ValidArgsFunction: completeLua,
	}
	f.add(c.Flags())
	f.leaves.add(c.Flags(), "leaf-", "leaves")
	f.etcd.add(c.Flags())
	c.RunE = func(c *cobra.Command, args []string) error { return runProxy(c, &f, args) }
	return c
}

func runProxy(c *cobra.Command, f *proxyFlags, args []string) (err error) {
	key, problem := f.configFrom(args)
	if problem == "" {
		problem = f.etcd.problem()
	}
	if problem == "" && f.etcd.given() && f.topo.file != "" {
		problem = "want one of --etcd and --topology"
	}
	if problem != "" {
		return usageError{c.CommandPath(), problem}
	}
	log, err := f.check(c)
	if err != nil {
		return err
	}
	if key != "" {
		args = []string{key}
	}
	sig := catchSignals()
	defer sig.release()
	if f.link, err = f.etcd.link(key, prober(f.way), log); err != nil {
		return fmt.Errorf("cannot start the proxy: %w", err)
	}
	defer func() {
		if !errors.Is(err, errCut) { // the process ends at once then
			err = errors.Join(err, f.link.close())
		}
	}()
	if err := f.link.await(sig.term, f.etcd.wait, f.etcd.failed); err != nil {
		return err
	}
	p, err := f.start("tidepool proxy", args, log)
	if err != nil {
		return err
	}
	log.Info("proxy serves", "addrs", p.Addrs(), "admin", adminAddr(p.admin), "files", args, "version", versionName())
	return sig.serve(life{
		log:    log,
		drain:  f.drain,
		served: p.Served,
		delay:  f.drainDelay,
		spares: true,
		leave:  func() { p.Leave(); f.link.resign() },
		reload: p.reload,
		stop: func(ctx context.Context) error {
			f.link.resigned()
			return errors.Join(p.stop(ctx), stopAdmin(ctx, p.admin))
		},
	})
}

// configFrom gives the key of a configuration that is in etcd, "" for files, and what cannot be meant.
func (f *proxyFlags) configFrom(args []string) (key, problem string) {
	i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, etcdScheme) })
	switch {
	case i < 0:
		return "", ""
	case len(args) > 1:
		return "", fmt.Sprintf("%q is a whole configuration: no other file goes with it", args[i])
	case f.luaUnsafe:
		return "", "--lua-unsafe is not for a configuration in etcd: whoever may write there could do anything here"
	case f.watch > 0:
		return "", "--watch is for files: etcd tells of changes by itself"
	}
	key, err := f.etcd.takeConfig(args[0])
	if err != nil {
		return "", err.Error()
	}
	return key, ""
}

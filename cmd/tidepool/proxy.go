// tidepool proxy.

package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
)

func newProxyCommand() *cobra.Command {
	var f proxyFlags
	c := &cobra.Command{
		Use:   "proxy CONFIG...",
		Short: "Run a proxy: memcached clients in, Lua routes, leaves or memcached servers behind",
		Long: `Run a proxy with the routes of one or more configuration files, which are loaded in order.

SIGHUP, or POST /reload on the admin address, loads them again: requests under way end on the old routes, connections
stay, and a file with a mistake changes nothing. With --watch that happens by itself when the files, or modules that they
require, have changed.

SIGTERM and SIGINT make /readyz of --admin say 503, wait for --drain-delay while all goes on as before, stop accepting,
finish what is under way within --drain, and end the process; a second one ends it at once.`,
		Example: `  tidepool proxy routes.lua
  tidepool proxy routes.lua --listen 127.0.0.1:11211 --listen unix:/run/tidepool.sock
  tidepool proxy --watch 2s --drain-delay 10s /etc/tidepool/routes.lua
  tidepool proxy lib.lua routes.lua --listen tag_b_:0.0.0.0:11212 --insecure --log-format json`,
		Args:              files(1, 0),
		ValidArgsFunction: completeLua,
	}
	f.add(c.Flags())
	f.leaves.add(c.Flags(), "leaf-", "leaves")
	c.RunE = func(c *cobra.Command, args []string) error { return runProxy(c, &f, args) }
	return c
}

func runProxy(c *cobra.Command, f *proxyFlags, files []string) error {
	log, err := f.check(c)
	if err != nil {
		return err
	}
	sig := catchSignals()
	defer sig.release()
	p, err := f.start("tidepool proxy", files, log)
	if err != nil {
		return err
	}
	log.Info("proxy serves", "addrs", p.Addrs(), "admin", adminAddr(p.admin), "files", files, "version", versionName())
	return sig.serve(life{
		log:    log,
		drain:  f.drain,
		delay:  f.drainDelay,
		leave:  p.Leave,
		reload: p.reload,
		stop: func(ctx context.Context) error {
			return errors.Join(p.stop(ctx), stopAdmin(ctx, p.admin))
		},
	})
}

// tidepool leaf.

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/leaf"
)

// leafFlags are the flags of tidepool leaf.
type leafFlags struct {
	admin  adminFlags
	log    logFlags
	access leafAccessFlags
	warm   recoverFlags
	join   registerFlags

	name, listen, nats string
	memcached          string
	memory, maxItem    int64
	drain              time.Duration
	insecure           bool
}

func newLeafCommand() *cobra.Command {
	var f leafFlags
	c := &cobra.Command{
		Use:   "leaf --name NAME --listen ADDR",
		Short: "Run a leaf: one cache process with an embedded nats-server",
		Long: `Run a leaf: a cache in memory that proxies reach over NATS, by its own embedded nats-server at --listen, or through
a NATS system that runs already (--nats). Its name says which keys it holds, so it keeps it when it moves; a name that
another leaf answers to is refused. What it holds is gone when it ends.

Who may connect is said by --tls-ca, --user, --users-file and --authorized-nkeys. With --cluster-listen and --routes the
servers of several leaves become one, so that one connection of a proxy reaches them all. SIGHUP reads the files again.

With --recover-from it takes the items of its neighbours when it starts, which hold the same keys, while it serves already;
/readyz of --admin says when it is warm.

With --etcd and --pool it registers there, for proxies to discover, once it serves: as warming until --recover-from is done, then as ready.

SIGTERM and SIGINT tell proxies to stay away, answer what they have sent within --drain, and end the process; a second
one ends it at once. With --etcd it first serves on until proxies choose other leaves and those have what it held, what is
read most first.`,
		Example: `  tidepool leaf --name leaf-1 --listen 127.0.0.1:4301
  tidepool leaf --name leaf-2 --listen 127.0.0.1:4302 --memory 4GiB --admin 127.0.0.1:9412
  tidepool leaf --name leaf-3 --listen 0.0.0.0:4301 --tls-cert leaf.pem --tls-key leaf.key --authorized-nkeys proxies
  tidepool leaf --name leaf-4 --nats tls://nats.example:4222 --creds leaf.creds
  tidepool leaf --name leaf-5 --listen 10.0.0.5:4301 --insecure --etcd 10.0.0.1:2379 --pool users --zone west
  tidepool leaf --name leaf-1 --listen 127.0.0.1:4301 --recover-from nats://127.0.0.1:4302/leaf-2 --admin 127.0.0.1:9411`,
		Args: noArgs,
	}
	fs := c.Flags()
	fs.StringVar(&f.name, "name", "", "the leaf's `name`: [a-z0-9-], up to 63")
	fs.StringVar(&f.listen, "listen", "", "`address` of the embedded nats-server: host:port")
	fs.StringVar(&f.nats, "nats", "", "`URL` of a NATS system to join in place of --listen")
	sizeVar(fs, &f.memory, "memory", defaultMemory, "memory for items: keys, values and what is kept about them")
	sizeVar(fs, &f.maxItem, "max-item", 1<<20, "largest value")
	fs.StringVar(&f.memcached, "memcached", "", "`address` where memcached clients and exporters may ask this leaf itself: host:port or unix:/path (default: none)")
	fs.DurationVar(&f.drain, "drain", 5*time.Second, "how long a stop may take in all: with --etcd to hand over to other leaves, and to answer what proxies have sent (with --etcd: 25s)")
	fs.BoolVar(&f.insecure, "insecure", false, "allow addresses outside loopback, where anyone may connect")
	f.access.add(fs)
	f.warm.add(fs)
	f.join.add(fs)
	f.admin.add(fs, noAdmin)
	f.log.add(fs)
	c.RunE = func(c *cobra.Command, _ []string) error { return runLeaf(c, &f) }
	c.AddCommand(newLeafKeysCommand(), newLeafFlushCommand())
	return c
}

// check refuses what the flag types let through. It runs before anything is opened.
func (f *leafFlags) check(c *cobra.Command) (*slog.Logger, error) {
	bad := func(problem string) error { return usageError{c.CommandPath(), problem} }
	switch {
	case f.name == "":
		return nil, bad("want --name NAME")
	case !leaf.ValidName(f.name):
		return nil, bad(fmt.Sprintf("invalid argument %q for \"--name\" flag: want [a-z0-9-], 1 to 63 of them", f.name))
	case f.listen == "" && f.nats == "":
		return nil, bad("want --listen ADDR (or --nats URL)")
	case f.listen != "" && f.nats != "":
		return nil, bad("want --listen or --nats, not both")
	case f.access.problem(f.nats) != "":
		return nil, bad(f.access.problem(f.nats))
	case f.warm.problem() != "":
		return nil, bad(f.warm.problem())
	case f.join.problem(c.Flags().Changed) != "":
		return nil, bad(f.join.problem(c.Flags().Changed))
	case f.join.reachable(f.listen, f.access.advertise) != "":
		return nil, bad(f.join.reachable(f.listen, f.access.advertise))
	case f.maxItem < 1 || f.maxItem > maxItemLimit:
		return nil, bad(fmt.Sprintf("invalid argument %q for \"--max-item\" flag: want 1 to %s", formatSize(f.maxItem), formatSize(maxItemLimit)))
	case f.memory < minMemory:
		return nil, bad(fmt.Sprintf("invalid argument %q for \"--memory\" flag: want at least %s", formatSize(f.memory), formatSize(minMemory)))
	case f.maxItem > f.memory/4:
		return nil, bad(fmt.Sprintf("invalid argument %q for \"--max-item\" flag: want at most a quarter of --memory, which is %s", formatSize(f.maxItem), formatSize(f.memory)))
	case f.drain < 0:
		return nil, bad(fmt.Sprintf("invalid argument %q for \"--drain\" flag: want none below 0", f.drain))
	}
	if err := checkClients(f.memcached, f.insecure, bad); err != nil {
		return nil, err
	}
	log, err := f.log.logger(c.ErrOrStderr())
	if err != nil {
		return nil, bad(err.Error())
	}
	return log, nil
}

// minMemory is less than anyone would want and enough for the store to work.
const minMemory = 2 << 20

func runLeaf(c *cobra.Command, f *leafFlags) error {
	log, err := f.check(c)
	if err != nil {
		return err
	}
	sig := catchSignals()
	defer sig.release()
	limitHeap(f.memory, log)
	o := leaf.Options{
		Name:     f.name,
		Listen:   f.listen,
		NATS:     f.nats,
		Memory:   f.memory,
		MaxItem:  int(f.maxItem),
		Log:      log,
		Insecure: f.insecure,
	}
	if err := errors.Join(f.access.fill(&o, log), f.warm.fill(&o, log)); err != nil {
		return fmt.Errorf("cannot start leaf %q: %w", f.name, err)
	}
	joined, err := f.join.open(log)
	if err != nil {
		return fmt.Errorf("cannot start leaf %q: %w", f.name, err)
	}
	if joined != nil {
		o.Epoch, o.LameDuck = joined.epoch(c.Context()), lameDuck
		if !c.Flags().Changed("drain") {
			f.drain = poolDrain
		}
	}
	clients := newLeafClients(o.MaxItem, log)
	if f.memcached != "" {
		o.Conns = clients.conns
	}
	l, err := startLeaf(c.Context(), o)
	if err != nil {
		return errors.Join(err, joined.close())
	}
	if f.memcached != "" {
		if err := clients.listen(l, f.memcached); err != nil {
			return errors.Join(fmt.Errorf("cannot start leaf %q: %w", f.name, err), clients.stop(cancelled()), l.Close(cancelled()), joined.close())
		}
	}
	if err := joined.register(&f.join, l, registeredAddr(l, f.access.advertise), f.memory); err != nil {
		return errors.Join(fmt.Errorf("cannot start leaf %q: %w", f.name, err), clients.stop(cancelled()), l.Close(cancelled()), joined.close())
	}
	view := &leafView{Leaf: l, joined: joined}
	a, err := f.admin.start("tidepool leaf "+f.name, view, f.insecure, append(leafCollectors(l), joined.collectors()...), log)
	if err != nil {
		return errors.Join(err, clients.stop(cancelled()), l.Close(cancelled()), joined.close())
	}
	log.Info("leaf ready", "leaf", l.Name(), "url", l.URL(), "memcached", clients.addr(), "cluster", cmp.Or(l.ClusterAddr(), noAdmin), "memory", formatSize(f.memory), "admin", adminAddr(a), "version", versionName())
	return sig.serve(life{
		log:    log,
		drain:  f.drain,
		served: func() uint64 { return l.Stats().Requests },
		leave: func() {
			view.leave()
			joined.leave()
		},
		reload: f.access.reload(l, o, log),
		stop: func(ctx context.Context) error {
			stopped := make(chan error, 1)
			go func() { stopped <- clients.stop(ctx) }() // beside the proxies: neither's drain takes from the other's
			joined.drain(ctx)
			l.Drain(ctx)
			clientsErr := <-stopped // they are answered from its store until then
			return errors.Join(l.Close(ctx), clientsErr, joined.close(), stopAdmin(ctx, a))
		},
	})
}

// startTimeout is how long a leaf may take to serve: longer than its server, its connection and the question whether another
// leaf has its name take together.
const startTimeout = 15 * time.Second

func startLeaf(ctx context.Context, o leaf.Options) (*leaf.Leaf, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	_ = spareCollector()
	return leaf.Start(ctx, o)
}

// leafView is what admin sees of a leaf.
type leafView struct {
	*leaf.Leaf
	leaving atomic.Bool
	joined  *registered // nil: it is in no pool
}

func (v *leafView) leave() { v.leaving.Store(true) }

// Ready: Start returned, so it serves until it stops; with --recover-from it also has to be warm.
func (v *leafView) Ready(bool) error {
	if v.leaving.Load() {
		return errors.New("the leaf is stopping")
	}
	return v.Warm()
}

func (v *leafView) Config() any {
	return struct {
		Name     string `json:"name"`
		URL      string `json:"url"`
		Instance string `json:"instance"` // as text: it may be more than JSON's numbers hold

		Recovery *recoveryView   `json:"recovery,omitempty"`
		Joined   *registeredView `json:"registered,omitempty"`
	}{v.Name(), v.URL(), fmt.Sprint(v.Instance()), viewRecovery(v.Leaf), v.joined.view()}
}

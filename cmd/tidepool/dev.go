// tidepool dev.

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/examples"
	"github.com/tidepool-proxy/tidepool/leaf"
)

// devFlags are the flags of tidepool dev beyond a proxy's.
type devFlags struct {
	proxyFlags
	leaves   int
	leafPort int
	memory   int64
	cluster  bool // with an etcd, each process by itself
}

// maxLeaves is more than one process has a use for.
const maxLeaves = 64

func newDevCommand() *cobra.Command {
	var f devFlags
	c := &cobra.Command{
		Use:   "dev [CONFIG]",
		Short: "Run a proxy over a few leaves, all in one process, to try things",
		Long: `Run leaves and a proxy in one process: leaf-1 at nats://127.0.0.1:4301, leaf-2 at 4302 and so on, clients on
127.0.0.1:11211, admin on 127.0.0.1:9411. Without CONFIG it is the example that the binary carries, as a file to edit.
It says what to try. SIGHUP loads the configuration again; SIGTERM and SIGINT stop.

With --etcd it is a cluster: an etcd, which must be in PATH, five leaves in two zones that register there, and two proxies that find
them, each a process of its own, to be killed and started; everything ends with this one.`,
		Example: `  tidepool dev
  tidepool dev routes.lua --leaves 5 --memory 256MiB
  tidepool dev --etcd`,
		Args:              files(0, 1),
		ValidArgsFunction: completeLua,
	}
	fs := c.Flags()
	fs.IntVar(&f.leaves, "leaves", 3, "how many leaves (with --etcd: 5)")
	fs.BoolVar(&f.cluster, "etcd", false, "run a cluster: an etcd, leaves and two proxies, each a process of its own")
	fs.IntVar(&f.leafPort, "leaf-port", 4301, "`port` of leaf-1; the others follow it, or 0 for any that are free")
	sizeVar(fs, &f.memory, "memory", defaultMemory, "memory for the items of each leaf")
	f.add(fs)
	c.RunE = func(c *cobra.Command, args []string) error { return runDev(c, &f, args) }
	return c
}

// check refuses what the flag types let through. It runs before anything is opened.
func (f *devFlags) check(c *cobra.Command) (*slog.Logger, error) {
	bad := func(flag string, value any, want string) error {
		return usageError{c.CommandPath(), fmt.Sprintf("invalid argument \"%v\" for \"--%s\" flag: want %s", value, flag, want)}
	}
	switch {
	case f.leaves < 1 || f.leaves > maxLeaves:
		return nil, bad("leaves", f.leaves, fmt.Sprintf("1 to %d", maxLeaves))
	case f.leafPort < 0 || f.leafPort+f.leaves-1 > math.MaxUint16:
		return nil, bad("leaf-port", f.leafPort, fmt.Sprintf("a port with room for %d leaves", f.leaves))
	case f.memory < minMemory:
		return nil, bad("memory", formatSize(f.memory), "at least "+formatSize(minMemory))
	}
	return f.proxyFlags.check(c)
}

func runDev(c *cobra.Command, f *devFlags, args []string) (err error) {
	if f.cluster && !c.Flags().Changed("leaves") {
		f.leaves = 5
	}
	log, err := f.check(c)
	if err != nil {
		return err
	}
	if f.cluster {
		return runDevCluster(c, f, args, log)
	}
	sig := catchSignals()
	defer sig.release()
	leaves, err := f.startLeaves(c.Context(), log)
	if err != nil {
		return err
	}
	config, forget, err := devConfig(args, leaves)
	if err != nil {
		return errors.Join(err, closeLeaves(cancelled(), leaves))
	}
	defer forget()
	p, err := f.start("tidepool dev", []string{config}, log, leafCollectors(leaves...)...)
	if err != nil {
		return errors.Join(err, closeLeaves(cancelled(), leaves))
	}
	if err := f.banner(p, leaves, config).print(c.OutOrStdout()); err != nil {
		log.Warn("cannot print what to try", "err", err)
	}
	return sig.serve(life{
		log:    log,
		drain:  f.drain,
		served: p.Served,
		delay:  f.drainDelay,
		spares: true,
		leave:  p.Leave,
		reload: p.reload,
		stop: func(ctx context.Context) error {
			return errors.Join(p.stop(ctx), closeLeaves(ctx, leaves), stopAdmin(ctx, p.admin))
		},
	})
}

// devConfig gives the configuration file: the one that was named, or a copy of the example to edit, which forget removes.
func devConfig(args []string, leaves []*leaf.Leaf) (path string, forget func(), err error) {
	if len(args) > 0 {
		return args[0], func() {}, nil
	}
	var urls []string
	for _, l := range leaves {
		urls = append(urls, l.URL())
	}
	dir, err := os.MkdirTemp("", "tidepool-dev-")
	if err != nil {
		return "", nil, fmt.Errorf("cannot write the example: %w", err)
	}
	forget = func() { _ = os.RemoveAll(dir) }
	path = filepath.Join(dir, examples.DefaultName)
	if err := os.WriteFile(path, []byte(withLeaves(examples.Default, urls)), 0o600); err != nil {
		forget()
		return "", nil, fmt.Errorf("cannot write the example: %w", err)
	}
	return path, forget, nil
}

// aLeafLine is a line of the example's list of leaves.
var aLeafLine = regexp.MustCompile(`(?m)^\s*"nats://[^"]*",\n`)

// withLeaves gives the example the leaves that run here: they may be more or fewer than its three, or at other ports.
func withLeaves(example string, urls []string) string {
	var lines strings.Builder
	for _, u := range urls {
		fmt.Fprintf(&lines, "        %q,\n", u)
	}
	first := true
	return aLeafLine.ReplaceAllStringFunc(example, func(string) string {
		if !first {
			return ""
		}
		first = false
		return lines.String()
	})
}

// startLeaves starts leaf-1 and so on, or none.
func (f *devFlags) startLeaves(ctx context.Context, log *slog.Logger) (leaves []*leaf.Leaf, err error) {
	for i := range f.leaves {
		l, err := startLeaf(ctx, leaf.Options{
			Name:    fmt.Sprintf("leaf-%d", i+1),
			Listen:  net.JoinHostPort("127.0.0.1", strconv.Itoa(f.portOf(i))),
			Memory:  f.memory,
			MaxItem: int(f.maxItem),
			Log:     log,
		})
		if err != nil {
			return nil, errors.Join(err, closeLeaves(cancelled(), leaves))
		}
		leaves = append(leaves, l)
	}
	return leaves, nil
}

// portOf is the port of the i-th leaf, 0-based; 0 stays 0, for the kernel to choose.
func (f *devFlags) portOf(i int) int {
	if f.leafPort == 0 {
		return 0
	}
	return f.leafPort + i
}

func closeLeaves(ctx context.Context, leaves []*leaf.Leaf) error {
	errs := make([]error, len(leaves))
	done := make(chan struct{})
	for i, l := range leaves { // at the same time: each waits for its proxies to notice
		go func() {
			errs[i] = l.Close(ctx)
			done <- struct{}{}
		}()
	}
	for range leaves {
		<-done
	}
	return errors.Join(errs...)
}

// cancelled is a context without time left, for a start that went wrong half way.
func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// tidepool dev --etcd: a cluster on one machine. An etcd, leaves in two zones and two proxies, each a process of its own, so that each can be killed.

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// clusterPool is the pool that the leaves register in.
const clusterPool = "users"

// clusterConfig is the configuration, a file to edit.
const clusterConfig = `-- The routes of this cluster. The pool's leaves are found in etcd: start one more, or kill one, and see what becomes of it.
pool{ name = "` + clusterPool + `", discover = true }
router{ router_type = "flat", default_pool = "` + clusterPool + `" }

-- Each zone holds everything, and reads ask the near one first:
--   pool{ name = "` + clusterPool + `", discover = true, zones = { "a", "b" } }
--   my_zone("a")
`

// devCluster is what runs.
type devCluster struct {
	log   *slog.Logger
	dir   string // removed at the end
	exe   string // this program
	out   io.Writer
	quiet sync.Mutex // one line at a time goes to out
	given []string   // addresses that freeAddr gave

	etcd            *devProcess
	endpoint        string
	leaves, proxies []*devProcess
	listen, admin   [2]string // of the proxies
	config          string
}

// devProcess is one process of it.
type devProcess struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed at its end
}

func runDevCluster(c *cobra.Command, f *devFlags, args []string, log *slog.Logger) (err error) {
	path, err := exec.LookPath("etcd")
	if err != nil {
		return errors.New("cannot start etcd: there is none in PATH (Debian and Ubuntu have it in the package etcd-server, Fedora and Homebrew in etcd)")
	}
	sig := catchSignals()
	defer sig.release()
	x := &devCluster{log: log, out: c.ErrOrStderr()}
	defer func() {
		x.kill()
		_ = os.RemoveAll(x.dir)
	}()
	if err := x.place(f, args); err != nil {
		return err
	}
	if err := x.vacant(f); err != nil {
		return err
	}
	if err := x.start(c.Flags(), f, path); err != nil {
		return err
	}
	if err := x.await(sig.term); err != nil {
		return err
	}
	if err := x.banner(f).print(c.OutOrStdout()); err != nil {
		log.Warn("cannot print what to try", "err", err)
	}
	return sig.serve(life{
		log:    log,
		drain:  f.drain,
		reload: func() { signalAll(x.proxies, syscall.SIGHUP) },
		stop:   x.stop,
	})
}

// place decides where everything is.
func (x *devCluster) place(f *devFlags, args []string) (err error) {
	if x.exe, err = os.Executable(); err != nil {
		return fmt.Errorf("cannot start processes: %w", err)
	}
	if x.dir, err = os.MkdirTemp("", "tidepool-dev-"); err != nil {
		return fmt.Errorf("cannot start a cluster: %w", err)
	}
	if len(args) > 0 {
		x.config = args[0]
	} else {
		x.config = filepath.Join(x.dir, "cluster.lua")
		if err := os.WriteFile(x.config, []byte(clusterConfig), 0o600); err != nil {
			return fmt.Errorf("cannot write the configuration: %w", err)
		}
	}
	if x.listen, err = x.twice(f.listen[0]); err == nil {
		x.admin, err = x.twice(f.proxyFlags.admin.addr)
	}
	if err == nil {
		x.endpoint, err = x.freeAddr("127.0.0.1")
	}
	return err
}

// vacant refuses addresses at which somebody listens already: another cluster's answers must not be taken for this one's.
func (x *devCluster) vacant(f *devFlags) error {
	addrs := slices.Concat(x.listen[:], x.admin[:])
	for i := range f.leaves {
		addrs = append(addrs, net.JoinHostPort("127.0.0.1", strconv.Itoa(f.portOf(i))))
	}
	for _, addr := range addrs {
		if addr == noAdmin || strings.HasPrefix(addr, "unix:") {
			continue
		}
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("cannot start a cluster: %w", err)
		}
		_ = ln.Close()
	}
	return nil
}

// twice gives an address and one beside it: the port after it, any two for port 0, another file name.
func (x *devCluster) twice(addr string) (two [2]string, err error) {
	host, port, split := net.SplitHostPort(addr)
	switch n, bad := strconv.Atoi(port); {
	case addr == noAdmin:
		return [2]string{addr, addr}, nil
	case strings.HasPrefix(addr, "unix:"):
		return [2]string{addr, addr + ".2"}, nil
	case split != nil || bad != nil:
		return two, fmt.Errorf("cannot start two proxies at %q: want host:port or unix:/path", addr)
	case n > 0:
		return [2]string{addr, net.JoinHostPort(host, strconv.Itoa(n+1))}, nil
	}
	for i := range two {
		if two[i], err = x.freeAddr(host); err != nil {
			return two, err
		}
	}
	return two, nil
}

// Ports that no system gives who does not ask for them: outgoing connections begin at 32,768 on Linux, and elsewhere above. A process
// of the cluster that looks for another, not there yet, could be given that one's very port to look from.
const (
	portFrom = 20_000
	portTo   = 32_000
)

// freeAddr is one that nobody listens at now, and none that it gave before.
func (x *devCluster) freeAddr(host string) (string, error) {
	for tries := 0; ; tries++ {
		addr := net.JoinHostPort(host, strconv.Itoa(portFrom+rand.IntN(portTo-portFrom)))
		ln, err := net.Listen("tcp", addr)
		if err == nil {
			_ = ln.Close()
		}
		switch {
		case err == nil && !slices.Contains(x.given, addr):
			x.given = append(x.given, addr)
			return addr, nil
		case tries == 100:
			return "", fmt.Errorf("cannot find a free port: %w", err)
		}
	}
}

// start starts all processes.
func (x *devCluster) start(fs *pflag.FlagSet, f *devFlags, etcd string) error {
	peer, err := x.freeAddr("127.0.0.1")
	if err != nil {
		return err
	}
	at, among := "http://"+x.endpoint, "http://"+peer
	x.etcd, err = x.run("etcd", etcd, "--name", "dev", "--data-dir", filepath.Join(x.dir, "etcd"), "--listen-client-urls", at, "--advertise-client-urls", at,
		"--listen-peer-urls", among, "--initial-advertise-peer-urls", among, "--initial-cluster", "dev="+among, "--log-level", "error", "--logger", "zap")
	if err != nil {
		return err
	}
	logs := passedOn(fs, func(name string) bool { return strings.HasPrefix(name, "log-") })
	for i := range f.leaves {
		port := f.portOf(i)
		name := fmt.Sprintf("leaf-%d", i+1)
		l, err := x.run(name, x.exe, append([]string{
			"leaf", "--name", name, "--listen", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), "--memory", formatSize(f.memory),
			"--etcd", x.endpoint, "--pool", clusterPool, "--zone", string(rune('a' + i%2)), "--drain", "1s",
		}, logs...)...)
		if err != nil {
			return err
		}
		x.leaves = append(x.leaves, l)
	}
	more := passedOn(fs, func(name string) bool {
		return !slices.Contains([]string{"etcd", "leaves", "leaf-port", "memory", "listen", "admin"}, name)
	})
	for i := range x.listen {
		p, err := x.run(fmt.Sprintf("proxy-%d", i+1), x.exe, append([]string{
			"proxy", x.config, "--listen", x.listen[i], "--admin", x.admin[i], "--etcd", x.endpoint, "--name", fmt.Sprintf("proxy-%d", i+1),
		}, more...)...)
		if err != nil {
			return err
		}
		x.proxies = append(x.proxies, p)
	}
	return nil
}

// passedOn are the flags that were given and that want says are meant, for another command line.
func passedOn(fs *pflag.FlagSet, want func(name string) bool) (args []string) {
	fs.Visit(func(f *pflag.Flag) {
		switch list, ok := f.Value.(pflag.SliceValue); {
		case !want(f.Name):
		case ok:
			for _, v := range list.GetSlice() {
				args = append(args, "--"+f.Name+"="+v)
			}
		default:
			args = append(args, "--"+f.Name+"="+f.Value.String())
		}
	})
	return args
}

// run starts one process, whose lines are shown under its name.
func (x *devCluster) run(name, path string, args ...string) (*devProcess, error) {
	p := &devProcess{name: name, cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.SysProcAttr = childAttributes()
	lines, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	go x.show(name, lines)
	go func() {
		err := p.cmd.Wait()
		_ = w.Close()
		x.log.Info("a process has ended", "process", name, "pid", p.cmd.Process.Pid, "err", err)
		close(p.done)
	}()
	return p, nil
}

func (x *devCluster) show(name string, lines io.Reader) {
	for r := bufio.NewReader(lines); ; {
		line, err := r.ReadString('\n')
		if line != "" {
			x.quiet.Lock()
			fmt.Fprintf(x.out, "%-8s %s\n", name, strings.TrimRight(line, "\n"))
			x.quiet.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// all are all processes that have been started, in the order in which they are to be stopped.
func (x *devCluster) all() []*devProcess {
	all := slices.Concat(x.proxies, x.leaves)
	if x.etcd != nil {
		all = append(all, x.etcd)
	}
	return all
}

// clusterPatience is how long a cluster may take to serve.
const clusterPatience = 30 * time.Second

// await waits until both proxies have backends.
func (x *devCluster) await(term <-chan os.Signal) error {
	late := time.After(clusterPatience)
	for _, admin := range x.admin {
		for !answersReady(admin) {
			for _, p := range x.all() {
				select {
				case <-p.done:
					return fmt.Errorf("cannot start a cluster: %s has ended, see above", p.name)
				default:
				}
			}
			select {
			case <-term:
				return errors.New("cannot start a cluster: it was told to stop")
			case <-late:
				return fmt.Errorf("cannot start a cluster: the proxies have no leaves after %v", clusterPatience)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// answersReady asks an admin address whether there are backends. One that cannot be asked over TCP is taken for ready.
func answersReady(admin string) bool {
	if admin == noAdmin || strings.HasPrefix(admin, "unix:") {
		return true
	}
	resp, err := http.Get("http://" + admin + "/readyz?pools=1")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func signalAll(list []*devProcess, s syscall.Signal) {
	for _, p := range list {
		_ = p.cmd.Process.Signal(s) // it may have ended
	}
}

// stop ends everything, the proxies first; what has not ended when ctx does is killed.
func (x *devCluster) stop(ctx context.Context) error {
	defer x.kill()
	for _, list := range [][]*devProcess{x.proxies, x.leaves, {x.etcd}} {
		signalAll(list, syscall.SIGTERM)
		for _, p := range list {
			select {
			case <-p.done:
			case <-ctx.Done():
				return fmt.Errorf("cannot end %s in time", p.name)
			}
		}
	}
	return nil
}

func (x *devCluster) kill() {
	signalAll(x.all(), syscall.SIGKILL)
	for _, p := range x.all() {
		<-p.done
	}
}

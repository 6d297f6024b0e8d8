// The processes: an etcd, leaves that register there behind networks that fail, and two proxies.

package churn

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/etcdpeer"
	"github.com/tidepool-proxy/tidepool/tests/faultproxy"
	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// config is the proxies' routes.
const config = `pool{ name = "users", discover = true }
router{ router_type = "flat", default_pool = "users" }`

// world is what runs. One goroutine uses it.
type world struct {
	t        *testing.T
	say      func(format string, args ...any)
	tidepool string
	etcd     *etcdpeer.Cluster
	proxies  []*node
	leaves   []*node // that are to be there
	going    []*node // that have been told to stop
	ends     sync.WaitGroup
}

// node is a process. There is a network to each member of etcd, and of a leaf one to who asks it.
type node struct {
	*proc.Process
	name, addr, admin string
	asked             *faultproxy.Proxy
	etcd              []*faultproxy.Proxy
	told              time.Time // to stop
	took              time.Duration
	gone              chan struct{} // closed when took is known
}

func startWorld(t *testing.T, tidepool string, leaves int) *world {
	w := &world{t: t, tidepool: tidepool, etcd: etcdpeer.StartLinked(t, 3)}
	t.Cleanup(w.end)
	for i := range leaves {
		if err := w.join(leafName(i)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "routes.lua")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := w.proxy(fmt.Sprintf("proxy-%d", i+1), file); err != nil {
			t.Fatal(err)
		}
	}
	w.whole()
	return w
}

func leafName(i int) string { return fmt.Sprintf("leaf-%d", i+1) }

// run starts a process and waits until its log says that it serves.
func (w *world) run(n *node, serves string, args ...string) error {
	p, err := proc.Start(exec.Command(w.tidepool, append(args, "--log-format", "json")...))
	if err != nil {
		return err
	}
	n.Process = p
	f, err := p.Logged(0, patience, serves)
	if err != nil {
		p.Kill()
		return fmt.Errorf("%s does not serve: %w", n.name, err)
	}
	n.admin = f["admin"].(string)
	if addrs, ok := f["addrs"].([]any); ok {
		n.addr = addrs[0].(string)
	}
	return nil
}

func (w *world) proxy(name, file string) error {
	n := &node{name: name}
	w.proxies = append(w.proxies, n)
	if err := w.link(n); err != nil {
		return err
	}
	return w.run(n, "proxy serves", "proxy", file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--etcd", n.endpoints(), "--name", name,
		"--unreachable-after", *away)
}

// link gives a process its networks to etcd.
func (w *world) link(n *node) error {
	for _, m := range w.etcd.Members {
		p, err := faultproxy.Start(m.Client)
		if err != nil {
			return err
		}
		n.etcd = append(n.etcd, p)
	}
	return nil
}

// endpoints are where a process finds etcd.
func (n *node) endpoints() string {
	var out []string
	for _, p := range n.etcd {
		out = append(out, p.Addr())
	}
	return strings.Join(out, ",")
}

// join starts a leaf, which may have been there before under this name.
func (w *world) join(name string) (err error) {
	n := &node{name: name, gone: make(chan struct{})}
	ports, err := proc.FreePorts(1)
	if err != nil {
		return err
	}
	if n.asked, err = faultproxy.Start(ports[0]); err != nil {
		return err
	}
	if err = w.link(n); err != nil {
		return errors.Join(err, n.close())
	}
	err = w.run(n, "leaf ready", "leaf", "--name", name, "--listen", ports[0], "--advertise", n.asked.Addr(), "--memory", "16MiB",
		"--etcd", n.endpoints(), "--pool", "users", "--admin", "127.0.0.1:0", "--drain", "10s")
	if err != nil {
		return errors.Join(err, n.close())
	}
	w.leaves = append(w.leaves, n)
	return nil
}

func (n *node) close() (err error) {
	for _, p := range append(n.etcd, n.asked) {
		if p != nil {
			err = errors.Join(err, p.Close())
		}
	}
	return err
}

// stop tells a leaf to.
func (w *world) stop(n *node) error {
	w.take(n)
	w.going = append(w.going, n)
	n.told = time.Now()
	w.ends.Go(func() {
		<-n.Exited
		n.took = time.Since(n.told)
		close(n.gone)
	})
	return n.Cmd.Process.Signal(syscall.SIGTERM)
}

// take takes a leaf off the list.
func (w *world) take(n *node) {
	w.leaves = slices.DeleteFunc(w.leaves, func(o *node) bool { return o == n })
}

// kill is the end of a leaf, at once.
func (w *world) kill(n *node) error {
	w.take(n)
	n.Kill()
	return n.close()
}

// reap looks after the leaves that have been told to stop, and gives how long those took that have.
func (w *world) reap(all bool) (took []time.Duration, err error) {
	w.going = slices.DeleteFunc(w.going, func(n *node) bool {
		if !all {
			select {
			case <-n.gone:
			default:
				return false
			}
		}
		code, e := n.Exit(patience)
		if e == nil {
			<-n.gone
		}
		if e == nil && code != 0 {
			e = fmt.Errorf("%s ended with %d:\n%s", n.name, code, n.Stderr.Tail())
		}
		took = append(took, n.took)
		w.say("%s has stopped: %s", n.name, n.drained())
		err = errors.Join(err, e, n.bugs(), n.close())
		return true
	})
	return took, err
}

// bugs says whether the log tells of one.
func (n *node) bugs() error {
	for _, sign := range []string{"WARNING: DATA RACE", "panicked", "fatal error: ", "goroutine 1 ["} {
		if text := n.Stderr.Text(); strings.Contains(text, sign) {
			return fmt.Errorf("%s: the log has %q:\n%s", n.name, sign, text)
		}
	}
	return nil
}

// whole waits until both proxies reach exactly the leaves that are to be there.
func (w *world) whole() {
	w.t.Helper()
	for _, p := range w.proxies {
		until(w.t, p.name+" to reach all leaves", func() bool {
			return p.metric(`tidepool_pool_members{pool="users"`) == float64(len(w.leaves)) && p.reaches()
		})
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * patience); !ok(); time.Sleep(50 * time.Millisecond) { // other processes: there is nothing to wait on
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// admins asks admin addresses.
var admins = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// reaches: no pool of this proxy has a backend that is away.
func (n *node) reaches() bool {
	res, err := admins.Get("http://" + n.admin + "/readyz?pools=1")
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// page is what admin shows there; "" if the process is not there.
func (n *node) page(path string) string {
	res, err := admins.Get("http://" + n.admin + path)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

// metrics calls f with each line that begins so, without that, and its value; false: the process is not there.
func (n *node) metrics(name string, f func(rest string, v float64)) bool {
	res, err := admins.Get("http://" + n.admin + "/metrics")
	if err != nil {
		return false
	}
	defer res.Body.Close()
	for s := bufio.NewScanner(res.Body); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), name); ok {
			if v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64); err == nil {
				f(rest, v)
			}
		}
	}
	return true
}

// metric adds up what begins so; NaN if the process is not there.
func (n *node) metric(name string) (sum float64) {
	if !n.metrics(name, func(_ string, v float64) { sum += v }) {
		return math.NaN()
	}
	return sum
}

// reasons is how often proxies had no answer, by why.
func reasons(proxies []*node) map[string]float64 {
	m := map[string]float64{}
	for _, p := range proxies {
		p.metrics(`tidepool_backend_failures_total{reason="`, func(rest string, v float64) {
			reason, _, _ := strings.Cut(rest, `"`)
			m[reason] += v
		})
	}
	return m
}

// end kills what runs.
func (w *world) end() {
	for _, n := range slices.Concat(w.proxies, w.leaves, w.going) {
		if n.Process != nil {
			n.Kill()
			if err := n.bugs(); err != nil {
				w.t.Error(err)
			}
		}
		_ = n.close()
	}
	w.ends.Wait()
}

// drained is what the log of a leaf that was told to stop says of that.
func (n *node) drained() string {
	f, err := n.Logged(0, 0, "leaf has drained")
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("took %v, %v items, heirs left %v, proxies behind %v, err %v", f["took"], f["items"], f["heirs_left"], f["proxies_behind"], f["err"])
}

// Against memcached itself: a pipelined load in which every answer is checked, and a kill under it.

package memcached

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// server is a memcached process.
type server struct {
	t    testing.TB
	args []string
	cmd  *exec.Cmd
}

// memcachedBinary gives its path, or skips.
func memcachedBinary(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("memcached")
	if err != nil {
		if os.Getenv("TIDEPOOL_PEERS") == "required" {
			t.Fatalf("TIDEPOOL_PEERS=required, but memcached is not installed: %v", err)
		}
		t.Skip("SKIPPED: memcached is not installed; this test shows that we work with the real one")
	}
	return path
}

// startMemcached starts memcached with args; it is killed with the test.
func startMemcached(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{t: t, args: append([]string{memcachedBinary(t), "-U", "0", "-t", "2"}, args...)}
	if os.Getuid() == 0 {
		s.args = append(s.args, "-u", "root")
	}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *server) start() {
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// kill is kill -9.
func (s *server) kill() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

// freePort is one that nobody listens at, and that no connection is made from.
func freePort(t testing.TB) string {
	t.Helper()
	free, err := proc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free[0])
	return port
}

// client is one session of the load: it alone writes its keys, so that it knows what may be read.
type client struct {
	b    *Backend
	w    *waiter
	name string
	may  map[string]map[string]bool // key -> what a read may give; "" is a miss
	sure bool                       // the server keeps everything and fails nothing
	bad  []string
}

const clientKeys = 16

// round writes some keys and reads all of them, pipelined, and checks every answer. It reports how many failed.
func (c *client) round(n int) (failed int) {
	type step struct{ key, value string } // value "": a read
	steps := map[*backend.Pending]step{}
	var order []*backend.Pending
	do := func(key, value, line string) {
		p := send(panics{}, c.b, c.w, line)
		steps[p] = step{key, value}
		order = append(order, p)
	}
	for i := range clientKeys {
		key := fmt.Sprintf("%s-k%d", c.name, i)
		if (n+i)%3 == 0 {
			value := fmt.Sprintf("%s=%d;%s", key, n, strings.Repeat("v", (n*37+i*101)%3000))
			do(key, value, fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, len(value), value))
		}
		do(key, "", "get "+key+"\r\n")
	}
	c.w.take(len(order))
	for _, p := range order { // one connection each, so answers are in this order
		s := steps[p]
		got := text(p)
		switch {
		case p.Err != nil && s.value != "":
			failed++
			c.may[s.key][s.value] = true // it may have been executed
		case p.Err != nil:
			failed++
		case s.value != "" && got == "STORED\r\n":
			c.may[s.key] = map[string]bool{s.value: true, "": !c.sure}
		case s.value != "":
			c.bad = append(c.bad, fmt.Sprintf("set %s: %q", s.key, got))
		case !c.may[s.key][string(p.Resp.Value())] || p.Resp.Hit() && !strings.HasPrefix(got, "VALUE "+s.key+" "):
			c.bad = append(c.bad, fmt.Sprintf("get %s: %.80q", s.key, got))
		}
		p.Release()
	}
	return failed
}

// panics is a testing.TB for goroutines that are not the test's, which may not call Fatal.
type panics struct{ testing.TB }

func (panics) Helper()                   {}
func (panics) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

func newClient(b *Backend, name string, sure bool) *client {
	c := &client{b: b, w: newWaiter(), name: name, may: map[string]map[string]bool{}, sure: sure}
	for i := range clientKeys {
		c.may[fmt.Sprintf("%s-k%d", name, i)] = map[string]bool{"": true}
	}
	return c
}

func TestMemcachedLoad(t *testing.T) {
	f := func(name string, o Options, args ...string) {
		t.Run(name, func(t *testing.T) {
			startMemcached(t, args...)
			o.RetryWait = 20 * time.Millisecond
			b := open(t, o)
			connected(b)
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					c := newClient(b, fmt.Sprintf("c%d", i), true)
					failed := 0
					for n := range 50 {
						failed += c.round(n)
					}
					if failed > 0 || len(c.bad) > 0 {
						t.Errorf("%d failed, wrong: %q", failed, c.bad)
					}
				})
			}
			wg.Wait()
		})
	}
	port := freePort(t)
	f("tcp", Options{Host: "127.0.0.1", Port: port}, "-p", port, "-l", "127.0.0.1")
	path := filepath.Join(t.TempDir(), "m.sock")
	f("unix", Options{Path: path}, "-s", path)
	id := newIdentity(t)
	port = freePort(t)
	f("tls", Options{Host: "127.0.0.1", Port: port, TLS: backend.TLS{On: true, CA: id.cert}}, "-p", port, "-l", "127.0.0.1",
		"-Z", "-o", "ssl_chain_cert="+id.cert+",ssl_key="+id.key)
}

// connected waits until b is up.
func connected(b *Backend) {
	for !b.Status().Up {
		runtime.Gosched()
	}
}

// Killed and started again under load: a read gives what was written last, or what a failed write may have written, or
// nothing; errors end once it is back.
func TestMemcachedKilled(t *testing.T) {
	port := freePort(t)
	s := startMemcached(t, "-p", port, "-l", "127.0.0.1")
	b := open(t, Options{Host: "127.0.0.1", Port: port, RetryWait: 10 * time.Millisecond, FailureLimit: 1})
	connected(b)
	const clients = 6
	var rounds, failed atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			c := newClient(b, fmt.Sprintf("c%d", i), false)
			n := 0
			for ; !stop.Load(); n++ {
				if f := c.round(n); f > 0 {
					failed.Add(int64(f))
					time.Sleep(time.Millisecond) // as a client would; a bad backend answers at once
				}
				rounds.Add(1)
			}
			for c.round(n) > 0 { // until all is well again
				n++
				runtime.Gosched()
			}
			if len(c.bad) > 0 {
				t.Errorf("wrong: %q", c.bad)
			}
		})
	}
	until := func(what string, cond func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !cond(); runtime.Gosched() {
			if time.Now().After(end) {
				t.Errorf("waited in vain: %s", what)
				return
			}
		}
	}
	for range 3 {
		from := rounds.Load()
		until("load before the kill", func() bool { return rounds.Load() > from+50 })
		before := failed.Load()
		s.kill()
		until("failures after the kill", func() bool { return failed.Load() > before })
		s.start()
		until("connected again", func() bool { return b.Status().Up })
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d rounds, %d failed requests, %+v", rounds.Load(), failed.Load(), b.Status())
	if st := b.Status(); st.Queued != 0 || st.Bad != 0 {
		t.Errorf("%+v", st)
	}
}

// Every command's answer is understood: one of each, against the real thing.
func TestMemcachedCommands(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	startMemcached(t, "-s", path)
	b := open(t, Options{Path: path, RetryWait: 20 * time.Millisecond})
	connected(b)
	f := func(request, want string) {
		t.Helper()
		if got := ask(t, b, request); got != want {
			t.Errorf("%q: %q, want %q", request, got, want)
		}
	}
	f("set n 0 0 1\r\n5\r\n", "STORED\r\n")
	f("set n 0 0 1 noreply\r\n5\r\n", "STORED\r\n")
	f("add n 0 0 1\r\n5\r\n", "NOT_STORED\r\n")
	f("replace n 0 0 1\r\n6\r\n", "STORED\r\n")
	f("append n 0 0 1\r\n7\r\n", "STORED\r\n")
	f("prepend n 0 0 1\r\n1\r\n", "STORED\r\n")
	f("incr n 1\r\n", "168\r\n")
	f("decr n 100\r\n", "68\r\n")
	f("decr none 1\r\n", "NOT_FOUND\r\n")
	f("get n\r\n", "VALUE n 0 3\r\n68 \r\nEND\r\n")
	f("gat 0 n\r\n", "VALUE n 0 3\r\n68 \r\nEND\r\n")
	f("touch n 0\r\n", "TOUCHED\r\n")
	f("cas n 0 0 1 1\r\nx\r\n", "EXISTS\r\n")
	f("get none\r\n", "END\r\n")
	f("mg n v k f\r\n", "VA 3 kn f0\r\n68 \r\n")
	f("mg n v k q O123\r\n", "VA 3 kn O123\r\n68 \r\n")
	f("mg none v q\r\n", "EN\r\n")
	f("ms n 2 k\r\nhi\r\n", "HD kn\r\n")
	f("incr n 1\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
	f("ma n\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
	f("mg n Tx\r\n", "CLIENT_ERROR bad token in command line format\r\n")
	if got := ask(t, b, "mg bg== b k v\r\n"); !strings.HasSuffix(got, "\r\nhi\r\n") { // n in base64; how the key comes back depends on the version
		t.Errorf("base64 key: %q", got)
	}
	for _, refused := range []string{"ms n 2 Fx", "ms n 2 T", "ms n 2 MZ", "ms !!! 2 b", "ms n 2 Y", "ms n 2 I I", "ms n 2 Cx", "ms n 2 Dx", "ms n 2 Jx",
		"ms n 2 O" + strings.Repeat("o", 33), "mg !!! b v", "touch n x", "gat x n", "incr n x"} {
		line := refused + "\r\n"
		if strings.HasPrefix(refused, "ms") {
			line += "me\r\n" // its data, which nobody must take for a command
		}
		if got := ask(t, b, line); !strings.HasPrefix(got, "CLIENT_ERROR ") {
			t.Errorf("%s: %q", refused, got)
		}
	}
	for _, line := range []string{"ms m 2 MSS\r\nme\r\n", "me !!! b\r\n", "delete m 5\r\n"} { // which some versions do not refuse
		ask(t, b, line)
	}
	f("mn\r\n", "MN\r\n")
	f("me none\r\n", "EN\r\n")
	for _, cmd := range []string{"mg m l", "md m l", "ma m l", "me m l", "ms m 2"} { // 20 tokens with these, which are too many for some
		ask(t, b, cmd+" F0 I T0 C1 E5 O1 k c MS s P1 L1 N1 f t v h\r\n"+map[bool]string{true: "me\r\n"}[cmd[1] == 's'])
	}
	for _, long := range []string{"incr none 1 x noreply\r\n", "touch none 0 x y\r\n", "delete none x y noreply\r\n"} { // ERROR, if they came as they are
		f(long, "NOT_FOUND\r\n")
	}
	f("md n q\r\n", "HD\r\n")
	f("delete n\r\n", "NOT_FOUND\r\n")
	f("flush_all\r\n", "OK\r\n")
	f("verbosity 1\r\n", "OK\r\n")
	if s := b.Status(); s.Opened != 1 {
		t.Errorf("a connection was lost on the way: %+v", s)
	}
}

// How a proxy ends, and how it does not begin.

package system_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// heldBackend is a memcached that keeps every get waiting until it is told an answer.
type heldBackend struct {
	ln     net.Listener
	asked  chan string
	answer chan string
}

func newHeldBackend(t *testing.T) *heldBackend {
	b := &heldBackend{ln: listen(t), asked: make(chan string, 16), answer: make(chan string, 16)}
	gone := make(chan struct{})
	t.Cleanup(func() { close(gone) })
	go func() {
		for {
			c, err := b.ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadString('\n')
					switch {
					case err != nil:
						return
					case line == "version\r\n":
						_, _ = io.WriteString(c, "VERSION 1.6.18\r\n")
					case line == "mn\r\n":
						_, _ = io.WriteString(c, "MN\r\n")
					default:
						b.asked <- line
						select {
						case a := <-b.answer:
							_, _ = io.WriteString(c, a)
						case <-gone:
							return
						}
					}
				}
			}()
		}
	}()
	return b
}

// startHeld runs a proxy over a held backend, with a request under way.
func startHeld(t *testing.T, args ...string) (p *proxy, b *heldBackend, c *client) {
	t.Helper()
	b = newHeldBackend(t)
	p = startProxy(t, fmt.Sprintf(`pool{ name = "default", backends = { %q } } router{ router_type = "flat" }`, b.ln.Addr()), args...)
	c = dial(t, p.addr)
	c.says("get k\r\nget k2\r\n")
	select {
	case <-b.asked:
	case <-time.After(patience):
		t.Fatal("the backend was not asked")
	}
	return p, b, c
}

// refusesConnections: nobody listens there any more.
func refusesConnections(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err == nil {
		_ = c.Close()
	}
	return err != nil
}

func TestStop(t *testing.T) {
	p, b, c := startHeld(t, "--drain", "20s")
	idle := dial(t, p.addr)
	idle.says("version\r\n")
	idle.sees("VERSION ")
	p.signal(syscall.SIGTERM)
	p.logged(0, "stopping")
	eventually(t, "no new connections", func() bool { return refusesConnections(p.addr) })
	if rest, err := io.ReadAll(idle.r); err != nil { // closed, though the other is still under way
		t.Errorf("the idle connection: %q, %v", rest, err)
	}
	select {
	case <-p.Exited:
		t.Fatalf("it ended with a request under way:\n%s", p.Stderr.Tail())
	default:
	}
	if status, _ := p.http("GET", "/readyz"); status != 503 {
		t.Errorf("/readyz while stopping: %d, want 503", status)
	}
	b.answer <- "VALUE k 0 1\r\nv\r\nEND\r\n"
	b.answer <- "END\r\n"
	c.ends("VALUE k 0 1\r\nv\r\nEND\r\nEND\r\n") // both were sent before the signal
	p.exit(0)
}

// TestStopUnderLoad: everyone who was answered was answered right, and it does not take long.
func TestStopUnderLoad(t *testing.T) {
	_, urls := startLeaves(t, 1)
	p := startProxy(t, reloaded(urls, 0), "--drain", "20s")
	p.ready()
	l := &load{addr: p.addr, conns: 4, depth: 8, keys: 20}
	l.start(t)
	l.flow(t, 2_000)
	begin := time.Now()
	p.signal(syscall.SIGTERM)
	p.exit(0)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	eventually(t, "every connection has ended", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.faults) == l.conns })
	close(l.stop)
	l.done.Wait()
	for _, f := range l.faults { // closed by the proxy, and nothing else
		if !strings.HasPrefix(f, "connection lost ") {
			t.Error(f)
		}
	}
}

func TestSecondSignalCuts(t *testing.T) {
	p, _, c := startHeld(t, "--drain", "10m")
	p.signal(syscall.SIGTERM)
	p.logged(0, "stopping")
	p.signal(syscall.SIGTERM)
	p.exit(1)
	if got := p.Stderr.Text(); !strings.Contains(got, "tidepool: cannot finish what was under way") {
		t.Errorf("it ended without saying why:\n%s", p.Stderr.Tail())
	}
	if got, _ := io.ReadAll(c.r); len(got) > 0 {
		t.Errorf("the client got %q", got)
	}
}

func TestDrainHasAnEnd(t *testing.T) {
	p, _, _ := startHeld(t, "--drain", "100ms")
	begin := time.Now()
	p.signal(syscall.SIGTERM)
	p.exit(1)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v with --drain 100ms", took)
	}
}

func TestLeafStops(t *testing.T) {
	leaves, urls := startLeaves(t, 1)
	p := startProxy(t, reloaded(urls, 0))
	p.ready()
	c := dial(t, p.addr)
	c.says("set k 0 0 1\r\nv\r\n")
	c.sees("STORED\r\n")
	leaves[0].signal(syscall.SIGTERM)
	leaves[0].exit(0)
	c.says("get k\r\n")
	c.sees("SERVER_ERROR backend failure\r\n")
}

// TestRefusesToStart: at once, with one line on standard error that names the place, and a code that is not 0.
func TestRefusesToStart(t *testing.T) {
	busy := listen(t).Addr().String()
	good := write(t, "good.lua", `pool{ name = "default", backends = { "127.0.0.1:1" } } router{ router_type = "flat" }`)
	syntax := write(t, "syntax.lua", "-- one\n-- two\npool{ name = \n}\n")
	raises := write(t, "raises.lua", "\nfunction mcp_config_pools()\n  local x = nil\n  return x.y\nend\nfunction mcp_config_routes() end\n")
	field := write(t, "field.lua", "\n\npool{ name = 'a', backend = { '127.0.0.1:1' } }\n")
	free := []string{"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}
	f := func(want string, args ...string) {
		t.Helper()
		begin := time.Now()
		p := start(t, args...)
		p.exit(1)
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%v: it took %v to refuse", args, took)
		}
		all := strings.Split(p.Stderr.Text(), "\n")
		if last := all[len(all)-1]; !strings.HasPrefix(last, "tidepool: cannot ") || !strings.Contains(last, want) {
			t.Errorf("%v: ended with %q, want %q", args, last, want)
		}
	}
	for _, command := range [][]string{{"proxy"}, {"dev", "--leaf-port", "0"}} {
		with := func(args ...string) []string { return append(append([]string{}, command...), args...) }
		f("syntax.lua:4: ", append(with(syntax), free...)...)
		f("raises.lua:4: ", append(with(raises), free...)...)
		f("field.lua:3: pool: unknown field 'backend'", append(with(field), free...)...)
		f("no-such.lua", append(with("no-such.lua"), free...)...)
		f(busy, with(good, "--listen", busy, "--admin", "127.0.0.1:0")...)
		f("address already in use", with(good, "--listen", busy, "--admin", "127.0.0.1:0")...)
		f("address already in use", with(good, "--listen", "127.0.0.1:0", "--admin", busy)...)
		f("--insecure", with(good, "--listen", "0.0.0.0:0", "--admin", "127.0.0.1:0")...)
	}
	f("address already in use", "leaf", "--name", "leaf-1", "--listen", busy)
}

// TestTwoLeavesOfOneName would both execute one incr.
func TestTwoLeavesOfOneName(t *testing.T) {
	_, urls := startLeaves(t, 1)
	p := start(t, "leaf", "--name", "leaf-1", "--nats", urls[0])
	p.exit(1)
	if got := p.Stderr.Text(); !strings.Contains(got, "tidepool: cannot ") || !strings.Contains(got, "leaf-1") {
		t.Errorf("ended with %s", p.Stderr.Tail())
	}
}

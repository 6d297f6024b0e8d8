// Backends as configurations describe them: every option of mcp.backend, its setter, its default and its errors.

package engine

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// loaded gives the backends that mcp_config_pools makes, without connecting, or the error.
func loaded(t *testing.T, stage string, change ...func(*Options)) ([]pools.Held, error) {
	t.Helper()
	local, err := leaf.NewLocal(leaf.Options{Memory: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { local.Close() })
	o := Options{
		Files: []string{writeConfig(t, "function mcp_config_pools() "+stage+" end function mcp_config_routes() end")}, Workers: 4, Local: local,
		Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&o)
	}
	p, err := newProxy(o, true)
	if err != nil {
		t.Fatal(err)
	}
	defer p.loader.close()
	defer p.registry.Close()
	g, err := p.loader.load(1)
	if err != nil {
		return nil, err
	}
	held := p.registry.All()
	p.discard(g)
	return held, nil
}

// Every option, in the table and as a default, against what becomes of it.
func TestBackendOptions(t *testing.T) {
	const s = time.Second
	base := pools.Spec{
		Addr: pools.Address{Host: "h", Port: "11211"}, Label: "b", Connections: 1, ConnectTimeout: 5 * s, ReadTimeout: 3 * s, RetryWait: 3 * s,
		FailureLimit: 3, FlapRamp: 1.5, FlapMax: time.Hour,
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	f := func(setup, option, opts string, change func(*pools.Spec)) {
		t.Helper()
		want := base
		change(&want)
		held, err := loaded(t, setup+" mcp.pool({ mcp.backend{ label = 'b', host = 'h', port = 11211 "+option+" } }"+opts+")")
		if err != nil {
			t.Errorf("%s %s %s: %v", setup, option, opts, err)
		} else if len(held) != 1 || held[0].Spec != want {
			t.Errorf("%s %s %s:\n%+v, want\n%+v", setup, option, opts, held[0].Spec, want)
		}
	}
	same := func(*pools.Spec) {}
	f("", "", "", same)
	both := func(setter, option string, change func(*pools.Spec)) { // the setter, and the option over another setter's
		t.Helper()
		f("mcp."+setter, "", "", change)
		f("", ", "+option, "", change)
	}
	both("backend_connect_timeout(0.25)", "connecttimeout = 0.25", func(o *pools.Spec) { o.ConnectTimeout = s / 4 })
	both("backend_read_timeout(1.5)", "readtimeout = 1.5", func(o *pools.Spec) { o.ReadTimeout = 3 * s / 2 })
	both("backend_retry_waittime(7.6)", "retrywaittime = 7.6", func(o *pools.Spec) { o.RetryWait = 8 * s })
	both("backend_retry_timeout(0.1)", "retrytimeout = 0.1", func(o *pools.Spec) { o.RetryWait = s })
	both("backend_failure_limit(5)", "failurelimit = 5", func(o *pools.Spec) { o.FailureLimit = 5 })
	both("backend_failure_limit(0)", "failurelimit = 0", func(o *pools.Spec) { o.FailureLimit = backend.NoTolerance })
	both("backend_failure_limit('5')", "failurelimit = '0x5'", func(o *pools.Spec) { o.FailureLimit = 5 })
	both("backend_read_timeout('1.5')", "readtimeout = ' 1.5 '", func(o *pools.Spec) { o.ReadTimeout = 3 * s / 2 })
	f("mcp.backend_depth_limit('9') mcp.add_stat('1', 'a') mcp.stat_limit('2000') mcp.active_req_limit('0') mcp.buffer_memory_limit('0') mcp.luagc_ratio('2')", "", "",
		func(o *pools.Spec) { o.DepthLimit = 9 })
	both("backend_depth_limit(9)", "depthlimit = 9", func(o *pools.Spec) { o.DepthLimit = 9 })
	both("backend_flap_time(0.5)", "flaptime = 0.5", func(o *pools.Spec) { o.FlapTime = s / 2 })
	both("backend_flap_backoff_ramp(1)", "flapbackofframp = 1", func(o *pools.Spec) { o.FlapRamp = 1.1 })
	both("backend_flap_backoff_max(60)", "flapbackoffmax = 60", func(o *pools.Spec) { o.FlapMax = time.Minute })
	both("tcp_keepalive(true)", "tcpkeepalive = true", func(o *pools.Spec) { o.KeepAlive = true })
	both("backend_use_tls(true) mcp.init_tls()", "tls = mcp.init_tls() or true", func(o *pools.Spec) { o.TLS.On = true })
	f("mcp.init_tls() mcp.backend_use_tls(true) mcp.backend_read_timeout(9)", ", tls = false, readtimeout = 3", "", same)
	f("", ", connections = 8", "", func(o *pools.Spec) { o.Connections = 8 })
	f("", ", connections = '2'", "", func(o *pools.Spec) { o.Connections = 2 })
	f("", ", flush_on_return = true", "", func(o *pools.Spec) { o.FlushOnReturn = true })
	both("backend_use_multiget(false)", "multiget = false", func(o *pools.Spec) { o.Multiget = backend.MultigetNever })
	both("backend_use_multiget(true)", "multiget = true", func(o *pools.Spec) { o.Multiget = backend.MultigetAlways })
	f("", ", down = true", "", func(o *pools.Spec) { o.Down = true })
	f("", ", down = false, unheard_of = {}", "", same)
	f("mcp.luagc_ratio(1.1)", "", "", same)
	f("mcp.init_tls() mcp.init_tls()", ", tls = true, tls_verify = true, tls_name = 'n'", "", func(o *pools.Spec) {
		o.TLS = backend.TLS{On: true, Verify: true, Name: "n"}
	})

	// Who has connections of its own.
	perWorker := func(o *pools.Spec) { o.Workers = 4 }
	f("", "", ", { iothread = false }", perWorker)
	f("mcp.backend_use_iothread(false)", "", "", perWorker)
	f("mcp.backend_use_iothread(false)", "", ", { iothread = true }", same)
	f("mcp.backend_use_iothread(true)", "", ", { iothread = false, beprefix = 'p' }", func(o *pools.Spec) { o.Workers, o.Prefix = 4, "p" })

	log := func(table string, r backend.LogRule) {
		t.Helper()
		f("", ", log = "+table, "", func(o *pools.Spec) { o.Log = r })
	}
	log("{}", backend.LogRule{Rate: 1})
	log("{ tag = 't' }", backend.LogRule{Rate: 1, Tag: "t"})
	log("{ errors = false, deadline = 0, rate = 0 }", backend.LogRule{Rate: 1})
	log("{ errors = true }", backend.LogRule{Errors: true})
	log("{ deadline = 250, tag = 'slow' }", backend.LogRule{Deadline: 250 * time.Millisecond, Tag: "slow"})
	log("{ rate = 1000, errors = true, deadline = 5, tag = 'x' }", backend.LogRule{Rate: 1000, Errors: true, Deadline: 5 * time.Millisecond, Tag: "x"})

	bad := func(setup, option, want string) {
		t.Helper()
		_, err := loaded(t, setup+" mcp.pool({ mcp.backend{ label = 'b', host = 'h', port = 11211 "+option+" } })")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s %s: %v, want %q", setup, option, err, want)
		}
	}
	bad("", ", connections = 0", "backend connections argument must be >= 0")
	bad("", ", connections = 9", "backend connections argument must be <= 8")
	bad("", ", failurelimit = -1", "failurelimit must be >= 0")
	bad("", ", depthlimit = -1", "depthlimit must be >= 0")
	bad("", ", readtimeout = {}", "mcp.backend: readtimeout: want a number, got table")
	bad("mcp.backend_failure_limit('-1')", "", "backend_failure_limit must be >= 0")
	bad("mcp.backend_failure_limit('x')", "", "number expected, got string")
	bad("mcp.backend_failure_limit(-1)", "", "backend_failure_limit must be >= 0")
	bad("mcp.backend_depth_limit(-1)", "", "backend_depth_limit must be >= 0")
	bad("", ", tls = true", "TLS requested but not initialized: call mcp.init_tls()")
	bad("mcp.backend_use_tls(true)", "", "TLS requested but not initialized: call mcp.init_tls()")
	bad("mcp.backend_use_tls(1)", "", "boolean expected")
	bad("mcp.init_tls()", ", tls = true, tls_ca = '"+file+"'", "cannot read tls_ca: open "+file)
	bad("", ", tls_ca = 'x'", "tls_ca, tls_name, tls_verify, tls_cert and tls_key need tls = true")
	bad("", ", tls_name = ''", "mcp.backend: tls_name: want a string that is not empty")
	bad("", ", log = true", "backend log option must be a table")
	bad("", ", log = { deadline = -1 }", "backend log deadline must be >= 0")
	bad("", ", log = { rate = -1 }", "backend log sample rate must be >= 0")
	bad("", ", log = { rate = 'x' }", "mcp.backend: log: rate: want an integer, got x")
	bad("", ", log = { errors = 1 }", "mcp.backend: log: errors: want a boolean, got number")
	bad("mcp.backend('l', ('h'):rep(255), 1)", "", "backend name too long")
	bad("mcp.backend('l', 'h', 123456)", "", "backend port too long")
	bad("mcp.backend(('l'):rep(512), 'h', 1)", "", "backend label too long")
	bad("mcp.backend{ host = 'h', port = 1 }", "", "backend must have a label argument")
	bad("mcp.backend{ label = 'l', port = 1 }", "", "backend must have a host argument")
	bad("mcp.backend{ label = 'l', host = 'h' }", "", "backend must have a port argument")
}

// Addresses of every kind, and what has TLS or connections of its own by nature.
func TestBackendAddresses(t *testing.T) {
	f := func(be string, want pools.Address) {
		t.Helper()
		held, err := loaded(t, "mcp.backend_use_iothread(false) mcp.pool({ "+be+" })", func(o *Options) { o.Workers = 1 })
		if err != nil || len(held) != 1 || held[0].Spec.Addr != want || held[0].Spec.Workers != 0 {
			t.Errorf("%s: %+v, %v", be, held, err)
		}
	}
	f("mcp.backend('b', '10.0.0.1', 11211)", pools.Address{Host: "10.0.0.1", Port: "11211"})
	f("mcp.backend('b', 'cache.example', '11211')", pools.Address{Host: "cache.example", Port: "11211"})
	f("mcp.backend('b', '::1', 11211)", pools.Address{Host: "::1", Port: "11211"})
	f("mcp.backend('b', '[::1]', 11211)", pools.Address{Host: "::1", Port: "11211"})
	f("mcp.backend('b', 'unix:/run/m.sock', 0)", pools.Address{Path: "/run/m.sock"})
	f("mcp.backend{ label = '', host = 'h', port = 1 }", pools.Address{Host: "h", Port: "1"})
	f("mcp.backend{ address = 'memcached://[fe80::1]:1', label = 'x' }", pools.Address{Host: "fe80::1", Port: "1"})
}

// manyBackend is a memcached server that takes any number of connections: it answers every get with a miss and says which
// connection was asked.
type manyBackend struct {
	ln    net.Listener
	mu    sync.Mutex
	conns []net.Conn
	asked []int // by connection
}

func newManyBackend(t *testing.T) *manyBackend {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &manyBackend{ln: ln}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			n := len(b.conns)
			b.conns, b.asked = append(b.conns, c), append(b.asked, 0)
			b.mu.Unlock()
			wg.Go(func() { b.serve(n, c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		b.mu.Lock()
		for _, c := range b.conns {
			c.Close()
		}
		b.mu.Unlock()
		wg.Wait()
	})
	return b
}

func (b *manyBackend) serve(n int, c net.Conn) {
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		answer := "VERSION 1.0.0-mock\r\n"
		if line != "version\r\n" {
			b.mu.Lock()
			b.asked[n]++
			b.mu.Unlock()
			answer = "END\r\n"
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// counts are the connections there were, and those that were asked anything.
func (b *manyBackend) counts() (opened, asked int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.asked {
		if n > 0 {
			asked++
		}
	}
	return len(b.conns), asked
}

// up waits until a proxy's backends have so many connections that have greeted.
func up(t *testing.T, p *Proxy, want uint64) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		var opened uint64
		ready := true
		for _, h := range p.registry.All() {
			s := h.Backend.Status()
			opened += s.Opened
			ready = ready && s.Up
		}
		if ready && opened == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections, want %d", opened, want)
		}
	}
}

// Connections are made with the pool, as many as asked for each worker or for all; reloads leave them alone unless the backend changes.
func TestConnections(t *testing.T) {
	for _, c := range []struct {
		opts         string
		connections  int
		opened, used int
	}{
		{"{ iothread = false }", 1, 3, 3},
		{"{ iothread = false }", 2, 6, 3}, // the first idle one is taken each time, for all that a client pipelines
		{"{ iothread = true }", 1, 1, 1},
		{"{ iothread = true }", 4, 4, 1},
		{"nil", 2, 2, 1},
		{"memcached nil", 2, 6, 3}, // what stands in for memcached has its default
		{"memcached { iothread = true }", 1, 1, 1},
	} {
		t.Run(fmt.Sprintf("%s %d", c.opts, c.connections), func(t *testing.T) {
			opts, standsIn := strings.CutPrefix(c.opts, "memcached ")
			b := newManyBackend(t)
			const conf = `
function mcp_config_pools() return mcp.pool({ mcp.backend{ label = "b", host = "127.0.0.1", port = $1, connections = $2 } }, $3) end
function mcp_config_routes(p) mcp.attach(mcp.CMD_GET, function(r) return p(r) end) end`
			n := fmt.Sprint(c.connections)
			file := writeConfig(t, conf, port(b.ln.Addr().String()), n, opts)
			p := startProxy(t, file, func(o *Options) {
				if o.Workers = 3; standsIn {
					o.Memcached = &Memcached{}
				}
			})
			up(t, p, uint64(c.opened))
			ask := func() {
				for range 6 {
					cl := dial(t, p)
					cl.says("get a\r\n")
					cl.sees("END\r\n")
					cl.says("get b\r\nget c\r\n")
					cl.sees("END\r\nEND\r\n")
				}
			}
			ask()
			if _, used := b.counts(); used != c.used {
				t.Errorf("%d connections used, want %d", used, c.used)
			}
			if _, err := p.Reload(); err != nil {
				t.Fatal(err)
			}
			ask()
			if opened, _ := b.counts(); opened != c.opened {
				t.Errorf("%d connections after a reload, want %d", opened, c.opened)
			}
			rewrite(t, file, strings.Replace(conf, "port = $1", "port = $1, readtimeout = 9", 1), port(b.ln.Addr().String()), n, opts)
			if _, err := p.Reload(); err != nil {
				t.Fatal(err)
			}
			ask()
			opened, _ := b.counts()
			if opened < c.opened+1 {
				t.Errorf("%d connections after the backend changed, want more than %d", opened, c.opened)
			}
			cl := dial(t, p)
			cl.says("stats\r\n")
			if got := cl.lines()["proxy_backend_failed"]; got != "0" {
				t.Errorf("proxy_backend_failed %s", got)
			}
		})
	}
}

// The limit is by connection, lets one more than its number through, and is counted.
func TestDepthLimitIsCounted(t *testing.T) {
	b := newFakeBackend(t)
	p := startProxy(t, writeConfig(t, `
function mcp_config_pools() mcp.backend_depth_limit(3) return mcp.pool({ mcp.backend("b", "127.0.0.1", "$1") }) end
function mcp_config_routes(p) mcp.attach(mcp.CMD_MG, function(r) return p(r) end) end`, port(b.addr())))
	c, other := dial(t, p), dial(t, p)
	c.says(strings.Repeat("mg foo s t v\r\n", 4))
	b.sees(strings.Repeat("mg foo s t v\r\n", 4))
	other.says("mg foo s t v\r\n")
	other.sees(lineBackendFailure)
	other.says("stats\r\n")
	if got := other.lines()["proxy_request_failed_depth"]; got != "1" {
		t.Errorf("proxy_request_failed_depth %s", got)
	}
	b.says(strings.Repeat("EN\r\n", 4))
	c.sees(strings.Repeat("EN\r\n", 4))
	other.says("mg foo s t v\r\n")
	b.sees("mg foo s t v\r\n")
	b.says("EN\r\n")
	other.sees("EN\r\n")
}

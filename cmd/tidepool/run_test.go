// dev, proxy and leaf as processes: how they start, reload, stop, and refuse to start.

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/peer"
)

// TestDev does what the banner says.
func TestDev(t *testing.T) {
	peer.Need(t, "curl")
	p := start(t, "dev", "--leaf-port", "0", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--memory", "8MiB")
	p.Stdout.Find(0, patience, "Ctrl-C stops.")
	banner := p.Stdout.Text()

	for _, want := range []string{"clients  127.0.0.1:", "leaves   leaf-1 nats://127.0.0.1:", "leaf-3 nats://127.0.0.1:", "admin    http://127.0.0.1:", ", 8MiB"} {
		if !strings.Contains(banner, want) {
			t.Errorf("the banner lacks %q:\n%s", want, banner)
		}
	}
	// The three commands, in order; curl stands in for nc where the banner says that it may.
	nc := regexp.MustCompile(`nc (\S+) (\d+)$`)
	var tries []string
	_, list, _ := strings.Cut(banner, "Three things to try:")
	for _, line := range strings.Split(list, "\n") {
		if strings.HasPrefix(line, "     ") {
			tries = append(tries, nc.ReplaceAllString(strings.TrimSpace(line), "curl -s telnet://$1:$2"))
		}
	}
	if len(tries) != 3 {
		t.Fatalf("%d things to try, want 3:\n%s", len(tries), banner)
	}
	if got := bash(t, tries[0]); got != "STORED\r\nVALUE /foo/hello 0 5\r\nworld\r\nEND\r\n" {
		t.Errorf("%s: %q", tries[0], got)
	}
	if got := bash(t, tries[1]); got != "{\"generation\":2}\n" {
		t.Errorf("%s: %q", tries[1], got)
	}
	from := p.Stderr.Count()
	bash(t, regexp.MustCompile(`kill -HUP \d+`).FindString(banner))
	p.logged(from, "configuration loaded", `"generation":3`)
	config := bash(t, tries[2])
	for _, want := range []string{`"generation": 3`, `"up": true`, "simple.lua"} {
		if !strings.Contains(config, want) {
			t.Errorf("%s lacks %s:\n%s", tries[2], want, config)
		}
	}
	admin := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(banner)
	metrics := get(t, admin+"/metrics")
	for _, want := range []string{`tidepool_leaf_items{leaf="leaf-1"}`, `tidepool_leaf_frames_total{leaf="leaf-2"}`, `tidepool_leaf_bytes{leaf="local"}`, "tidepool_generation 3"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if got := get(t, admin+"/readyz?pools=1"); got != "ok\n" {
		t.Errorf("/readyz?pools=1: %q", got)
	}
	file := regexp.MustCompile(`config   (\S+)`).FindStringSubmatch(banner)[1]
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	p.signal(syscall.SIGTERM)
	p.exit(0)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", file, err)
	}
}

func TestLeaf(t *testing.T) {
	p := start(t, "leaf", "--name", "leaf-7", "--listen", "127.0.0.1:0", "--memory", "8MiB", "--admin", "127.0.0.1:0")
	f := p.logged(0, "leaf ready")
	url, admin := f["url"].(string), "http://"+f["admin"].(string)
	_, addr, _ := startProxy(t, fmt.Sprintf(`pool{ name = "default", backends = { %q } } router{ router_type = "flat" }`, url))
	if got := talk(t, addr, "set k 0 0 1\r\nv\r\n", 1); got != "STORED\r\n" {
		t.Errorf("set: %q", got)
	}
	metrics := get(t, admin+"/metrics")
	for _, want := range []string{`tidepool_leaf_items{leaf="leaf-7"} 1`, `tidepool_leaf_limit_bytes{leaf="leaf-7"} 8.388608e+06`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if got := get(t, admin+"/config"); !strings.Contains(got, `"name": "leaf-7"`) {
		t.Errorf("/config: %q", got)
	}
	p.signal(syscall.SIGHUP)
	p.logged(0, "nothing to reload here")
	p.signal(syscall.SIGINT)
	p.exit(0)
}

// talk sends to a client address and gives n lines of what comes back.
func talk(t *testing.T, addr, send string, n int) (got string) {
	t.Helper()
	c := dial(t, addr)
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte(send)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for range n {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		got += line
	}
	return got
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRefusesToStart: one line on standard error after the log, and exit code 1.
func TestRefusesToStart(t *testing.T) {
	busy := listen(t)
	good := write(t, "good.lua", `pool{ name = "default", backends = { "127.0.0.1:1" } } router{ router_type = "flat" }`)
	bad := write(t, "bad.lua", "local x = 1\nlocal = 2\n")
	f := func(want string, args ...string) {
		t.Helper()
		p := start(t, args...)
		p.exit(1)
		all := strings.Split(p.Stderr.Text(), "\n")
		last := all[len(all)-1]
		if !strings.HasPrefix(last, "tidepool: cannot ") || !strings.Contains(last, want) {
			t.Errorf("%q: ended with %q, want %q", args, last, want)
		}
		if p.Stdout.Text() != "" {
			t.Errorf("%q: printed %q", args, p.Stdout.Text())
		}
	}
	f("bad.lua:2: ", "proxy", bad, "--listen", "127.0.0.1:0", "--admin", "none")
	f("bad.lua:2: ", "dev", bad, "--listen", "127.0.0.1:0", "--admin", "none", "--leaf-port", "0")
	f("no-such.lua", "proxy", "no-such.lua", "--listen", "127.0.0.1:0", "--admin", "none")
	f("address already in use", "proxy", good, "--listen", busy.Addr().String(), "--admin", "none")
	f("address already in use", "proxy", good, "--listen", "127.0.0.1:0", "--admin", busy.Addr().String())
	f("address already in use", "dev", good, "--listen", busy.Addr().String(), "--admin", "none", "--leaf-port", "0")
	f("address already in use", "leaf", "--name", "leaf-1", "--listen", busy.Addr().String())
	f("address already in use", "leaf", "--name", "leaf-1", "--listen", "127.0.0.1:0", "--admin", busy.Addr().String())
	f("no-such-token", "leaf", "--name", "leaf-1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--admin-token", "@no-such-token")
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// held is a proxy with a request under way: its backend has it and answers when told to.
type held struct {
	*process
	client net.Conn
	answer chan string
}

// hold starts one. What the backend is told to answer goes to the client.
func hold(t *testing.T, args ...string) *held {
	t.Helper()
	backend := listen(t)
	h := &held{answer: make(chan string, 1)}
	asked := make(chan struct{})
	go func() {
		for {
			c, err := backend.Accept()
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
					case strings.HasPrefix(line, "get "):
						close(asked)
						fmt.Fprint(c, <-h.answer)
					case strings.HasPrefix(line, "version"): // a greeting
						fmt.Fprint(c, "VERSION 1.6.18\r\n")
					case strings.HasPrefix(line, "mn"):
						fmt.Fprint(c, "MN\r\n")
					}
				}
			}()
		}
	}()
	config := fmt.Sprintf(`pool{ name = "default", backends = { %q } } router{ router_type = "flat" }`, backend.Addr())
	var addr string
	h.process, addr, _ = startProxy(t, config, args...)
	h.client = dial(t, addr)
	t.Cleanup(func() { _ = h.client.Close() })
	if _, err := fmt.Fprint(h.client, "get k\r\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	return h
}

func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	h := hold(t)
	h.signal(syscall.SIGTERM)
	h.logged(0, "stopping")
	const answer = "VALUE k 0 1\r\nv\r\nEND\r\n"
	h.answer <- answer
	got := make([]byte, len(answer))
	if n, err := readFull(h.client, got); err != nil || string(got) != answer {
		t.Errorf("the request under way got %q, %v", got[:n], err)
	}
	h.exit(0)
}

func readFull(c net.Conn, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = c.Read(b[n:])
		n += m
	}
	return n, err
}

// What memcached clients of a leaf have begun to say when it is told to stop is answered by its items.
func TestLeafStopAnswersItsClients(t *testing.T) {
	p := start(t, "leaf", "--name", "leaf-7", "--listen", "127.0.0.1:0", "--memcached", "127.0.0.1:0", "--memory", "8MiB")
	c := dial(t, p.logged(0, "leaf ready")["memcached"].(string))
	defer c.Close()
	says := func(what, want string) {
		t.Helper()
		if _, err := fmt.Fprint(c, what); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if n, err := readFull(c, got); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", what, got[:n], err)
		}
	}
	says("set k 0 0 1\r\nv\r\nget k", "STORED\r\n")
	p.signal(syscall.SIGTERM)
	p.logged(0, "stopping")
	time.Sleep(200 * time.Millisecond) // proxies, of which there are none, are done with long before
	says("\r\n", "VALUE k 0 1\r\nv\r\nEND\r\n")
	p.exit(0)
}

func TestSecondSignalCuts(t *testing.T) {
	h := hold(t)
	h.signal(syscall.SIGTERM)
	h.logged(0, "stopping")
	h.signal(syscall.SIGTERM)
	h.exit(1)
	if got := h.Stderr.Text(); !strings.HasSuffix(got, "tidepool: "+errCut.Error()) {
		t.Errorf("ended with %q", got)
	}
}

// A log whose reader has ended costs the log, not the process.
func TestLogReaderEnds(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "leaf", "--name", "a", "--listen", "127.0.0.1:0", "--log-format", "json")
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	w.Close()
	for in := bufio.NewScanner(r); in.Scan() && !strings.Contains(in.Text(), `"leaf ready"`); {
	}
	r.Close()

	cmd.Process.Signal(syscall.SIGTERM) // which it logs
	if err := cmd.Wait(); err != nil {
		t.Errorf("the leaf whose log nobody reads ended by %v", err)
	}
}

func TestDrainEnds(t *testing.T) {
	h := hold(t, "--drain", "50ms")
	h.signal(syscall.SIGTERM)
	h.exit(1)
	if got := h.Stderr.Text(); !strings.Contains(got, "\ntidepool: cannot finish ") {
		t.Errorf("ended with %q", got)
	}
}

// TestReload: by signal and by HTTP; a file with a mistake changes nothing and is told by its place.
func TestReload(t *testing.T) {
	const words = `pool{ name = %q, backends = { "127.0.0.1:1" } } router{ router_type = "flat", default_pool = %[1]q }`
	p, _, admin := startProxy(t, fmt.Sprintf(words, "one"))
	file := p.Cmd.Args[2]
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(fmt.Sprintf(words, "two"))
	from := p.Stderr.Count()
	p.signal(syscall.SIGHUP)
	p.logged(from, "configuration loaded", `"generation":2`)
	if got := get(t, "http://"+admin+"/config"); !strings.Contains(got, `"name": "two"`) {
		t.Errorf("/config: %s", got)
	}
	put("pool{ name =\n}")
	from = p.Stderr.Count()
	p.signal(syscall.SIGHUP)
	p.logged(from, "cannot load configuration", "routes.lua:2: ")
	status, body := post(t, "http://"+admin+"/reload")
	if status != 422 || !strings.Contains(body, "routes.lua:2: ") {
		t.Errorf("POST /reload: %d %q", status, body)
	}
	if got := get(t, "http://"+admin+"/config"); !strings.Contains(got, `"generation": 2`) || !strings.Contains(got, `"name": "two"`) {
		t.Errorf("/config after the mistake: %s", got)
	}
	put(fmt.Sprintf(words, "three"))
	if status, body := post(t, "http://"+admin+"/reload"); status != 200 || body != "{\"generation\":3}\n" {
		t.Errorf("POST /reload: %d %q", status, body)
	}
}

// TestProxySettings: stats settings tells what the proxy does, not what its store would do by itself.
func TestProxySettings(t *testing.T) {
	config := `function mcp_config_pools() return true end
function mcp_config_routes() mcp.attach(mcp.CMD_GET, function(r) return "END\r\n" end, "b") end`
	f := func(listener, arg, flush, want string) {
		t.Helper()
		args := []string{"--workers", "3", "--max-conns", "77"}
		if arg != "" {
			args = append(args, arg)
		}
		p := start(t, append([]string{"proxy", write(t, "routes.lua", config), "--listen", listener + "127.0.0.1:0", "--admin", "none"}, args...)...)
		addr := strings.TrimPrefix(p.logged(0, "proxy serves")["addrs"].([]any)[0].(string), listener)
		kind := dial(t, addr)
		c := &conversation{t, kind, bufio.NewReader(kind)}
		c.talk("flush_all|mn", flush+"|MN")
		got := c.stats("settings")
		for name, want := range map[string]string{"flush_enabled": want, "num_threads": "3", "proxy_workers": "3", "maxconns": "77"} {
			if got[name] != want {
				t.Errorf("%s %s: settings: %s %q, want %q", listener, arg, name, got[name], want)
			}
		}
	}
	f("", "", "OK", "yes")
	f("tag_b_:", "", "SERVER_ERROR not allowed", "no")
	f("tag_b_:", "--allow-flush", "OK", "yes")
}

func post(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Post(url, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

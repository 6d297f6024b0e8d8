// A configuration in etcd, put by one command, run by proxies, and what they show of it. The etcd is a real one.

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/engine/topo/etcd"
	"github.com/tidepool-proxy/tidepool/tests/etcdpeer"
)

// answering is a configuration whose gets are all answered by word.
func answering(word string) string {
	return fmt.Sprintf(`function mcp_config_pools() return true end
function mcp_config_routes()
    mcp.attach(mcp.CMD_GET, function(r) return "VALUE k 0 %d\r\n%s\r\nEND\r\n" end)
end
`, len(word), word)
}

const config = "etcd:///tidepool/config"

// etcdProxy runs a proxy with its configuration in etcd; it may not be ready yet.
func etcdProxy(t *testing.T, c *etcdpeer.Cluster, args ...string) *process {
	t.Helper()
	return start(t, append([]string{"proxy", config, "--etcd", c.Endpoints()[0], "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)...)
}

// serves waits until a proxy does, and gives its addresses.
func (p *process) serves() (addr, admin string) {
	p.t.Helper()
	f := p.logged(0, "proxy serves")
	return f["addrs"].([]any)[0].(string), "http://" + f["admin"].(string)
}

// tide runs a command that ends, and gives its exit code and what it said.
func tide(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	c := exec.Command(binary, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// putText puts a configuration through the command, and wants it taken.
func putText(t *testing.T, c *etcdpeer.Cluster, text string, args ...string) string {
	t.Helper()
	code, out, errs := tide(t, append([]string{"config", "put", write(t, "routes.lua", text), "--etcd", c.Endpoints()[0]}, args...)...)
	if code != 0 {
		t.Fatalf("config put: %d\n%s", code, errs)
	}
	return out
}

// meddle puts what no command would.
func meddle(t *testing.T, c *etcdpeer.Cluster, text string) {
	t.Helper()
	src := asker(t, c)
	if _, err := src.PutConfig(t.Context(), text, etcd.AnyRevision); err != nil {
		t.Fatal(err)
	}
}

// asker is a source of the test's own.
func asker(t *testing.T, c *etcdpeer.Cluster) *etcd.Source {
	t.Helper()
	src, err := etcd.New(etcd.Options{Endpoints: c.Endpoints(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

func (p *process) answers(addr, word string) {
	p.t.Helper()
	if got := talk(p.t, addr, "get k\r\n", 3); got != fmt.Sprintf("VALUE k 0 %d\r\n%s\r\nEND\r\n", len(word), word) {
		p.t.Errorf("get: %q, want %q", got, word)
	}
}

// origin is what /config says of the source.
func origin(t *testing.T, admin string) engine.Origin {
	t.Helper()
	var v engine.ConfigView
	if err := json.Unmarshal([]byte(get(t, admin+"/config")), &v); err != nil || v.Source == nil {
		t.Fatalf("/config: %v, source %v", err, v.Source)
	}
	return *v.Source
}

// TestConfigInEtcd: one that is put is loaded by a proxy that waited for it, then the next; a bad one is refused by the command and, where it got
// there all the same, by the proxy.
func TestConfigInEtcd(t *testing.T) {
	c := etcdpeer.Start(t, 1)
	with := func(args ...string) []string { return append(args, "--etcd", c.Endpoints()[0]) }
	if code, _, errs := tide(t, with("config", "get")...); code != 1 || !strings.Contains(errs, "there is none in etcd at /tidepool/config") {
		t.Errorf("config get: %d %q", code, errs)
	}
	p := etcdProxy(t, c, "--name", "edge")
	p.logged(0, "there is no configuration in etcd: it is waited for")
	one := answering("one")
	if got, want := putText(t, c, one), "generation 1, digest "+etcd.Digest(one)+"\n"; got != want {
		t.Errorf("config put says %q, want %q", got, want)
	}
	addr, admin := p.serves()
	p.answers(addr, "one")

	from := p.Stderr.Count()
	putText(t, c, answering("two"), "--after", "1")
	p.logged(from, "configuration loaded", `"generation":2`)
	p.answers(addr, "two")
	o := origin(t, admin)
	if o.Generation != 2 || o.Newest != 2 || o.Revision == 0 || o.Digest != etcd.Digest(answering("two")) || o.Refused != "" || o.Stale ||
		!strings.HasSuffix(o.Source, " /tidepool/config") {
		t.Errorf("/config: %+v", o)
	}
	if code, out, _ := tide(t, with("config", "get")...); code != 0 || out != answering("two") {
		t.Errorf("config get: %d %q", code, out)
	}
	if code, out, errs := tide(t, with("status", "--check", "--wait", "20s")...); code != 0 || !strings.Contains(out, "edge-") {
		t.Errorf("status --check: %d\n%s%s", code, out, errs)
	}

	// The command refuses, and nothing changes.
	refuse := func(text, want string, args ...string) {
		t.Helper()
		args = append([]string{"config", "put", write(t, "routes.lua", text), "--etcd", c.Endpoints()[0]}, args...)
		if code, out, errs := tide(t, args...); code != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%q: %d %q %q, want %q", args, code, out, errs, want)
		}
	}
	refuse("local x = 1\nlocal = 2\n", "routes.lua:2: ")
	refuse("require('mine')\n", "module 'mine' not found")
	refuse("dofile('/etc/hostname')\n", "A configuration from etcd reads no files")
	refuse("assert(io.open('/etc/hostname'))\n", "A configuration from etcd reads no files")
	refuse(answering("three"), "etcd holds generation 2, not 1", "--after", "1")

	// Somebody puts it by other means: it is refused where it would run.
	from = p.Stderr.Count()
	meddle(t, c, "local x = 1\nlocal = 2\n")
	p.logged(from, "cannot load configuration", "/tidepool/config:2: ")
	p.answers(addr, "two")
	if o := origin(t, admin); o.Generation != 2 || o.Newest != 3 || !strings.Contains(o.Refused, "/tidepool/config:2: ") {
		t.Errorf("/config: %+v", o)
	}
	metrics := get(t, admin+"/metrics")
	for _, want := range []string{`tidepool_reloads_total{result="error"} 1`, "tidepool_config_generation 2", "tidepool_config_newest 3"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	code, out, _ := tide(t, with("status", "--check", "--wait", "10ms")...)
	if code != 1 || !strings.Contains(out, "LAGS") || !strings.Contains(out, "/tidepool/config:2: ") {
		t.Errorf("status --check: %d\n%s", code, out)
	}
	from = p.Stderr.Count()
	p.signal(syscall.SIGHUP)
	p.logged(from, "cannot load configuration", "/tidepool/config:2: ")

	putText(t, c, answering("four"), "--force")
	if code, out, errs := tide(t, with("status", "--check", "--wait", "20s")...); code != 0 {
		t.Errorf("status --check: %d\n%s%s", code, out, errs)
	}
	p.answers(addr, "four")
	p.signal(syscall.SIGTERM)
	p.exit(0)
	if code, out, _ := tide(t, with("status", "--check")...); code != 1 || !strings.Contains(out, "there is no proxy") {
		t.Errorf("status --check without a proxy: %d\n%s", code, out)
	}
}

// TestLastGoodConfig: a proxy that is started while etcd is away, or holds a bad configuration, or has lost it, serves by the last that was good.
func TestLastGoodConfig(t *testing.T) {
	c := etcdpeer.Start(t, 1)
	state := filepath.Join(t.TempDir(), "state")
	good := answering("good")
	putText(t, c, good)
	begin := func(stale bool, generation int64) {
		t.Helper()
		p := etcdProxy(t, c, "--state-dir", state)
		addr, admin := p.serves()
		p.answers(addr, "good")
		if o := origin(t, admin); o.Stale != stale || o.Generation != 1 || o.Newest != generation || o.Digest != etcd.Digest(good) {
			t.Errorf("/config: %+v, want stale %v, newest %d", o, stale, generation)
		}
		p.signal(syscall.SIGTERM)
		p.exit(0)
	}
	begin(false, 1)
	if files, _ := filepath.Glob(filepath.Join(state, "config.json")); len(files) != 1 {
		t.Fatal("nothing is kept")
	}
	meddle(t, c, "nonsense(")
	begin(true, 2)

	c.Members[0].Kill()
	begin(true, 0)
	p := etcdProxy(t, c, "--config-wait", "800ms")
	p.exit(1)
	if last := p.Stderr.Tail(); !strings.Contains(last, "and none is kept on disk: cannot ask etcd "+c.Endpoints()[0]+": ") {
		t.Errorf("ended with %s", last)
	}
	c.Wipe()
	c.Restart()
	begin(true, 0)
	p = etcdProxy(t, c, "--config-wait", "800ms")
	p.exit(1)
	if last := p.Stderr.Tail(); !strings.Contains(last, "there is no configuration in etcd at /tidepool/config, and none came within 800ms") {
		t.Errorf("ended with %s", last)
	}
	p = etcdProxy(t, c)
	p.logged(0, "there is no configuration in etcd: it is waited for")
	p.signal(syscall.SIGTERM)
	p.exit(1)
	meddle(t, c, "nonsense(") // nothing is kept, and this does not load
	p = etcdProxy(t, c)
	p.exit(1)
	if last := p.Stderr.Tail(); !strings.Contains(last, "/tidepool/config:1: ") {
		t.Errorf("ended with %s", last)
	}
}

// TestStatus: proxies, leaves and pools, as text and as JSON.
func TestStatus(t *testing.T) {
	c := etcdpeer.Start(t, 1)
	src := asker(t, c)
	for _, name := range []string{"leaf-1", "leaf-2"} {
		m := topo.Member{Name: name, Addr: "nats://someone:s3cret@127.0.0.1:1/" + name, Zone: "a", Weight: 2, Memory: 64 << 20, Version: "v1"}
		if _, err := src.Register("users", m); err != nil {
			t.Fatal(err)
		}
	}
	const discovering = `function mcp_config_pools()
    mcp.register_cron("job", { every = 60, once = true, func = function() end })
    return mcp.discover("users")
end
function mcp_config_routes(users) mcp.attach(mcp.CMD_ANY_STORAGE, users) end
`
	putText(t, c, discovering)
	p := etcdProxy(t, c)
	_, admin := p.serves()
	q := start(t, "proxy", write(t, "routes.lua", discovering), "--etcd", c.Endpoints()[0], "--listen", "127.0.0.1:0", "--admin", "none", "--name", "lone")
	q.logged(0, "proxy serves")
	code, out, errs := tide(t, "status", "--etcd", c.Endpoints()[0], "--check", "--wait", "20s", "--json")
	if code != 0 || strings.Contains(out, "s3cret") {
		t.Fatalf("status: %d\n%s%s", code, out, errs)
	}
	var r statusReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Proxies) != 2 || len(r.Leaves) != 2 || len(r.Pools) != 1 || len(r.Problems) != 0 || r.Configs["config"].Generation != 1 {
		t.Fatalf("status: %s", out)
	}
	leaders := 0
	for _, s := range r.Proxies {
		for _, what := range s.Leads {
			if strings.HasPrefix(what, "crons") {
				leaders++
			}
		}
		if s.Applied["users"] != r.Pools[0].Epoch || s.Version != testVersion || s.Digest != etcd.Digest(discovering) {
			t.Errorf("proxy: %+v", s)
		}
		if file := strings.HasPrefix(s.ID, "lone-"); file != (s.Config == "") || !file && "http://"+s.Admin != admin {
			t.Errorf("proxy: %+v", s)
		}
	}
	if leaders != 2 { // of those with the configuration in etcd, and of those with files
		t.Errorf("%d lead crons, want 2", leaders)
	}
	q.Kill()
	_, out, _ = tide(t, "status", "--etcd", c.Endpoints()[0])
	for _, want := range []string{"/tidepool/config  1 ", "config 1 ", "files ", "leaf-1 leaf-2", "2       64MiB   v1       nats://***@127.0.0.1:1/leaf-1  ready"} {
		if !strings.Contains(out, want) {
			t.Errorf("status lacks %q:\n%s", want, out)
		}
	}
	if code, _, errs := tide(t, "status", "--etcd", "127.0.0.1:1"); code != 1 || !strings.Contains(errs, "tidepool: cannot ask etcd 127.0.0.1:1: ") {
		t.Errorf("status without etcd: %d %q", code, errs)
	}
}

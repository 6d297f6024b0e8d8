// The admin face of a running proxy and of a leaf.

package system_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// wantMetrics are the names that dashboards rely on, with their labels.
var wantMetrics = map[string]string{
	"tidepool_requests_total":                   "cmd result",
	"tidepool_route_seconds":                    "route",
	"tidepool_backend_seconds":                  "backend pool",
	"tidepool_backend_up":                       "backend pool",
	"tidepool_reloads_total":                    "result",
	"tidepool_generation":                       "",
	"tidepool_backend_connections_opened_total": "backend pool",
	"tidepool_script_errors_total":              "",
	"tidepool_requests_in_flight":               "",
	"tidepool_requests_refused_total":           "",
	"tidepool_user_total":                       "name",
	"tidepool_connections_total":                "listener",
	"tidepool_connections_open":                 "listener",
	"tidepool_connections_rejected_total":       "listener",
	"tidepool_connections_closed_total":         "reason",
	"tidepool_accept_errors_total":              "listener",
	"tidepool_buffer_refused_total":             "",
	"tidepool_read_bytes_total":                 "listener",
	"tidepool_written_bytes_total":              "listener",
	"tidepool_buffered_bytes":                   "",
	"tidepool_leaf_items":                       "leaf", // of the proxy's own store
	"tidepool_leaf_bytes":                       "leaf",
	"tidepool_leaf_hits_total":                  "leaf",
	"tidepool_leaf_misses_total":                "leaf",
	"tidepool_leaf_evictions_total":             "leaf",
	"go_goroutines":                             "",
	"process_resident_memory_bytes":             "",
}

func labels(m *dto.Metric) string {
	var names []string
	for _, l := range m.Label {
		names = append(names, l.GetName())
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// value finds one series by all of its label values.
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, want ...string) float64 {
	t.Helper()
	for _, m := range families[name].GetMetric() {
		var got []string
		for _, l := range m.Label {
			got = append(got, l.GetValue())
		}
		slices.Sort(got)
		slices.Sort(want)
		if slices.Equal(got, want) {
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	t.Errorf("/metrics has no %s of %q", name, want)
	return -1
}

func TestAdminMetrics(t *testing.T) {
	_, urls := startLeaves(t, 1)
	p := startProxy(t, fmt.Sprintf(`
function mcp_config_pools()
    mcp.add_stat(1, "asked")
    return mcp.pool({ mcp.backend{ label = "one", address = %q } }, { name = "main" })
end
function mcp_config_routes(pool)
    mcp.attach(mcp.CMD_GET, function(r) mcp.stat(1, 1) return pool(r) end)
    mcp.attach(mcp.CMD_SET, pool)
    mcp.attach(mcp.CMD_MG, function(r) error("oh") end)
end
`, urls[0]))
	p.ready()
	c := dial(t, p.addr)
	c.says("set a 0 0 1\r\nx\r\nget a\r\nget none\r\nget a none a\r\nmg a v\r\nadd local 0 0 1\r\ny\r\n")
	c.sees("STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\nEND\r\nVALUE a 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\nSERVER_ERROR lua failure\r\nSTORED\r\n")

	families := p.metrics()
	for name, want := range wantMetrics {
		f := families[name]
		if len(f.GetMetric()) == 0 {
			t.Errorf("/metrics has no %s", name)
			continue
		}
		if got := labels(f.Metric[0]); got != want {
			t.Errorf("%s has labels %q, want %q", name, got, want)
		}
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
	}
	if got := value(t, families, "tidepool_requests_total", "get", "hit"); got != 3 {
		t.Errorf("%v gets hit, want 3", got)
	}
	if got := value(t, families, "tidepool_requests_total", "get", "miss"); got != 2 {
		t.Errorf("%v gets missed, want 2", got)
	}
	for name, d := range map[string]struct {
		want   float64
		labels []string
	}{
		"tidepool_user_total":          {5, []string{"asked"}},
		"tidepool_backend_seconds":     {6, []string{"main", "one"}},
		"tidepool_backend_up":          {1, []string{"main", "one"}},
		"tidepool_script_errors_total": {1, nil},
		"tidepool_generation":          {1, nil},
		"tidepool_reloads_total":       {1, []string{"ok"}},
		"tidepool_leaf_items":          {1, []string{"local"}},
	} {
		if got := value(t, families, name, d.labels...); got != d.want {
			t.Errorf("%s%q is %v, want %v", name, d.labels, got, d.want)
		}
	}
	routes := 0.0
	for _, m := range families["tidepool_route_seconds"].GetMetric() {
		routes += float64(m.GetHistogram().GetSampleCount())
	}
	if routes != 7 {
		t.Errorf("tidepool_route_seconds has %v observations, want 7", routes)
	}
	p.logged(0, "route failed", "routes.lua:9", "traceback")
}

func TestAdminHealth(t *testing.T) {
	p := startProxy(t, fmt.Sprintf(`pool{ name = "default", backends = { "127.0.0.1:%s" } } router{ router_type = "flat" }`, freePort(t)))
	f := func(page string, status int, want string) {
		t.Helper()
		if got, body := p.http("GET", page); got != status || !strings.Contains(body, want) {
			t.Errorf("GET %s: %d %q, want %d %q", page, got, body, status, want)
		}
	}
	f("/livez", 200, "ok")
	f("/readyz", 200, "ok")
	c := dial(t, p.addr)
	for range 10 { // until it is marked bad
		if got := c.hears("get k"); got != "SERVER_ERROR backend failure" {
			t.Errorf("get over a backend that is not there: %q", got)
		}
	}
	eventually(t, "the backend is marked bad", func() bool { status, _ := p.http("GET", "/readyz?pools=1"); return status == 503 })
	f("/readyz?pools=1", 503, `pool "default" has no backend that is up`)
	f("/readyz", 200, "ok")
	if got := c.hears("stats proxybe"); !strings.Contains(got, "STAT bad_") {
		t.Errorf("stats proxybe: %q", got)
	}
	if status, _ := p.http("GET", "/reload"); status != 405 {
		t.Errorf("GET /reload: %d, want 405", status)
	}
}

// TestConfigIsRedacted: nothing that admin, the log or the client's stats show has the password of a leaf.
func TestConfigIsRedacted(t *testing.T) {
	const secret = "s3cr3t-word"
	addr := "127.0.0.1:" + freePort(t)
	p := startProxy(t, fmt.Sprintf(`
pool{ name = "default", backends = { "nats://someone:%s@%s", "nats://someone:%[1]s@%[2]s/leaf-x" } }
router{ router_type = "flat" }`, secret, addr))
	c := dial(t, p.addr)
	for i := range 20 {
		c.says(fmt.Sprintf("get %d\r\n", i))
		c.sees("SERVER_ERROR backend failure\r\n")
	}
	c.says("stats\r\nstats proxybe\r\nstats proxy\r\nquit\r\n")
	stats, err := io.ReadAll(c.r)
	if err != nil {
		t.Fatal(err)
	}
	config := p.get("/config")
	var view struct {
		Generation int
		Files      []struct{ Path string }
		Listeners  []string
		Pools      []struct {
			Name     string
			Backends []struct{ Name, Addr string }
		}
		Routes map[string][]string
	}
	if err := json.Unmarshal([]byte(config), &view); err != nil {
		t.Fatal(err)
	}
	if view.Generation != 1 || len(view.Files) == 0 || view.Files[len(view.Files)-1].Path != p.file || len(view.Listeners) != 1 ||
		len(view.Pools) != 1 || len(view.Pools[0].Backends) != 2 || len(view.Routes[""]) == 0 {
		t.Errorf("/config lacks something: %s", config)
	}
	if !strings.Contains(config, addr) {
		t.Errorf("/config does not name the leaf's address: %s", config)
	}
	// A reload that fails on such an address, too.
	p.put(fmt.Sprintf(`pool{ name = "default", backends = { "nats://someone:%s@nowhere" } } router{ router_type = "flat" }`, secret))
	_, refusal := p.http("POST", "/reload")
	if !strings.Contains(refusal, "routes.lua:1: ") {
		t.Errorf("POST /reload: %q", refusal)
	}
	metrics := p.get("/metrics")
	p.signal(syscall.SIGTERM)
	p.exit(0)
	for what, text := range map[string]string{
		"/config": config, "/metrics": metrics, "stats": string(stats), "the log": p.Stderr.Text(), "POST /reload": refusal,
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%s tells the password:\n%s", what, text)
		}
	}
}

func TestAdminOfALeaf(t *testing.T) {
	l := startLeaf(t, "leaf-9", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	admin := &proxy{process: l.process, admin: l.logged(0, "leaf ready")["admin"].(string)}
	if got := admin.get("/readyz"); got != "ok\n" {
		t.Errorf("/readyz: %q", got)
	}
	u, err := url.Parse(l.url)
	if err != nil {
		t.Fatal(err)
	}
	if config := admin.get("/config"); !strings.Contains(config, u.Host) || !strings.Contains(config, `"leaf-9"`) {
		t.Errorf("/config: %s", config)
	}
	p := startProxy(t, reloaded([]string{l.url}, 0))
	p.ready()
	c := dial(t, p.addr)
	c.says("set a 0 0 1\r\nx\r\nget a\r\nget b\r\n")
	c.sees("STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\nEND\r\n")
	families := admin.metrics()
	for name, want := range map[string]float64{
		"tidepool_leaf_items": 1, "tidepool_leaf_hits_total": 1, "tidepool_leaf_misses_total": 1, "tidepool_leaf_limit_bytes": 64 << 20,
		"tidepool_leaf_proxies": 1, "tidepool_leaf_requests_total": 3, "tidepool_leaf_evictions_total": 0,
	} {
		if got := value(t, families, name, "leaf-9"); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// bench and bench plot, as processes.

package main

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/client/load"
)

// tidepoolSays runs the binary and gives what it wrote.
func tidepoolSays(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs strings.Builder
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func TestBench(t *testing.T) {
	_, addr, _ := startProxy(t, "function mcp_config_pools() return true end function mcp_config_routes() end") // the proxy answers itself
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	common := []string{"bench", addr, "--keys", "100", "--duration", "100ms", "--size", "60-200:9,4000:1"}

	out, errs, err := tidepoolSays(t, append(common, "--svg", at("one.svg"), "--depth", "4")...)
	if err != nil || !strings.Contains(out, "latency  p50") || !strings.Contains(out, " 0 errors, 0 wrong") {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	for name, args := range map[string][]string{"half.json": {"--rate", "2000", "--name", "half load"}, "full.json": {"--protocol", "meta"}} {
		out, errs, err := tidepoolSays(t, append(append(common, "--json"), args...)...)
		var r load.Report
		if err != nil || json.Unmarshal([]byte(out), &r) != nil || r.Requests == 0 || len(r.Percentiles) < 10 || r.Wrong+r.Errors > 0 || errs != "" {
			t.Fatalf("%v\n%s%s", err, out, errs)
		}
		if name == "half.json" && (r.Rate != 2000 || r.Late == 0 || r.Requests != 200) {
			t.Errorf("open loop: %d requests, want 200, 99 %% sent within %v us", r.Requests, r.Late)
		}
		if err := os.WriteFile(at(name), []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	both, errs, err := tidepoolSays(t, "bench", "plot", at("half.json"), at("full.json"), "--log")
	if err != nil || !strings.Contains(both, ">half load: ") || !strings.Contains(both, ">full: ") {
		t.Errorf("%v %s\n%s", err, errs, both)
	}
	one, err := os.ReadFile(at("one.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for svg, lines := range map[string]int{both: 2, string(one): 1} {
		if err := xml.Unmarshal([]byte(svg), new(struct{})); err != nil || strings.Count(svg, "<polyline ") != lines {
			t.Errorf("%v, want %d lines:\n%s", err, lines, svg)
		}
	}
}

func TestBenchRefuses(t *testing.T) {
	bad := write(t, "bad.json", "no JSON")
	empty := write(t, "empty.json", "{}")
	for _, d := range []struct{ args, want string }{
		{"bench --size 100-", `cannot read the command line: cannot read the sizes "100-": "100-": want bytes, or least-greatest`},
		{"bench --size 20", "values of 20 bytes cannot be verified, want at least 48"},
		{"bench 127.0.0.1:1 127.0.0.1:2", `unexpected argument "127.0.0.1:2"`},
		{"bench --protocol smoke", `invalid argument "smoke" for "--protocol" flag: want text or meta`},
		{"bench plot", "want files that tidepool bench --json wrote"},
		{"bench plot " + bad, `bad.json" is not what tidepool bench --json writes`},
		{"bench plot " + empty, `cannot plot "empty": it has no percentiles`},
		{"bench plot /nowhere.json", "cannot read a run: open /nowhere.json"},
	} {
		out, errs, err := tidepoolSays(t, strings.Fields(d.args)...)
		if err == nil || out != "" || !strings.Contains(errs, d.want) {
			t.Errorf("%s: %v %q %q, want %q", d.args, err, out, errs, d.want)
		}
	}
}

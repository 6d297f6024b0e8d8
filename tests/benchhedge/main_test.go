package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/client/load"
)

// TestMain lets the test binary be the backends' process.
func TestMain(m *testing.M) {
	if os.Getenv(serveEnv) != "" {
		if err := serveBackends(replicas); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// A short run of every row works; what it measures is worth nothing.
func TestRun(t *testing.T) {
	s := settings{tidepool: filepath.Join(t.TempDir(), "tidepool"), rounds: 1, duration: 50 * time.Millisecond, rate: 500, conns: 10, rows: rows}
	if out, err := exec.Command("go", "build", "-o", s.tidepool, "github.com/tidepool-proxy/tidepool/cmd/tidepool").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var out strings.Builder
	if err := run(t.Context(), &s, &out); err != nil && !errors.Is(err, errMissed) {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, r := range rows {
		if !strings.Contains(out.String(), r.what) {
			t.Errorf("%q is not in\n%s", r.what, out.String())
		}
	}
}

// A backend that is to be slow is, and counts.
func TestBackendsAreSlow(t *testing.T) {
	b, err := startBackends(1)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if err := b.slow(0, fault{share: 1, by: 20 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if got, err := b.ask(0, "get k"); got != "END" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if took := time.Since(began); took < 20*time.Millisecond {
		t.Errorf("the answer took %v", took)
	}
	if n, err := b.asked(); n != 1 || err != nil {
		t.Errorf("%d gets were counted, %v", n, err)
	}
}

// A row's aim is that of its worst turn for what is sent, and of the median for what is saved.
func TestAims(t *testing.T) {
	turns := func(extra int64, p999 ...float64) (list []result) {
		for _, us := range p999 {
			list = append(list, result{load.Report{Requests: 100, P999: us}, 100 + extra})
		}
		return list
	}
	r := row{name: "x", faster: 10, extra: 0.05}
	for _, d := range []struct {
		hedged []result
		want   string
	}{
		{turns(5, 10, 10, 90), ""},
		{turns(6, 10, 10, 10), "row x misses its aim: 6.00 % more requests, want at most 5 %"},
		{turns(0, 10, 90, 90), "row x misses its aim: p99.9 is cut by 1.1, want 10"},
	} {
		var out strings.Builder
		got := ""
		if err := tell(&out, &r, turns(0, 100, 100, 100), d.hedged); err != nil {
			got = err.Error()
		}
		if got != d.want {
			t.Errorf("%q, want %q", got, d.want)
		}
	}
}

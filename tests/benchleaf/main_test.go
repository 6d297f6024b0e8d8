// The measurements themselves, on caches small enough to be quick.

package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tidepool-proxy/tidepool/tests/peer"
	"github.com/tidepool-proxy/tidepool/tests/traces"
)

func TestMeasurements(t *testing.T) {
	s := &settings{tidepool: filepath.Join(t.TempDir(), "tidepool"), memcached: peer.Need(t, "memcached"), memory: 4}
	if out, err := exec.Command("go", "build", "-o", s.tidepool, "github.com/tidepool-proxy/tidepool/cmd/tidepool").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	zipf, err := traces.Find("zipf1.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range s.kinds() {
		const total = 20_000
		ratio, rss, err := s.readThrough(t.Context(), kind, zipf.Start(1, 1000, total), total)
		if err != nil || ratio < 0.98 { // all keys fit; a few come for the first time in the half that counts
			t.Errorf("%s: hit ratio %v, %v", kind, ratio, err)
		}
		if rss < 1<<20 {
			t.Errorf("%s: %d bytes resident", kind, rss)
		}
		l, err := s.flooded(t.Context(), kind)
		if err != nil || l.hot < 0 || l.hot > 1 || l.newest < block {
			t.Errorf("%s after a flood: %+v, %v", kind, l, err)
		}
		if kind == "leaf" && l.refused > 0 {
			t.Errorf("the leaf refused %d sets", l.refused)
		}
	}
}

// The soak itself, short.

package main

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestSoak(t *testing.T) {
	s := &settings{
		tidepool: filepath.Join(t.TempDir(), "tidepool"), duration: 12 * time.Second, memory: 8, keys: 40_000,
		kill: time.Second, reload: 500 * time.Millisecond, seed: uint64(time.Now().UnixNano()), out: t.Output(),
	}
	if out, err := exec.Command("go", "build", "-o", s.tidepool, "github.com/tidepool-proxy/tidepool/cmd/tidepool").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := run(t.Context(), s); err != nil {
		t.Error(err)
	}
}

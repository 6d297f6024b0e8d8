package lualib

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/tests/peer"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestSame runs scripts that print the same here and in Lua 5.4. The golden files are what Lua 5.4 printed.
func TestSame(t *testing.T) {
	scripts, _ := filepath.Glob("testdata/same/*.lua")
	if len(scripts) == 0 {
		t.Fatal("no scripts")
	}
	for _, script := range scripts {
		t.Run(filepath.Base(script), func(t *testing.T) {
			golden := strings.TrimSuffix(script, ".lua") + ".out"
			if *update {
				cmd := exec.Command(peer.Need(t, "lua5.4"), filepath.Base(script))
				cmd.Dir = filepath.Dir(script)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("lua5.4: %v\n%s", err, out)
				}
				if err := os.WriteFile(golden, out, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			src, err := os.ReadFile(script)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			got, err := runNamed(t, loading(), filepath.Base(script), string(src))
			if err != nil {
				t.Error(err)
			}
			compareLines(t, got, string(want))
		})
	}
}

func compareLines(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "(nothing)", "(nothing)"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Errorf("line %d:\n  got  %q\n  want %q", i+1, a, b)
		}
	}
}

// What each example says of itself, held by tests/NAME_test.lua, and how an example looks.

package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidepool-proxy/tidepool/engine/routetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestExamples runs their tests, as `tidepool test examples/tests` does.
func TestExamples(t *testing.T) {
	for _, path := range files(t, "tests/*_test.lua") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			r := routetest.New(routetest.Options{Seed: 1, Print: t.Output()})
			defer r.Close()
			for _, res := range r.Run(path) {
				if res.Failure != nil {
					t.Errorf("%s\n%v", res.Name, res.Failure)
				}
			}
		})
	}
}

// TestEveryExample: it opens with what it is for, is short, and has tests and a row in docs/routes.md.
func TestEveryExample(t *testing.T) {
	docs, err := os.ReadFile("../docs/routes.md")
	if err != nil {
		t.Fatal(err)
	}
	older := map[string]bool{"simple": true, "prefix": true, "zones": true, "failover": true} // tests/system and engine run these
	opening := regexp.MustCompile(`^(--.*\n)+`)
	for _, path := range files(t, "*.lua") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(path, ".lua")
		says := opening.FindString(string(text))
		if n := strings.Count(says, "\n"); n == 0 || n > 6 {
			t.Errorf("%s opens with %d lines of what it is for, want 1 to 6", path, n)
		}
		if n := strings.Count(string(text), "\n"); n >= 40 {
			t.Errorf("%s has %d lines, want fewer than 40", path, n)
		}
		if older[name] {
			continue
		}
		if !strings.Contains(says, "Cost") {
			t.Errorf("%s does not say what it costs", path)
		}
		if _, err := os.Stat("tests/" + name + "_test.lua"); err != nil {
			t.Errorf("%s has no test: %v", path, err)
		}
		if !strings.Contains(string(docs), "(../examples/"+path+")") {
			t.Errorf("docs/routes.md does not list %s", path)
		}
	}
}

// A handler of one's own takes fewer than 60 lines, its tests included.
func TestCustomIsShort(t *testing.T) {
	lines := 0
	for _, path := range []string{"custom.lua", "tests/custom_test.lua"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines += strings.Count(string(text), "\n")
	}
	if lines >= 60 {
		t.Errorf("it takes %d", lines)
	}
}

func files(t *testing.T, pattern string) []string {
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v, %v", pattern, paths, err)
	}
	return paths
}

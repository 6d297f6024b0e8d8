package routes_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidepool-proxy/tidepool/engine/routetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRoutes runs the library's own tests, as `tidepool test routes/tests` does.
func TestRoutes(t *testing.T) {
	paths, err := routetest.Files([]string{"tests"})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
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

package routes_test

import (
	"path/filepath"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/routetest"
)

// TestRoutes runs the library's own tests, as `tidepool test routes/tests` does.
func TestRoutes(t *testing.T) {
	paths, err := routetest.Files([]string{"tests"})
	if err != nil {
		t.Fatal(err)
	}
	r := routetest.New(routetest.Options{Seed: 1, Print: t.Output()})
	defer r.Close()
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			for _, res := range r.Run(path) {
				if res.Failure != nil {
					t.Errorf("%s\n%v", res.Name, res.Failure)
				}
			}
		})
	}
}

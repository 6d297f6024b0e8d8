// routelib's examples in our own words: without routelib.lua.

package compat

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Every example of routelib loads as it is, but for those that routelib refuses, too.
func TestRoutelibExamplesLoad(t *testing.T) {
	libs, ours := os.Getenv("PROXYLIBS"), os.Getenv("TIDEPOOL")
	if libs == "" || ours == "" {
		t.Skip("SKIPPED: PROXYLIBS (memcached-proxylibs) and TIDEPOOL (bin/tidepool) are not set")
	}
	files, _ := filepath.Glob(filepath.Join(libs, "lib/routelib/examples/*.lua"))
	if len(files) == 0 {
		t.Fatalf("no examples below PROXYLIBS %q", libs)
	}
	refused := map[string]string{"routetree": `there is no pool "foo"`} // a child that it does not have
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".lua")
		t.Run(name, func(t *testing.T) {
			args := []string{"check", file}
			switch name {
			case "customroute-lib":
				t.Skip("a part of customroute")
			case "customroute":
				args = []string{"explain", strings.TrimSuffix(file, ".lua") + "-lib.lua", file, "get", "foo/a"}
			}
			out, err := exec.Command(ours, args...).CombinedOutput()
			if want := refused[name]; (want == "") != (err == nil) || !strings.Contains(string(out), want) {
				t.Errorf("%v\n%s", err, out)
			}
			if name == "customroute" && !strings.Contains(string(out), `"SERVER_ERROR hello, world: foo\r\n"`) {
				t.Errorf("it explains\n%s", out)
			}
		})
	}
}

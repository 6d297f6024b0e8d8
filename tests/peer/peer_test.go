// A missing peer skips, or fails where peers are required.

package peer

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// fake records how Need ends a test.
type fake struct{ skipped, failed string }

func (f *fake) Helper() {}
func (f *fake) Skipf(format string, args ...any) {
	f.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
func (f *fake) Fatalf(format string, args ...any) {
	f.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// need calls Need as a test would and gives what came of it.
func need(name string) (path string, f fake) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		path = Need(&f, name)
	}()
	<-done
	return path, f
}

func TestNeed(t *testing.T) {
	dir := t.TempDir()
	here := filepath.Join(dir, "a-peer")
	if err := os.WriteFile(here, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)

	for _, mode := range []string{"", Required} {
		t.Setenv(Env, mode)
		if path, f := need("a-peer"); path != here || f != (fake{}) {
			t.Errorf("%q, installed: got %q %+v", mode, path, f)
		}
	}
	const missing = "no-such-peer-anywhere"
	t.Setenv(Env, "")
	if path, f := need(missing); path != "" || f.skipped == "" || f.failed != "" {
		t.Errorf("missing: got %q %+v, want a skip", path, f)
	}
	t.Setenv(Env, Required)
	if path, f := need(missing); path != "" || f.skipped != "" || f.failed == "" {
		t.Errorf("missing and required: got %q %+v, want a failure", path, f)
	}
}

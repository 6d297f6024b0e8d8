// Package peer finds the programs that tests run Tidepool against: memcached, nutcracker, libmemcached's tools. They
// are not ours and a user's machine need not have them: a test that wants one says loudly that it is skipped.
// Where TIDEPOOL_PEERS=required is set, as in CI after `make ci-deps`, a missing one fails the test instead, so
// that nothing is skipped unseen. Any test may call it, at once with others.
package peer

import (
	"os"
	"os/exec"
	"path/filepath"
)

// Env, set to Required, turns every missing peer into a failure.
const (
	Env      = "TIDEPOOL_PEERS"
	Required = "required"
)

// T is what Need wants of a testing.TB.
type T interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Need gives the path of the named program, or ends the test: skipped, or failed where peers are required.
func Need(t T, name string) string {
	t.Helper()
	if path := Find(name); path != "" {
		return path
	}
	if os.Getenv(Env) == Required {
		t.Fatalf("PEER MISSING: %s is not installed, and %s=%s (make ci-deps installs it)", name, Env, Required)
	}
	t.Skipf("PEER MISSING, TEST SKIPPED: %s is not installed (make ci-deps installs it)", name)
	return ""
}

// Find gives the path of the named program, or "". Debian keeps daemons in sbin, which is not in every PATH.
func Find(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	return ""
}

// The binary, built once, with the race detector where there is a C compiler for it.

package system_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// patience is how long a test waits for what must come; it is never waited for in full unless the test fails.
const patience = 30 * time.Second

// tidepool is the path of the built binary.
var tidepool string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tidepool-system-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	tidepool = filepath.Join(dir, "tidepool")
	_ = os.Setenv("GORACE", "exitcode=66 atexit_sleep_ms=0") // else each process takes a second to end
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func build() error {
	args := []string{"build", "-o", tidepool}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "gcc"
	}
	env := os.Environ()
	if _, err := exec.LookPath(cc); err == nil {
		args = append(args, "-race")
		env = append(env, "CGO_ENABLED=1")
	}
	c := exec.Command("go", append(args, "../../cmd/tidepool")...)
	c.Env = env
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build tidepool: %w\n%s", err, out)
	}
	return nil
}

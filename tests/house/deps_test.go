package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// On a machine that has none of the packages dpkg-query answers with an error, which is no reason not to install them.
func TestDependenciesOfNothing(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("make is not installed")
	}
	bin, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	for name, text := range map[string]string{
		"dpkg-query": "echo 'curl install ok installed'; exit 1",
		"apt-get":    `echo "$@" >> ` + log,
		"sudo":       `exec "$@"`,
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "make", "-s", "ci-deps")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "MAKEFLAGS=", "MFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, _ := os.ReadFile(log)
	said := string(text)
	if !strings.Contains(said, "update") || !strings.Contains(said, " memcached ") || strings.Contains(said, "curl") {
		t.Errorf("apt-get was told %q", said)
	}
}

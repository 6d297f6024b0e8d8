// The units in examples/systemd: what systemd says of them, and what the binary does under them.

package system_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const units = "../../examples/systemd"

// unit gives the settings of one, by name; a name may be there more than once.
func unit(t *testing.T, name string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(units, name))
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string][]string{}
	for _, line := range strings.Split(string(text), "\n") {
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			settings[key] = append(settings[key], value)
		}
	}
	return settings
}

// TestUnitsVerify asks systemd itself, where it is installed.
func TestUnitsVerify(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED: systemd-analyze is not installed")
	}
	dir := t.TempDir()
	for _, name := range []string{"tidepool-proxy.service", "tidepool-leaf@.service"} {
		text, err := os.ReadFile(filepath.Join(units, name))
		if err != nil {
			t.Fatal(err)
		}
		here := strings.ReplaceAll(string(text), "/usr/local/bin/tidepool", tidepool) // it must be there
		if err := os.WriteFile(filepath.Join(dir, name), []byte(here), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"tidepool-proxy.service", "tidepool-leaf@leaf-1.service"} {
		cmd := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", filepath.Join(dir, name))
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), dir) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// commandLine is ExecStart with what the unit's own Environment says, for an instance called leaf-1.
func commandLine(t *testing.T, settings map[string][]string) (args []string) {
	t.Helper()
	line := strings.ReplaceAll(settings["ExecStart"][0], "%i", "leaf-1")
	for _, pair := range strings.Fields(settings["Environment"][0]) {
		name, value, _ := strings.Cut(pair, "=")
		line = strings.ReplaceAll(line, "${"+name+"}", value)
		line = strings.ReplaceAll(line, "$"+name, value)
	}
	words := strings.Fields(line)
	if words[0] != "/usr/local/bin/tidepool" || strings.Contains(line, "$") {
		t.Fatalf("ExecStart is %q", line)
	}
	return words[1:]
}

// TestUnits: the binary takes the flags, what stops may take as long as it wants, and no setting that matters got lost.
func TestUnits(t *testing.T) {
	for _, name := range []string{"tidepool-proxy.service", "tidepool-leaf@.service"} {
		settings := unit(t, name)
		args := commandLine(t, settings)
		if out, err := exec.Command(tidepool, append(args, "--help")...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		var need time.Duration
		for _, arg := range args {
			if flag, value, _ := strings.Cut(arg, "="); flag == "--drain" || flag == "--drain-delay" {
				d, err := time.ParseDuration(value)
				if err != nil {
					t.Fatal(err)
				}
				need += d
			}
		}
		if given, err := time.ParseDuration(settings["TimeoutStopSec"][0] + "s"); err != nil || given < need+5*time.Second || need == 0 {
			t.Errorf("%s: TimeoutStopSec is %v (%v), a stop may take %v", name, given, err, need)
		}
		reload := settings["ExecReload"]
		if len(reload) == 0 || reload[len(reload)-1] != "/bin/kill -HUP $MAINPID" {
			t.Errorf("%s: ExecReload is %q", name, reload)
		}
		for _, want := range []string{"Type=notify", "DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=",
			"SystemCallFilter=@system-service"} {
			if key, value, _ := strings.Cut(want, "="); !slices.Equal(settings[key], []string{value}) {
				t.Errorf("%s: %s is %q, want %q", name, key, settings[key], value)
			}
		}
		if limit := settings["LimitNOFILE"]; len(limit) != 1 || !regexp.MustCompile(`^\d{5,}$`).MatchString(limit[0]) {
			t.Errorf("%s: LimitNOFILE is %q", name, limit)
		}
	}
}

// TestNotify: systemd is told when a process serves, not before, and when it stops.
func TestNotify(t *testing.T) {
	path, socket := filepath.Join(t.TempDir(), "notify"), filepath.Join(t.TempDir(), "clients")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	hears := func(want string) {
		t.Helper()
		b := make([]byte, 100)
		_ = manager.SetReadDeadline(time.Now().Add(patience))
		if n, err := manager.Read(b); err != nil || string(b[:n]) != want {
			t.Fatalf("systemd hears %q (%v), want %q", b[:n], err, want)
		}
	}
	t.Setenv("NOTIFY_SOCKET", path)
	p := start(t, "proxy", write(t, "routes.lua", `pool{ name = "default", backends = { "127.0.0.1:1" } } router{ router_type = "flat" }`),
		"--listen", "unix:"+socket, "--admin", "none")
	hears("READY=1")
	if c, err := net.Dial("unix", socket); err != nil {
		t.Errorf("it is ready before it listens: %v", err)
	} else {
		_ = c.Close()
	}
	p.signal(syscall.SIGTERM)
	hears("STOPPING=1")
	p.exit(0)

	l := start(t, "leaf", "--name", "leaf-1", "--listen", "127.0.0.1:0")
	hears("READY=1")
	l.signal(syscall.SIGTERM)
	hears("STOPPING=1")
	l.exit(0)
}

// What a stranger runs first: tidepool dev without a configuration, and each of the three things that it says to try.

package system_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/tidepool-proxy/tidepool/tests/peer"
)

// netcat stands in where nc is not installed: host and port, from and to its standard streams.
const netcat = `#!/bin/bash
exec 3<>"/dev/tcp/$1/$2" || exit 1
cat >&3
exec cat <&3
`

// shell runs a command line as a person would paste it, in a shell that has nc and tidepool, and gives what it printed.
// timeout(1) keeps a test that fails from waiting for ever.
func shell(t *testing.T, line string) string {
	t.Helper()
	out, err := shellCommand(t, line).Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

func shellCommand(t *testing.T, line string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	if _, err := exec.LookPath("nc"); err != nil {
		if err := os.WriteFile(filepath.Join(dir, "nc"), []byte(netcat), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.CommandContext(t.Context(), "timeout", "20", "bash", "-c", line)
	c.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	var errs bytes.Buffer
	c.Stderr = &errs
	t.Cleanup(func() {
		if t.Failed() && errs.Len() > 0 {
			t.Logf("%s:\n%s", line, errs.String())
		}
	})
	return c
}

func TestDevSaysWhatToTry(t *testing.T) {
	peer.Need(t, "curl")
	p, addr, banner := startDev(t, "--leaves", "4")
	for _, want := range []string{
		`a proxy over 4 leaves, in one process`,
		`(?m)^  clients  127\.0\.0\.1:\d+$`,
		`(?m)^  leaves   leaf-1 nats://127\.0\.0\.1:\d+, 16MiB$`,
		`(?m)^           leaf-4 nats://127\.0\.0\.1:\d+, 16MiB$`,
		`(?m)^  admin    http://127\.0\.0\.1:\d+$`,
		`(?m)^  config   \S+\.lua$`,
	} {
		if !regexp.MustCompile(want).MatchString(banner) {
			t.Errorf("the banner lacks %s:\n%s", want, banner)
		}
	}
	_, list, _ := strings.Cut(banner, "Three things to try:")
	var tries []string
	for _, line := range strings.Split(list, "\n") {
		if strings.HasPrefix(line, "     ") {
			tries = append(tries, strings.TrimSpace(line))
		}
	}
	if len(tries) != 3 {
		t.Fatalf("%d things to try:\n%s", len(tries), banner)
	}
	admin := &proxy{process: p, addr: addr, admin: regexp.MustCompile(`http://(127\.0\.0\.1:\d+)`).FindStringSubmatch(banner)[1]}
	admin.ready()
	if got := shell(t, tries[0]); got != "STORED\r\nVALUE /foo/hello 0 5\r\nworld\r\nEND\r\n" {
		t.Errorf("%s\n%q", tries[0], got)
	}
	if got := shell(t, tries[1]); got != "{\"generation\":2}\n" {
		t.Errorf("%s\n%q", tries[1], got)
	}
	if got := shell(t, tries[2]); !strings.Contains(got, `"generation": 2`) || strings.Count(got, `"up": true`) != 4 {
		t.Errorf("%s\n%s", tries[2], got)
	}
	from := p.Stderr.Count()
	shell(t, regexp.MustCompile(`kill -HUP \d+`).FindString(banner))
	p.logged(from, "configuration loaded", `"generation":3`)
	if telnet := regexp.MustCompile(`curl -s (telnet://\S+)`).FindStringSubmatch(banner); telnet == nil {
		t.Error("the banner does not say what to do without nc")
	} else if got := shell(t, `printf 'get /foo/hello\r\nquit\r\n' | `+telnet[0]); got != "VALUE /foo/hello 0 5\r\nworld\r\nEND\r\n" {
		t.Errorf("%s: %q", telnet[0], got)
	}

	// The configuration is a file to edit: an edit is loaded.
	file := regexp.MustCompile(`config   (\S+)`).FindStringSubmatch(banner)[1]
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), `"default"`, `"edited"`)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, body := admin.http("POST", "/reload"); status != 422 || !strings.Contains(body, filepath.Base(file)+":") {
		t.Errorf("a flat router without its pool: %d %q, want a refusal that names the place", status, body)
	}
	p.signal(syscall.SIGINT)
	p.exit(0)
}

// The Dockerfile's own build command, on what .dockerignore lets through, for both architectures. No image is built: that wants a container
// engine, and this wants none.

package kubernetes_test

import (
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// checkout is the top of it.
const checkout = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ignored reads .dockerignore in the form that ours has: "*", then exceptions at the top, then "**/" patterns of base names.
func ignored(t *testing.T) func(path string) bool {
	t.Helper()
	tops, bases := map[string]bool{}, []string{}
	for _, line := range strings.Split(read(t, filepath.Join(checkout, ".dockerignore")), "\n") {
		switch {
		case line == "" || line == "*" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "!") && !strings.ContainsAny(line, "*/"):
			tops[line[1:]] = true
		case strings.HasPrefix(line, "**/"):
			bases = append(bases, line[3:])
		default:
			t.Fatalf(".dockerignore: cannot tell what %q means", line)
		}
	}
	return func(path string) bool {
		top, _, _ := strings.Cut(path, "/")
		if !tops[top] {
			return true
		}
		for _, b := range bases {
			if ok, _ := filepath.Match(b, filepath.Base(path)); ok {
				return true
			}
		}
		return false
	}
}

// context copies what a builder is sent.
func context(t *testing.T) string {
	t.Helper()
	dir, skip := t.TempDir(), ignored(t)
	err := filepath.WalkDir(checkout, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == checkout {
			return err
		}
		rel, _ := filepath.Rel(checkout, path)
		switch {
		case skip(filepath.ToSlash(rel)) && d.IsDir():
			return filepath.SkipDir
		case skip(filepath.ToSlash(rel)):
			return nil
		case d.IsDir():
			return os.Mkdir(filepath.Join(dir, rel), 0o700)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, rel), text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestImage: a static binary for each architecture, and the user that the manifests name.
func TestImage(t *testing.T) {
	dockerfile := read(t, filepath.Join(checkout, "Dockerfile"))
	build := regexp.MustCompile(`(?m)^RUN (CGO_ENABLED=0 .*)$`).FindStringSubmatch(dockerfile)
	if build == nil {
		t.Fatal("the Dockerfile has no build command")
	}
	dir := context(t)
	t.Run("alone", func(t *testing.T) { alone(t, dir, build[1]) })
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		cmd := exec.Command("sh", "-c", build[1])
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "TARGETARCH="+arch, "VERSION=v1-test", "GOFLAGS=-mod=readonly")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", arch, err, out)
		}
		binary, err := elf.Open(filepath.Join(dir, "tidepool"))
		if err != nil {
			t.Fatal(err)
		}
		if libs, err := binary.ImportedLibraries(); binary.Machine != machine || len(libs) > 0 || err != nil || binary.Section(".interp") != nil {
			t.Errorf("%s: it is for %v and wants %v (%v): want a static binary", arch, binary.Machine, libs, err)
		}
		_ = binary.Close()
		if arch != runtime.GOARCH {
			continue
		}
		if out, err := exec.Command(filepath.Join(dir, "tidepool"), "version").Output(); err != nil || !strings.Contains(string(out), "v1-test") {
			t.Errorf("tidepool version: %q, %v", out, err)
		}
	}
	if want := "FROM --platform=$BUILDPLATFORM golang:" + goVersion(t); !strings.Contains(dockerfile, want) {
		t.Errorf("the Dockerfile lacks %q, which is the Go of go.mod", want)
	}
	user := regexp.MustCompile(`(?m)^USER (\d+):\d+$`).FindStringSubmatch(dockerfile)
	if user == nil || user[1] == "0" {
		t.Fatal("the Dockerfile wants a USER that is a number, and not root: runAsNonRoot cannot tell of a name")
	}
	each(t, func(t *testing.T, c *cluster) {
		for _, k := range c.containers(t) {
			if got := *k.pod.template.Spec.SecurityContext.RunAsUser; user[1] != "65532" || got != 65532 {
				t.Errorf("%v runs as %d, the image as %s", &k, got, user[1])
			}
		}
	})
}

// goVersion is go.mod's, without what comes after the second number.
func goVersion(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, filepath.Join(checkout, "go.mod")))
	if m == nil {
		t.Fatal("go.mod names no Go")
	}
	return m[1]
}

// alone runs the binary as the image does: as its user, with nothing in reach that the image has not, and nothing that may be written. Only root
// may shut it in so.
func alone(t *testing.T, dir, build string) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root may change a root folder")
	}
	cmd := exec.Command("sh", "-c", build)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TARGETARCH="+runtime.GOARCH, "VERSION=v1-test")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	root, err := os.MkdirTemp("", "tidepool-image-") // t.TempDir's parents may be closed to others, which is none of a container's business
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	for name, from := range map[string]string{"tidepool": filepath.Join(dir, "tidepool"), "routes.lua": filepath.Join(checkout, "examples/simple.lua")} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(read(t, from)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(root, 0o555); err != nil {
		t.Fatal(err)
	}
	f := func(msg string, args ...string) {
		t.Helper()
		cmd := &exec.Cmd{Path: "/tidepool", Args: append([]string{"/tidepool"}, args...), Dir: "/", Env: []string{}}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		await(t, cmd, args[0], msg)
	}
	f("leaf ready", "leaf", "--name=leaf-1", "--listen=127.0.0.1:0", "--memory=16MiB", "--admin=127.0.0.1:0", "--log-format=json")
	f("proxy serves", "proxy", "/routes.lua", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--watch=2s", "--log-format=json")
}

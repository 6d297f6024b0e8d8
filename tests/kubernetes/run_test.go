// The containers' commands as processes: what a probe asks is answered, and a value goes in and comes out.

package kubernetes_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// anyPort is an address that a container would listen at.
var anyPort = regexp.MustCompile(`^(--(?:listen|admin))=.*$`)

// etcdFlags are those that want an etcd, which these tests have not: a file stands for it.
var etcdFlags = regexp.MustCompile(`^--(etcd|pool|state-dir)=`)

// run starts a container's command on free ports of this machine, and gives what its first log line with msg says. pod is what the downward API
// would say.
func run(t *testing.T, k *container, pod, msg string, args ...string) (said map[string]any) {
	t.Helper()
	api := strings.NewReplacer("$(POD_NAME)", pod, "$(POD_NAMESPACE)", "tidepool", "$(NODE_NAME)", "node-1")
	cmd := exec.Command(tidepool)
	for _, arg := range k.Args {
		if !strings.HasPrefix(arg, "--advertise") && !etcdFlags.MatchString(arg) { // names that only a cluster resolves
			cmd.Args = append(cmd.Args, anyPort.ReplaceAllString(api.Replace(arg), "$1=127.0.0.1:0"))
		}
	}
	cmd.Args = append(cmd.Args, args...)
	return await(t, cmd, k.String(), msg)
}

// await starts a command and gives what its first log line with msg says. It is killed with the test.
func await(t *testing.T, cmd *exec.Cmd, name, msg string) (said map[string]any) {
	t.Helper()
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(errs); s.Scan(); {
			select {
			case lines <- s.Text():
			default: // nobody reads on: it must not wait for us
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range lines {
		}
		_ = cmd.Wait()
	})
	var seen []string
	for late := time.After(patience); ; {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatalf("%s ended:\n%s", name, strings.Join(seen, "\n"))
			}
			seen = append(seen, line)
			if json.Unmarshal([]byte(line), &said) == nil && said["msg"] == msg {
				return said
			}
		case <-late:
			t.Fatalf("%s does not say %q:\n%s", name, msg, strings.Join(seen, "\n"))
		}
	}
}

// probed asks what kubelet would ask.
func probed(t *testing.T, k *container, admin string) {
	t.Helper()
	for _, probe := range []*corev1.Probe{k.StartupProbe, k.ReadinessProbe, k.LivenessProbe} {
		if probe == nil {
			continue
		}
		resp, err := http.Get("http://" + admin + probe.HTTPGet.Path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%v: GET %s: %s", k, probe.HTTPGet.Path, resp.Status)
		}
	}
}

// TestRun runs every folder's leaves, and its proxies over them.
func TestRun(t *testing.T) {
	each(t, func(t *testing.T, c *cluster) {
		at := map[string]string{} // where a place of the manifests is here
		all := c.containers(t)
		for i := range all {
			k := &all[i]
			switch {
			case k.command != "leaf":
			case k.pod.set == nil:
				said := run(t, k, "pod", "leaf ready", "--memory=16MiB")
				at["nats://"+k.flags["listen"]] = said["url"].(string)
				probed(t, k, said["admin"].(string))
			default:
				var members []map[string]any
				for n := range *k.pod.set.Spec.Replicas {
					name := fmt.Sprintf("%s-%d", k.pod.set.Name, n)
					said := run(t, k, name, "leaf ready", "--memory=16MiB")
					members = append(members, map[string]any{"name": name, "addr": said["url"]})
					probed(t, k, said["admin"].(string))
				}
				if file := topology(t, members); k.flags["etcd"] != "" {
					at[`{ pool = "main" }`] = fmt.Sprintf("{ pool = %q, from = %q }", k.flags["pool"], "file:"+file)
				} else {
					at[c.records(k.pod.set.Spec.ServiceName, k.pod.namespace)] = "file:" + file
				}
			}
		}
		for i := range all {
			if k := &all[i]; k.command == "proxy" {
				said := run(t, c.here(t, k, at), "pod", "proxy serves")
				probed(t, k, said["admin"].(string))
				stores(t, said["addrs"].([]any)[0].(string))
			}
		}
	})
}

// topology writes a file that stands for what DNS would say, whatever the pool is called.
func topology(t *testing.T, members any) (path string) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"pools": map[string]any{"default": members, "main": members}})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "topology.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// here gives a proxy that has its configuration on this machine, with addresses of this machine.
func (c *cluster) here(t *testing.T, k *container, at map[string]string) *container {
	t.Helper()
	moved := *k
	moved.Args = append([]string{}, k.Args...)
	for i, arg := range k.Args {
		for _, file := range k.files {
			if arg != file {
				continue
			}
			text := c.configuration(t, k, file)
			for from, to := range at {
				if !strings.Contains(text, from) {
					t.Errorf("%v: %s does not look for leaves at %s", k, file, from)
				}
				text = strings.ReplaceAll(text, from, to)
			}
			moved.Args[i] = filepath.Join(t.TempDir(), path.Base(file))
			if err := os.WriteFile(moved.Args[i], []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &moved
}

// stores puts values in and takes them out; as many as reach every leaf.
func stores(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(conn)
	f := func(send, want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.WriteString(conn, send); err != nil {
			t.Fatal(err)
		}
		if n, err := io.ReadFull(r, got); err != nil || string(got) != want {
			t.Fatalf("%q: %q %v, want %q", send, got[:n], err, want)
		}
	}
	for i := range 20 {
		f(fmt.Sprintf("set key%02d 0 0 2\r\n%02d\r\n", i, i), "STORED\r\n")
		f(fmt.Sprintf("get key%02d\r\n", i), fmt.Sprintf("VALUE key%02d 0 2\r\n%02d\r\nEND\r\n", i, i))
	}
}

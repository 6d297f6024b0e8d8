// What a pod says of its containers, against what the containers' flags say.

package kubernetes_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// container is one that runs the binary.
type container struct {
	corev1.Container
	pod     *pods
	sidecar bool
	command string            // leaf or proxy
	flags   map[string]string // by name, without dashes
	files   []string          // the arguments that are no flags
}

// containers gives those of c that run the binary; at least one.
func (c *cluster) containers(t *testing.T) (out []container) {
	t.Helper()
	for i := range c.pods {
		p := &c.pods[i]
		add := func(k corev1.Container, sidecar bool) {
			switch k.Image {
			case "registry.example.com/app:dev":
				return
			case "registry.example.com/tidepool:dev":
			default:
				t.Fatalf("%s: %s: image %q: want that of the folder's kustomization.yaml", p.name, k.Name, k.Image)
			}
			if len(k.Command) > 0 || len(k.Args) == 0 {
				t.Fatalf("%s: %s: want args, and the image's command", p.name, k.Name)
			}
			one := container{Container: k, pod: p, sidecar: sidecar, command: k.Args[0], flags: map[string]string{}}
			for _, arg := range k.Args[1:] {
				name, value, _ := strings.Cut(arg, "=")
				if flag, ok := strings.CutPrefix(name, "--"); ok {
					one.flags[flag] = value
				} else {
					one.files = append(one.files, arg)
				}
			}
			out = append(out, one)
		}
		for _, k := range p.template.Spec.InitContainers {
			add(k, k.RestartPolicy != nil && *k.RestartPolicy == corev1.ContainerRestartPolicyAlways)
		}
		for _, k := range p.template.Spec.Containers {
			add(k, false)
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s runs no tidepool", c.folder)
	}
	return out
}

func (k *container) String() string { return k.pod.name + "/" + k.Name }

// size reads a flag such as --memory=2GiB, in bytes: Kubernetes' word for GiB is Gi.
func (k *container) size(t *testing.T, flag string) int64 {
	t.Helper()
	value, ok := k.flags[flag]
	if !ok {
		t.Fatalf("%v: --%s is not there: its default is nothing to compare a limit with", k, flag)
	}
	q, err := resource.ParseQuantity(strings.TrimSuffix(value, "B"))
	if err != nil {
		t.Fatalf("%v: --%s=%s: %v", k, flag, value, err)
	}
	return q.Value()
}

// duration reads a flag such as --drain=20s; one that is not there is 0.
func (k *container) duration(t *testing.T, flag string) time.Duration {
	t.Helper()
	value, ok := k.flags[flag]
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(value)
	if err != nil {
		t.Fatalf("%v: --%s=%s: %v", k, flag, value, err)
	}
	return d
}

// port reads a flag such as --listen=0.0.0.0:4301; 0: it is not there.
func (k *container) port(t *testing.T, flag string) (host string, port int32) {
	t.Helper()
	value, ok := k.flags[flag]
	if !ok {
		return "", 0
	}
	host, digits, err := net.SplitHostPort(value)
	n, _ := strconv.ParseInt(digits, 10, 32)
	if err != nil || n == 0 {
		t.Fatalf("%v: --%s=%s: want host:port", k, flag, value)
	}
	return host, int32(n)
}

// number gives the port of a container's that a name or a number means.
func (k *container) number(v intstr.IntOrString) (int32, error) {
	for _, p := range k.Ports {
		if v.Type == intstr.String && p.Name == v.StrVal || v.Type == intstr.Int && p.ContainerPort == v.IntVal {
			return p.ContainerPort, nil
		}
	}
	return 0, fmt.Errorf("%v has no port %s", k, v.String())
}

// TestFlags: the binary takes every flag with its value.
func TestFlags(t *testing.T) {
	each(t, func(t *testing.T, c *cluster) {
		for _, k := range c.containers(t) {
			out, err := exec.Command(tidepool, append(append([]string{}, k.Args...), "--help")...).CombinedOutput()
			if err != nil {
				t.Errorf("%v: %v\n%s", &k, err, out)
			}
			for flag := range k.flags {
				if !strings.Contains(string(out), "--"+flag+" ") {
					t.Errorf("%v: the help of tidepool %s has no --%s", &k, k.command, flag)
				}
			}
		}
	})
}

// TestProbes: they ask the port of --admin, and kubelet, which is outside the pod, reaches it.
func TestProbes(t *testing.T) {
	each(t, func(t *testing.T, c *cluster) {
		for _, k := range c.containers(t) {
			host, admin := k.port(t, "admin")
			if host != "0.0.0.0" {
				t.Errorf("%v: --admin is at %q: no probe reaches it", &k, host)
			}
			for what, probe := range map[string]*corev1.Probe{"startup": k.StartupProbe, "readiness": k.ReadinessProbe, "liveness": k.LivenessProbe} {
				if probe == nil {
					if what != "readiness" || !k.sidecar {
						t.Errorf("%v has no %s probe", &k, what)
					}
					continue
				}
				if port, err := k.number(probe.HTTPGet.Port); err != nil || port != admin {
					t.Errorf("%v: the %s probe asks port %d (%v), --admin is at %d", &k, what, port, err, admin)
				}
			}
			if at := k.LivenessProbe.HTTPGet.Path; at != "/livez" {
				t.Errorf("%v: it is killed by %s", &k, at)
			}
			if host, port := k.port(t, "listen"); host == "0.0.0.0" {
				if _, err := k.number(intstr.FromInt32(port)); err != nil {
					t.Errorf("--listen: %v", err)
				}
			}
		}
	})
}

// TestGrace: a pod is given the time that its containers may take. Sidecars are told to stop when the others have ended.
func TestGrace(t *testing.T) {
	const spare = 5 * time.Second
	each(t, func(t *testing.T, c *cluster) {
		main, after, of := map[string]time.Duration{}, map[string]time.Duration{}, map[string]*pods{}
		for _, k := range c.containers(t) {
			need := k.duration(t, "drain-delay") + k.duration(t, "drain")
			if k.Lifecycle != nil && k.Lifecycle.PreStop != nil {
				need += time.Duration(k.Lifecycle.PreStop.Sleep.Seconds) * time.Second
			}
			if k.duration(t, "drain") == 0 {
				t.Errorf("%v: want --drain", &k)
			}
			of[k.pod.name] = k.pod
			if k.sidecar {
				after[k.pod.name] += need
			} else {
				main[k.pod.name] = max(main[k.pod.name], need)
			}
		}
		for name, p := range of {
			grace := 30 * time.Second // Kubernetes' default
			if s := p.template.Spec.TerminationGracePeriodSeconds; s != nil {
				grace = time.Duration(*s) * time.Second
			}
			if need := main[name] + after[name] + spare; grace < need {
				t.Errorf("%s: terminationGracePeriodSeconds is %v, want at least %v", name, grace, need)
			}
		}
	})
}

// TestMemory: limits are what docs/operations.md says under Sizing, and are reserved.
func TestMemory(t *testing.T) {
	each(t, func(t *testing.T, c *cluster) {
		for _, k := range c.containers(t) {
			need := int64(64 << 20)
			if k.command == "leaf" {
				need += k.size(t, "memory") * 3 / 2
			} else {
				need += k.size(t, "local-memory")*3/2 + k.size(t, "max-buffered")
			}
			limit, request := k.Resources.Limits.Memory().Value(), k.Resources.Requests.Memory().Value()
			if limit < need || request != limit {
				t.Errorf("%v: memory limit %d and request %d, want both the same and at least %d", &k, limit, request, need)
			}
			if k.Resources.Requests.Cpu().IsZero() || !k.Resources.Limits.Cpu().IsZero() {
				t.Errorf("%v: want a request for CPU, and no limit: throttling is latency", &k)
			}
			for _, e := range k.Env {
				if e.Name != "GOMEMLIMIT" {
					continue
				}
				aim, err := resource.ParseQuantity(strings.TrimSuffix(e.Value, "B"))
				if err != nil || aim.Value() >= limit || k.command == "leaf" {
					t.Errorf("%v: GOMEMLIMIT=%s (%v) with a limit of %d; a leaf makes its own", &k, e.Value, err, limit)
				}
			}
		}
	})
}

// TestSecurity: what the restricted profile asks for, and a root file system that nobody writes.
func TestSecurity(t *testing.T) {
	yes := func(b *bool) bool { return b != nil && *b }
	no := func(b *bool) bool { return b != nil && !*b }
	each(t, func(t *testing.T, c *cluster) {
		for _, k := range c.containers(t) {
			pod, s := k.pod.template.Spec.SecurityContext, k.SecurityContext
			if s == nil || pod == nil || !no(s.AllowPrivilegeEscalation) || !yes(s.ReadOnlyRootFilesystem) || s.Capabilities == nil ||
				fmt.Sprint(s.Capabilities.Drop) != "[ALL]" || len(s.Capabilities.Add) > 0 || !yes(pod.RunAsNonRoot) || *pod.RunAsUser == 0 ||
				pod.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%v: %+v in %+v", &k, s, pod)
			}
			if !no(k.pod.template.Spec.AutomountServiceAccountToken) {
				t.Errorf("%v: it has a token for the Kubernetes API", &k)
			}
			if name := k.pod.template.Spec.ServiceAccountName; name != "" && !c.accounts[name] {
				t.Errorf("%v: there is no service account %q", &k, name)
			}
		}
	})
}

// configuration gives the ConfigMap's key that is mounted as a file.
func (c *cluster) configuration(t *testing.T, k *container, file string) string {
	t.Helper()
	for _, m := range k.VolumeMounts {
		if m.MountPath != path.Dir(file) {
			continue
		}
		if m.SubPath != "" || !m.ReadOnly {
			t.Errorf("%v: %s: want the whole folder, for reading: a subPath is never swapped", k, m.MountPath)
		}
		for _, v := range k.pod.template.Spec.Volumes {
			if v.Name != m.Name {
				continue
			}
			if m := c.maps[v.ConfigMap.Name]; m != nil && m.Data[path.Base(file)] != "" {
				return m.Data[path.Base(file)]
			}
			t.Fatalf("%v: ConfigMap %s has no %s", k, v.ConfigMap.Name, path.Base(file))
		}
	}
	t.Fatalf("%v: %s is mounted from nowhere", k, file)
	return ""
}

// TestConfigurations: what is mounted passes tidepool check, and a change of it is looked for.
func TestConfigurations(t *testing.T) {
	each(t, func(t *testing.T, c *cluster) {
		for _, k := range c.containers(t) {
			if k.command != "proxy" {
				continue
			}
			if k.duration(t, "watch") == 0 || len(k.files) == 0 {
				t.Errorf("%v: want --watch and a configuration", &k)
			}
			for _, file := range k.files {
				local := filepath.Join(t.TempDir(), path.Base(file))
				if err := os.WriteFile(local, []byte(c.configuration(t, &k, file)), 0o600); err != nil {
					t.Fatal(err)
				}
				if out, err := exec.Command(tidepool, "check", local).CombinedOutput(); err != nil {
					t.Errorf("%v: %s: %v\n%s", &k, file, err, out)
				}
			}
		}
	})
}

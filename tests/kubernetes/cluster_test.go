// How the objects of a folder refer to each other.

package kubernetes_test

import (
	"fmt"
	"regexp"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// selected gives the pods that a selector means.
func (c *cluster) selected(s labels.Selector) (out []*pods) {
	for i := range c.pods {
		if s.Matches(labels.Set(c.pods[i].template.Labels)) {
			out = append(out, &c.pods[i])
		}
	}
	return out
}

func (c *cluster) selectedBy(t *testing.T, s *metav1.LabelSelector) []*pods {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return c.selected(selector)
}

// TestSelectors: what selects pods means some, and the same ones as whoever makes them.
func TestSelectors(t *testing.T) {
	each(t, func(t *testing.T, c *cluster) {
		for _, p := range c.pods {
			if got := c.selected(labels.SelectorFromSet(p.selector)); len(got) != 1 || got[0].name != p.name {
				t.Errorf("%s selects %d kinds of pods, want its own", p.name, len(got))
			}
			for _, s := range p.template.Spec.TopologySpreadConstraints {
				if got := c.selectedBy(t, s.LabelSelector); len(got) != 1 || got[0].name != p.name {
					t.Errorf("%s: it is spread by %s among others, or by none", p.name, s.TopologyKey)
				}
			}
		}
		for _, b := range c.budgets {
			if got := c.selectedBy(t, b.Spec.Selector); len(got) != 1 || b.Spec.MaxUnavailable.IntValue() != 1 {
				t.Errorf("budget %s is for %d kinds of pods, want one of them away at a time", b.Name, len(got))
			}
		}
	})
}

// TestServices: each leads to a port that every container behind it listens at, and a StatefulSet's names are those of a headless one.
func TestServices(t *testing.T) {
	each(t, func(t *testing.T, c *cluster) {
		headless := map[string]bool{}
		for _, s := range c.services {
			headless[s.Name] = s.Spec.ClusterIP == "None" && s.Spec.PublishNotReadyAddresses
			behind := c.selected(labels.SelectorFromSet(s.Spec.Selector))
			if len(behind) != 1 || len(s.Spec.Ports) != 1 {
				t.Errorf("service %s has %d kinds of pods and %d ports, want one and one", s.Name, len(behind), len(s.Spec.Ports))
				continue
			}
			found := false
			for _, k := range c.containers(t) {
				if k.pod.name != behind[0].name {
					continue
				}
				if port, err := k.number(s.Spec.Ports[0].TargetPort); err == nil {
					_, listens := k.port(t, "listen")
					found = port == listens && port == s.Spec.Ports[0].Port
				}
			}
			if !found {
				t.Errorf("service %s leads to no --listen", s.Name)
			}
		}
		for _, p := range c.pods {
			if p.set != nil && !headless[p.set.Spec.ServiceName] {
				t.Errorf("%s has its names of %q, which is no headless service that names leaves before they are ready", p.name, p.set.Spec.ServiceName)
			}
		}
	})
}

// TestNetwork: leaves let in those that have the label of proxies, at --listen, and whoever asks --admin; all pods with a proxy have it.
func TestNetwork(t *testing.T) {
	each(t, func(t *testing.T, c *cluster) {
		if len(c.networks) != 1 {
			t.Fatalf("%d network policies", len(c.networks))
		}
		policy := c.networks[0]
		leaves := c.selectedBy(t, &policy.Spec.PodSelector)
		if len(leaves) != 1 || leaves[0].set == nil || len(policy.Spec.Ingress) != 2 {
			t.Fatalf("%+v", policy.Spec)
		}
		open, everybody := policy.Spec.Ingress[0], policy.Spec.Ingress[1]
		for _, k := range c.containers(t) {
			if k.pod.name == leaves[0].name {
				_, listen := k.port(t, "listen")
				_, admin := k.port(t, "admin")
				if open.Ports[0].Port.IntVal != listen || everybody.Ports[0].Port.IntVal != admin || len(everybody.From) > 0 {
					t.Errorf("%v listens at %d and %d: %+v", &k, listen, admin, policy.Spec.Ingress)
				}
				continue
			}
			from, err := metav1.LabelSelectorAsSelector(open.From[0].PodSelector)
			if err != nil || open.From[0].NamespaceSelector == nil || !from.Matches(labels.Set(k.pod.template.Labels)) {
				t.Errorf("%v may not speak to leaves: %v", &k, err)
			}
		}
	})
}

// places are what configurations may find leaves by: the SRV records of a service's port, or an address.
var places = regexp.MustCompile(`srv\+nats://_([a-z-]+)\._tcp\.([a-z-]+)\.([a-z-]+)\.svc|nats://(127\.0\.0\.1:\d+)|[a-z+]+://[^"]*`)

// TestAddresses: configurations find the leaves that there are, where they listen.
func TestAddresses(t *testing.T) {
	each(t, func(t *testing.T, c *cluster) {
		want := map[string]bool{}
		for _, k := range c.containers(t) {
			_, port := k.port(t, "listen")
			switch {
			case k.command != "leaf":
			case k.pod.set == nil:
				want["nats://"+k.flags["listen"]] = true
			default:
				name := k.pod.set.Spec.ServiceName
				if k.flags["etcd"] == "" {
					want[c.records(name, k.pod.namespace)] = true
				}
				if got, want := k.flags["advertise"], fmt.Sprintf("$(POD_NAME).%s.$(POD_NAMESPACE).svc:%d", name, port); got != want {
					t.Errorf("%v: --advertise=%s, want %s", &k, got, want)
				}
			}
		}
		for _, m := range c.maps {
			got := map[string]bool{}
			for _, text := range m.Data {
				for _, place := range places.FindAllString(text, -1) {
					got[place] = true
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("ConfigMap %s finds leaves at %v, want %v", m.Name, got, want)
			}
		}
	})
}

// records is where a headless service's SRV records are. TestServices says that its port is where leaves listen.
func (c *cluster) records(service, namespace string) string {
	for _, s := range c.services {
		if s.Name == service && s.Namespace == namespace {
			return fmt.Sprintf("srv+nats://_%s._tcp.%s.%s.svc", s.Spec.Ports[0].Name, service, namespace)
		}
	}
	return "no service " + service
}

// inEtcd is the pool of the topology that a configuration names.
var inEtcd = regexp.MustCompile(`discover = \{ pool = "([a-z]+)" \}`)

// TestEtcd: leaves register where proxies look for them, and what a proxy keeps is on a volume, since its root is read-only.
func TestEtcd(t *testing.T) {
	f := 0
	each(t, func(t *testing.T, c *cluster) {
		etcd, pool := map[string]bool{}, ""
		for _, k := range c.containers(t) {
			etcd[k.flags["etcd"]] = true
			if k.command == "leaf" && k.pod.set != nil {
				pool = k.flags["pool"]
			}
		}
		if len(etcd) != 1 {
			t.Errorf("containers are given different --etcd: %v", etcd)
		}
		if etcd[""] {
			return
		}
		f++
		for _, k := range c.containers(t) {
			if k.command != "proxy" {
				continue
			}
			found := inEtcd.FindStringSubmatch(c.configuration(t, &k, k.files[0]))
			if found == nil || found[1] != pool || pool == "" {
				t.Errorf("%v discovers %q, leaves register in %q", &k, found, pool)
			}
			writable := false
			for _, m := range k.VolumeMounts {
				for _, v := range k.pod.template.Spec.Volumes {
					writable = writable || m.Name == v.Name && m.MountPath == k.flags["state-dir"] && v.EmptyDir != nil && !m.ReadOnly
				}
			}
			if !writable {
				t.Errorf("%v cannot write --state-dir=%s", &k, k.flags["state-dir"])
			}
		}
	})
	if f == 0 {
		t.Error("no folder has etcd")
	}
}

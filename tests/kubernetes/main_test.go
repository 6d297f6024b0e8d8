// Package kubernetes_test holds the manifests in examples/kubernetes to what they say: it builds each folder with Kustomize, decodes what comes
// out strictly into Kubernetes' own types, and compares it with the real binary, which it also runs with the manifests' arguments.
//
// It is a module of its own, so that Kubernetes' types are no dependency of Tidepool. No cluster is involved: what only an API server or a
// kubelet can say is not tested.
package kubernetes_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// examples is where the manifests are.
const examples = "../../examples/kubernetes"

// folders are those that can be applied.
var folders = []string{"sidecar", "daemonset", "tier", "tier-etcd"}

// tidepool is the path of the built binary.
var tidepool string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tidepool-kubernetes-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	tidepool = filepath.Join(dir, "tidepool")
	build := exec.Command("go", "build", "-o", tidepool, "./cmd/tidepool")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build tidepool: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// kinds are the types that the manifests may use. "The manifests are right" means: right for these.
var kinds = map[string]func() runtime.Object{
	"v1 Namespace":                       func() runtime.Object { return &corev1.Namespace{} },
	"v1 ServiceAccount":                  func() runtime.Object { return &corev1.ServiceAccount{} },
	"v1 Service":                         func() runtime.Object { return &corev1.Service{} },
	"v1 ConfigMap":                       func() runtime.Object { return &corev1.ConfigMap{} },
	"apps/v1 Deployment":                 func() runtime.Object { return &appsv1.Deployment{} },
	"apps/v1 StatefulSet":                func() runtime.Object { return &appsv1.StatefulSet{} },
	"apps/v1 DaemonSet":                  func() runtime.Object { return &appsv1.DaemonSet{} },
	"policy/v1 PodDisruptionBudget":      func() runtime.Object { return &policyv1.PodDisruptionBudget{} },
	"networking.k8s.io/v1 NetworkPolicy": func() runtime.Object { return &networkingv1.NetworkPolicy{} },
}

// decode reads one manifest. A field that the type has not, a field twice, or one in the wrong case is an error.
func decode(manifest []byte) (runtime.Object, error) {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	text, err := yaml.YAMLToJSONStrict(manifest)
	if err != nil {
		return nil, err
	}
	if err := json.UnmarshalCaseSensitivePreserveInts(text, &head); err != nil {
		return nil, err
	}
	make, ok := kinds[head.APIVersion+" "+head.Kind]
	if !ok {
		return nil, fmt.Errorf("%s %s is no kind that is known here", head.APIVersion, head.Kind)
	}
	o := make()
	strict, err := json.UnmarshalStrict(text, o)
	if err != nil {
		return nil, err
	}
	if len(strict) > 0 {
		return nil, strict[0]
	}
	return o, nil
}

// cluster is what a folder makes.
type cluster struct {
	folder   string
	pods     []pods
	services []*corev1.Service
	maps     map[string]*corev1.ConfigMap
	budgets  []*policyv1.PodDisruptionBudget
	networks []*networkingv1.NetworkPolicy
	accounts map[string]bool
}

// pods are those of one Deployment, StatefulSet or DaemonSet.
type pods struct {
	name      string
	namespace string
	selector  map[string]string
	template  corev1.PodTemplateSpec
	set       *appsv1.StatefulSet // nil: it is none
}

// build makes a cluster of a folder.
func build(t *testing.T, folder string) *cluster {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(examples, folder))
	if err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	c := &cluster{folder: folder, maps: map[string]*corev1.ConfigMap{}, accounts: map[string]bool{}}
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		o, err := decode(text)
		if err != nil {
			t.Fatalf("%s: %s: %v", folder, r.CurId(), err)
		}
		switch o := o.(type) {
		case *appsv1.Deployment:
			c.pods = append(c.pods, pods{o.Name, o.Namespace, o.Spec.Selector.MatchLabels, o.Spec.Template, nil})
		case *appsv1.DaemonSet:
			c.pods = append(c.pods, pods{o.Name, o.Namespace, o.Spec.Selector.MatchLabels, o.Spec.Template, nil})
		case *appsv1.StatefulSet:
			c.pods = append(c.pods, pods{o.Name, o.Namespace, o.Spec.Selector.MatchLabels, o.Spec.Template, o})
		case *corev1.Service:
			c.services = append(c.services, o)
		case *corev1.ConfigMap:
			c.maps[o.Name] = o
		case *policyv1.PodDisruptionBudget:
			c.budgets = append(c.budgets, o)
		case *networkingv1.NetworkPolicy:
			c.networks = append(c.networks, o)
		case *corev1.ServiceAccount:
			c.accounts[o.Name] = true
		}
	}
	if len(c.pods) == 0 {
		t.Fatalf("%s makes no pods", folder)
	}
	return c
}

// each runs f for every folder.
func each(t *testing.T, f func(t *testing.T, c *cluster)) {
	for _, folder := range folders {
		t.Run(folder, func(t *testing.T) { f(t, build(t, folder)) })
	}
}

// TestDecodingIsStrict keeps decode honest.
func TestDecodingIsStrict(t *testing.T) {
	f := func(manifest, want string) {
		t.Helper()
		_, err := decode([]byte(manifest))
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", manifest, err, want)
		}
	}
	const head = "apiVersion: v1\nkind: Service\n"
	f(head+"spec: { clusterIP: None }", "")
	f(head+"spec: { clusterIp: None }", "clusterIp")
	f(head+"spec: { clusterIP: None, clusterIP: None }", "already")
	f(head+"spec: { replicas: 3 }", "replicas")
	f(head+"spec: { ports: four }", "ports")
	f("apiVersion: v2\nkind: Service\n", "no kind that is known")
}

// TestFolders: every folder with a kustomization is built by these tests.
func TestFolders(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(examples, "*", "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"base": true} // in the others
	for _, f := range folders {
		known[f] = true
	}
	for _, path := range found {
		if name := filepath.Base(filepath.Dir(path)); !known[name] {
			t.Errorf("%s is in no test", name)
		}
		delete(known, filepath.Base(filepath.Dir(path)))
	}
	for name := range known {
		t.Errorf("%s is not there", name)
	}
}

// A configuration that lies in no file.

package engine

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// given is a ConfigSource that tests put texts into.
type given struct {
	mu        sync.Mutex
	text, old string
	read      string
	news      chan struct{}
	loads     chan error
	fallen    bool
}

func (g *given) Read(path string) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read = g.text
	return []byte(g.text), nil
}

func (g *given) Await(stop <-chan struct{}) bool {
	select {
	case <-g.news:
		return true
	case <-stop:
		return false
	}
}

func (g *given) Loaded(digest string, err error) {
	if len(digest) != 12 {
		err = errors.Join(err, errors.New("digest "+digest))
	}
	g.loads <- err
}

func (g *given) Fallback() bool {
	g.fallen, g.text = true, g.old
	return g.old != ""
}

func (g *given) Origin() *Origin { return &Origin{Source: "test", Generation: 7} }

func (g *given) put(text string) error {
	g.mu.Lock()
	g.text = text
	g.mu.Unlock()
	g.news <- struct{}{}
	return <-g.loads
}

func givenProxy(t *testing.T, g *given) (*Proxy, error) {
	t.Helper()
	g.news, g.loads = make(chan struct{}), make(chan error, 2)
	p, err := Start(Options{Files: []string{"/the/key"}, Read: g.Read, Sealed: true, Config: g, Listen: []string{"127.0.0.1:0"}, Local: store{}, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Cleanup(func() {
			if err := p.Shutdown(t.Context()); err != nil && !errors.Is(err, t.Context().Err()) {
				t.Error(err)
			}
		})
	}
	return p, err
}

const noRoutes = "function mcp_config_pools() %s end function mcp_config_routes() end"

func TestConfigSource(t *testing.T) {
	empty := strings.Replace(noRoutes, "%s", "", 1)
	g := &given{text: empty}
	p, err := givenProxy(t, g)
	if err != nil || <-g.loads != nil || g.fallen {
		t.Fatal(err)
	}
	if err := g.put(empty + "\n-- another"); err != nil || p.Generation() != 2 {
		t.Errorf("generation %d, %v", p.Generation(), err)
	}
	if err := g.put("\n("); err == nil || !strings.HasPrefix(err.Error(), "/the/key:2: ") || p.Generation() != 2 {
		t.Errorf("generation %d, %v", p.Generation(), err)
	}
	if v := p.Config(); v.Source == nil || v.Source.Generation != 7 || v.Files[0].Path != "/the/key" {
		t.Errorf("config: %+v", v)
	}
	f := func(body, want string) {
		t.Helper()
		if err := g.put(strings.Replace(noRoutes, "%s", body, 1)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
	f("dofile('origin_test.go')", "A configuration from etcd reads no files")
	f("assert(loadfile('origin_test.go'))", "A configuration from etcd reads no files")
	f("assert(io.open('origin_test.go'))", "A configuration from etcd reads no files")
	f("for l in io.lines('origin_test.go') do end", "A configuration from etcd reads no files")
	f("require('origin_test')", "module 'origin_test' not found")
	f("package.path = './?.go' require('origin_test')", "module 'origin_test' not found")
	if err := g.put(strings.Replace(noRoutes, "%s", "assert(require('routes.zoned'))", 1)); err != nil {
		t.Error(err)
	}
}

// TestConfigSourceFallsBack: at the start alone.
func TestConfigSourceFallsBack(t *testing.T) {
	good := strings.Replace(noRoutes, "%s", "", 1)
	g := &given{text: "(", old: good}
	p, err := givenProxy(t, g)
	if err != nil || !g.fallen {
		t.Fatal(err)
	}
	if first, then := <-g.loads, <-g.loads; first == nil || then != nil {
		t.Errorf("loads ended with %v, %v", first, then)
	}
	g.fallen = false
	if err := g.put("("); err == nil || g.fallen || p.Generation() != 1 {
		t.Errorf("%v, fallen back %v", err, g.fallen)
	}
	if _, err := givenProxy(t, &given{text: "("}); err == nil || !strings.Contains(err.Error(), "/the/key:1: ") {
		t.Errorf("started with %v", err)
	}
}

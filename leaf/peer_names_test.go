// Who a leaf says sends it requests.

package leaf

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

func TestHelloNamesProxies(t *testing.T) {
	began := time.Now()
	var later atomic.Int64
	l := start(t, Options{Now: func() time.Time { return began.Add(time.Duration(later.Load())) }})
	ask := dial(t, l)
	want := func(names ...string) {
		t.Helper()
		if r := ask.hello(frame.HelloRequest{Proxies: true}); !slices.Equal(r.Proxies, names) {
			t.Errorf("proxies %q, want %q", r.Proxies, names)
		}
	}
	sends := func(name string, want bool) {
		t.Helper()
		if got := l.peers.sending(l.o.Now(), l.instance)[name]; got != want {
			t.Errorf("%s sends requests: %v, want %v", name, got, want)
		}
	}
	want()
	a, b, other := dial(t, l), dial(t, l), dial(t, l)
	long := strings.Repeat("x", 1000)
	a.hello(frame.HelloRequest{Proxy: "a", Instance: l.Instance()})
	b.hello(frame.HelloRequest{Proxy: "a", Instance: l.Instance() + 1}) // another pool's connection, which has not noticed yet
	other.hello(frame.HelloRequest{Proxy: long})
	want("a", long[:maxProxyName])
	sends("a", false)
	b.hello(frame.HelloRequest{Proxy: "a", Instance: l.Instance()})
	sends("a", true)
	b.hello(frame.HelloRequest{Proxy: "a"}) // marked bad
	sends("a", false)
	later.Store(int64(lately + time.Millisecond))
	a.hello(frame.HelloRequest{Proxy: "a", Instance: l.Instance()})
	want("a")
	sends("a", true)
	if r := a.hello(frame.HelloRequest{Proxy: "a", Proxies: true}); r.Proxies != nil {
		t.Errorf("a proxy is told of %q", r.Proxies)
	}
}

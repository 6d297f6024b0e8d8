// What a backend tells its leaf about itself.

package leafnats

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf"
)

// A leaf that recovers waits for this: it is told soon by who sends it requests, and again by name.
func TestHelloSaysWhereRequestsGo(t *testing.T) {
	l := startLeaf(t, leaf.Options{})
	nc, err := nats.Connect("nats://" + l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	defer func() { nc.Close(); <-closed }()
	heard := make(chan frame.HelloRequest, 100)
	if _, err := nc.Subscribe(frame.HelloSubject(l.Name()), func(m *nats.Msg) {
		var q frame.HelloRequest
		if err := json.Unmarshal(m.Data, &q); err == nil {
			heard <- q
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	next := func() frame.HelloRequest {
		select {
		case q := <-heard:
			return q
		case <-time.After(patience):
			t.Fatal("no hello")
			return frame.HelloRequest{}
		}
	}
	conns := NewConns(Access{})
	startBackend(t, Options{URL: l.URL(), Conns: conns, HelloInterval: time.Hour})
	first, second := next(), next()
	if first.Instance != 0 || second.Instance != l.Instance() {
		t.Errorf("requests go to %d, then %d; want 0, then %d", first.Instance, second.Instance, l.Instance())
	}
	startBackend(t, Options{URL: l.URL(), Conns: conns, HelloInterval: time.Hour, Label: "again"})
	startBackend(t, Options{URL: l.URL(), HelloInterval: time.Hour})
	names := map[string]int{first.Proxy: 2}
	for range 4 {
		names[next().Proxy]++
	}
	if len(names) != 2 || names[first.Proxy] != 4 {
		t.Errorf("names %v: want one for each Conns", names)
	}
}

// What is told of a leaf that goes, comes back, or takes nothing.

package leafnats

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// TestEventsNameTheLeaf: by the name that it has, though the address does not say it.
func TestEventsNameTheLeaf(t *testing.T) {
	addr := freePort(t)
	ev := newEvents()
	startBackend(t, Options{URL: "nats://" + addr, OnEvent: ev.on, Label: "cache", HelloInterval: 20 * time.Millisecond})
	if e := ev.wait(t, backend.EventConnecting); e.Leaf != "" || e.Err == nil {
		t.Errorf("before it was there: %+v", e)
	}
	l := startLeaf(t, leaf.Options{Name: "east-7", Listen: addr})
	kinds := []backend.EventKind{backend.EventConnected, backend.EventDisconnected, backend.EventMarkedBad, backend.EventConnected}
	for i, kind := range kinds {
		if e := ev.wait(t, kind); e.Leaf != "east-7" || e.Label != "cache" || (e.Err == nil) != (kind == backend.EventConnected) {
			t.Errorf("%+v", e)
		}
		switch i {
		case 0:
			_ = l.Close(cut)
		case 2:
			startLeaf(t, leaf.Options{Name: "east-7", Listen: addr})
		}
	}
}

// TestRefusalsAreTold: but not each.
func TestRefusalsAreTold(t *testing.T) {
	f := newFakeLeaf(t, nil)
	f.on(func(m *nats.Msg, h frame.Header, _ string) {
		answer(m, h.ID, func(h *frame.Header) { h.Flags |= frame.FlagRefused; h.Reason = frame.ReasonOverloaded }, "")
	})
	ev := newEvents()
	b := startBackend(t, Options{URL: f.url, OnEvent: ev.on})
	c := newClient(t, 0)
	const requests = 100
	for range requests {
		if got := c.do(b, "get a\r\n"); got != "ERR "+errReasons[frame.ReasonOverloaded].Error() {
			t.Fatalf("%q", got)
		}
	}
	if e := ev.wait(t, backend.EventRefused); e.Depth != 1 || e.Leaf == "" || !errors.Is(e.Err, backend.ErrOverloaded) {
		t.Errorf("%+v", e)
	}
	if n := len(ev.ch); n > requests/2 {
		t.Errorf("%d events more", n)
	}
}

// TestLateHearsOfFailure: also who comes to a connection when nats.go, which does not tell of each refusal, has told of the first.
func TestLateHearsOfFailure(t *testing.T) {
	l := startLeaf(t, leaf.Options{User: "u", Password: "p"})
	conns := NewConns(Access{})
	for range 2 {
		ev := newEvents()
		startBackend(t, Options{URL: "nats://u:wrong@" + l.Addr(), Conns: conns, OnEvent: ev.on})
		if e := ev.wait(t, backend.EventConnecting); e.Err == nil || !strings.Contains(e.Err.Error(), "Authorization Violation") {
			t.Errorf("%+v", e)
		}
	}
}

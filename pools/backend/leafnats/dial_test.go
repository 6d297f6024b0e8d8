package leafnats

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// A backend flushes a prefix of its leaf, and says why it cannot.
func TestFlushPrefix(t *testing.T) {
	l, b := pair(t, leaf.Options{}, Options{})
	c := newClient(t, 1)
	c.do(b, set("a:1", "v"))
	c.do(b, set("b:1", "v"))
	if err := b.FlushPrefix(t.Context(), []byte("a:")); err != nil {
		t.Fatal(err)
	}
	if got := c.do(b, "get a:1 b:1\r\n"); got != hit("b:1", "v") {
		t.Errorf("after the flush: %q", got)
	}
	if err := b.FlushPrefix(t.Context(), nil); err == nil {
		t.Error("an empty prefix flushed")
	}
	if err := b.FlushPrefix(t.Context(), make([]byte, 251)); !errors.Is(err, backend.ErrRefused) || !strings.Contains(err.Error(), "prefix of 251 bytes") {
		t.Errorf("too long a prefix: %v", err)
	}
	if got := c.do(b, "get b:1\r\n"); got != hit("b:1", "v") {
		t.Errorf("after the refused: %q", got)
	}
	_ = l.Close(context.Background())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // it may take some time to see that it is gone
	defer cancel()
	if err := b.FlushPrefix(ctx, []byte("b:")); err == nil {
		t.Error("a leaf that is gone was flushed")
	}
}

func TestDial(t *testing.T) {
	l := startLeaf(t, leaf.Options{Name: "one"})
	f := func(url, name, wantErr string) *nats.Conn {
		t.Helper()
		closed := make(chan struct{})
		nc, got, err := Dial(url, Access{}, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
		if nc != nil {
			t.Cleanup(func() { nc.Close(); <-closed })
		}
		if got != name || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%s: %q, %v; want %q, %q", url, got, err, name, wantErr)
		}
		return nc
	}
	f(l.URL(), "one", "")
	nc := f(l.URL()+"/two", "two", "")
	f("memcached://127.0.0.1:1", "", "want nats://host:port")
	f("nats://user:secret@127.0.0.1:1/one", "", `cannot connect to "nats://127.0.0.1:1/one": `)
	if err := Flush(t.Context(), nc, "two", nil); !errors.Is(err, backend.ErrDown) || !strings.Contains(err.Error(), `leaf "two"`) {
		t.Errorf("no such leaf: %v", err)
	}
	if err := Flush(t.Context(), nc, "one", nil); err != nil || l.Stats().Flushes != 1 {
		t.Errorf("all: %v, %d flushes", err, l.Stats().Flushes)
	}
}

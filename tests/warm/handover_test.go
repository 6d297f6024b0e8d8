// A leaf that leaves: what it waits for.

package warm

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestHandOver: a leaf that is taken out knows when the others have what it held, and may go then.
func TestHandOver(t *testing.T) {
	w, p := newWorld(t, Options{Warm: time.Minute})
	c := p.Client(1)
	keys := keysOf(t, p, "leaf-2", 40)
	for _, key := range keys {
		do(t, c, "set "+key+" 0 0 1\r\nv\r\n", "STORED\r\n")
	}
	two := w.Leaf("leaf-2")
	if h := two.HandOver(); h.Epoch != 0 || h.Done() {
		t.Errorf("%+v while it owns keys", h)
	}
	w.Decide(nil, "leaf-1", "leaf-3")
	if h := two.HandOver(); h.Epoch != 0 || h.Done() {
		t.Errorf("%+v before it has heard of it", h)
	}
	tell(t, w)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if h := two.AwaitHandOver(ctx); !h.Done() || h.Heirs != 2 || h.Items != int64(len(keys)) {
		t.Errorf("%+v of %d items", h, len(keys))
	}
	w.Kill("leaf-2")
	for _, key := range keys {
		do(t, c, "get "+key+"\r\n", fmt.Sprintf("VALUE %s 0 1\r\nv\r\nEND\r\n", key))
	}
}

// TestHandOverToTheDead: an heir that is down is waited for as long as one likes.
func TestHandOverToTheDead(t *testing.T) {
	w, _ := newWorld(t, Options{Warm: time.Minute, Timeout: 100 * time.Millisecond})
	two := w.Leaf("leaf-2")
	w.Kill("leaf-3")
	w.Decide(nil, "leaf-1", "leaf-3")
	tell(t, w)
	waitFor(t, "leaf-1 has read all", func() bool { return slices.Equal(two.HandOver().Left, []string{"leaf-3"}) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if h := two.AwaitHandOver(ctx); h.Done() || h.Epoch == 0 {
		t.Errorf("%+v", h)
	}
}

// TestHandOverWithoutWarming: nobody asks for what was held.
func TestHandOverWithoutWarming(t *testing.T) {
	w, _ := newWorld(t, Options{})
	w.Decide(nil, "leaf-1", "leaf-3")
	tell(t, w)
	two := w.Leaf("leaf-2")
	waitFor(t, "leaf-2 has heard of it", func() bool { h := two.HandOver(); return h.Done() && h.Heirs == 2 })
}

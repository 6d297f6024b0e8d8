// What watchers see.

package watch

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// at is a clock that stands still.
func at(us int64) func() time.Time {
	return func() time.Time { return time.UnixMicro(us) }
}

// collect runs w until its reader has seen want.
func collect(t *testing.T, w *Watcher, want string) {
	t.Helper()
	r, out := io.Pipe()
	gone, ended := make(chan struct{}), make(chan struct{})
	go func() { w.Run(out, gone); close(ended) }()
	got := make([]byte, len(want))
	n, err := io.ReadFull(r, got)
	if err != nil || string(got) != want {
		t.Errorf("sees %q (%v), want %q", got[:n], err, want)
	}
	close(gone)
	r.Close()
	<-ended
}

func TestEachSeesItsStreams(t *testing.T) {
	h := New(Options{Now: at(1_700_000_000_000_042)})
	if h.Wants(Fetchers | Mutations | ProxyUser) {
		t.Error("nobody watches, and something is wanted")
	}
	h.Write(Fetchers, []byte("type=lost"))
	a, err := h.Subscribe(Fetchers | ProxyUser)
	if err != nil {
		t.Fatal(err)
	}
	b, err := h.Subscribe(Mutations)
	if err != nil {
		t.Fatal(err)
	}
	if !h.Wants(Fetchers) || !h.Wants(Mutations) || h.Wants(Evictions|ProxyReqs) {
		t.Error("what is wanted is not what was asked for")
	}
	h.Write(Fetchers, []byte("type=item_get key=a"))
	h.Write(Mutations, []byte("type=item_store key=b"))
	h.Write(ProxyUser, []byte("type=proxy_user msg=hello\nts=1.0 gid=9 type=forged"))
	h.Write(Evictions, []byte("type=eviction"))
	collect(t, a, "ts=1700000000.000042 gid=1 type=item_get key=a\nts=1700000000.000042 gid=3 type=proxy_user msg=hello\n")
	if h.Wants(Fetchers) {
		t.Error("its watcher has gone, and fetchers are wanted")
	}
	collect(t, b, "ts=1700000000.000042 gid=2 type=item_store key=b\n")
	if got, want := h.Stats(), (Stats{Written: 3, Sent: 3}); got != want {
		t.Errorf("figures %+v, want %+v", got, want)
	}
}

// A watcher that does not read costs its queue, and is told what it missed, where it missed it.
func TestWhatDoesNotFitIsCounted(t *testing.T) {
	h := New(Options{Now: at(0), Buffer: 60})
	w, err := h.Subscribe(Fetchers)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		h.Write(Fetchers, []byte("type=x")) // 27 bytes with what stands before it
	}
	first := string(w.take(nil))
	if want := "ts=0.000000 gid=1 type=x\nts=0.000000 gid=2 type=x\n"; first != want {
		t.Fatalf("queued %q, want %q", first, want)
	}
	h.Write(Fetchers, []byte("type=y"))
	collect(t, w, "skipped=3\nts=0.000000 gid=6 type=y\n")
	if got := h.Stats().Skipped; got != 3 {
		t.Errorf("%d lines skipped, want 3", got)
	}
}

func TestNoMoreThanMost(t *testing.T) {
	h := New(Options{Most: 2})
	a, errA := h.Subscribe(Fetchers)
	b, errB := h.Subscribe(Fetchers)
	if _, err := h.Subscribe(Fetchers); errA != nil || errB != nil || !errors.Is(err, ErrTooMany) {
		t.Fatalf("got %v, %v, %v", errA, errB, err)
	}
	a.Close()
	a.Close()
	c, err := h.Subscribe(Fetchers)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	c.Close()
	if h.Stats().Watchers != 0 {
		t.Error("a watcher is left")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("gone") }

func TestAFailedWriteEndsTheWatcher(t *testing.T) {
	h := New(Options{})
	w, _ := h.Subscribe(Fetchers)
	h.Write(Fetchers, []byte("type=x"))
	w.Run(broken{}, nil)
	if h.Stats().Watchers != 0 || h.Wants(Fetchers) {
		t.Error("the watcher is still there")
	}
}

func TestNamed(t *testing.T) {
	for word, want := range map[string]Stream{
		"rawcmds": RawCmds, "evictions": Evictions, "fetchers": Fetchers, "mutations": Mutations, "sysevents": SysEvents,
		"connevents": ConnEvents, "proxyreqs": ProxyReqs, "proxyevents": ProxyEvents, "proxyuser": ProxyUser, "deletions": Deletions,
		"f": Fetchers, "proxy": ProxyReqs, "": 0, "fetchersx": 0, "nothing": 0,
	} {
		if got := Named([]byte(word)); got != want {
			t.Errorf("%q: %b, want %b", word, got, want)
		}
	}
}

func TestEncoded(t *testing.T) {
	if got := string(AppendEncoded(nil, []byte("aZ09-._~ n,\r\n\xff"))); got != "aZ09-._~%20n%2C%0D%0A%FF" {
		t.Errorf("got %q", got)
	}
	if got := string(AppendEncoded(nil, []byte(strings.Repeat("#", 250)))); len(got) != 750 {
		t.Errorf("%d bytes, want 750", len(got))
	}
}

func TestAllocNobodyWatches(t *testing.T) {
	var none *Hub
	h := New(Options{})
	if n := testing.AllocsPerRun(100, func() {
		if none.Wants(Fetchers) || h.Wants(Fetchers) {
			t.Error("wanted")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// While a leaf recovers its neighbour's items: a command that writes keeps older items away, also if it finds nothing.

package command

import (
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/leaf/store"
)

func TestWritesClaimTheirKeys(t *testing.T) {
	reads := []string{"get k", "gets k", "mg k v", "mg k s t", "me k", "mg k E5", "touch other 0", "md other"}
	writes := []string{
		"set k 0 0 1|1", "add k 0 0 1|1", "replace k 0 0 1|1", "append k 0 0 1|1", "prepend k 0 0 1|1", "cas k 0 0 1 5|1",
		"delete k", "touch k 100", "gat 100 k", "gats 100 k", "incr k 1", "decr k 1",
		"ms k 1|1", "ms k 1 ME|1", "ms k 1 MR|1", "ms k 1 MA|1", "ms k 1 MP|1", "ms k 1 MA N0|1", "ms k 1 C5|1", "ms k 1 C5 I|1",
		"md k", "md k I", "md k x", "md k C5", "md k q", "ma k", "ma k MD", "ma k N0", "mg k T30", "mg k v N30", "mg k v T0",
		"set k 0 -1 1|1", "set k 0 0 5000000|" + strings.Repeat("x", 5_000_000),
	}
	f := func(line string, want store.Taken) {
		t.Helper()
		b := newBench(t, Options{})
		r := recovering(t, b)
		b.send(wire(line))
		if got := r.Put(0, &store.Item{Key: []byte("k"), Value: []byte("old"), CAS: 5}, 0); got != want {
			t.Errorf("%.20s: then an older item was %v, want %v", line, got, want)
		}
	}
	for _, line := range reads {
		f(line, store.TakenStored)
	}
	for _, line := range writes {
		f(line, store.TakenKept)
	}
}

// What may be older than a neighbour's is not built upon, but it can be read, deleted, and it keeps an add away.
func TestEarlyItemsAreNotBuiltUpon(t *testing.T) {
	for line, want := range map[string]string{
		"get k": "VALUE k 0 1|1|END", "add k 0 0 1|2": "NOT_STORED", "ms k 1 ME|2": "NS",
		"set k 0 0 1|2": "STORED", "delete k": "DELETED", "md k": "HD",
		"incr k 1": "NOT_FOUND", "ma k": "NF", "append k 0 0 1|2": "NOT_STORED", "prepend k 0 0 1|2": "NOT_STORED",
		"replace k 0 0 1|2": "NOT_STORED", "cas k 0 0 1 1|2": "NOT_FOUND", "touch k 100": "NOT_FOUND", "gat 100 k": "END",
		"mg k T100": "EN", "md k I": "NF", "md k x": "NF",
	} {
		b := newBench(t, Options{})
		r, err := b.e.store.Recover(1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.End()
		b.send(wire("set k 0 0 1|1"))
		if got := unwire(b.send(wire("touch k 0"))); got != "TOUCHED" {
			t.Errorf("before: %q", got)
		}
		r.Settling()
		r.Settled()
		if got := unwire(b.send(wire(line))); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func recovering(t *testing.T, b *bench) *store.Recovery {
	t.Helper()
	r, err := b.e.store.Recover(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.End)
	r.Settling()
	r.Settled()
	return r
}

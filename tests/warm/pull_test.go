package warm

import (
	"fmt"
	"testing"
	"time"
)

// TestPull: a leaf that joins takes the items of its keys from those who owned them, what is read most first, and nothing over what was
// written or deleted there since.
func TestPull(t *testing.T) {
	const n = 60
	keys := movedKeys(t, n)
	w, p := newWorld(t, Options{Warm: time.Minute})
	c := p.Client(1)
	for _, key := range keys {
		do(t, c, "set "+key+" 7 1000 3\r\nold\r\n", "STORED\r\n")
	}
	for range 9 {
		do(t, c, "get "+keys[0]+"\r\n", "VALUE "+keys[0]+" 7 3\r\nold\r\nEND\r\n")
	}
	grow(t, w)
	do(t, c, "set "+keys[1]+" 0 0 3\r\nnew\r\n", "STORED\r\n")
	do(t, c, "delete "+keys[2]+"\r\n", "DELETED\r\n")
	four := w.Leaf("leaf-4")
	waitFor(t, "all items", func() bool { return four.Local().Store.Stats().Items == n-1 })
	before := four.Stats().Elsewhere
	for i, key := range keys {
		want := "VALUE " + key + " 7 3\r\nold\r\nEND\r\n"
		switch i {
		case 1:
			want = "VALUE " + key + " 0 3\r\nnew\r\nEND\r\n"
		case 2:
			want = "END\r\n"
		}
		do(t, c, "get "+key+"\r\n", want)
	}
	if s := four.Stats(); s.Elsewhere != before || s.Pulled == 0 {
		t.Errorf("previous owners were asked %d times for what was pulled; %d pulled", s.Elsewhere-before, s.Pulled)
	}
}

// TestDrain: when a leaf leaves, the others take what it held.
func TestDrain(t *testing.T) {
	w, p := newWorld(t, Options{Warm: time.Minute})
	c := p.Client(1)
	keys := keysOf(t, p, "leaf-2", 40)
	for _, key := range keys {
		do(t, c, "set "+key+" 0 0 1\r\nv\r\n", "STORED\r\n")
	}
	w.Decide(nil, "leaf-1", "leaf-3")
	tell(t, w)
	waitFor(t, "what leaf-2 held", func() bool {
		return w.Leaf("leaf-1").Local().Store.Stats().Items+w.Leaf("leaf-3").Local().Store.Stats().Items == int64(len(keys))
	})
	w.Kill("leaf-2")
	for _, key := range keys {
		do(t, c, "get "+key+"\r\n", fmt.Sprintf("VALUE %s 0 1\r\nv\r\nEND\r\n", key))
	}
}

func waitFor(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// What an heir reads of several previous owners.

package leaf

import (
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// heirs makes a pool of the two leaves a and c, which hold n items of 1000 bytes each, about half of them its own, and has b be the only owner after
// them. addr changes where b finds them.
func heirs(t *testing.T, n int, memory int64, addr func(l *Leaf) string) (a, b, c *Leaf) {
	t.Helper()
	leaves := map[string]*Leaf{}
	for _, name := range []string{"a", "b", "c"} {
		o := Options{Name: name, Lanes: 1}
		if name == "b" {
			o.Memory, o.MaxItem = memory, 64<<10
		}
		leaves[name] = start(t, o)
	}
	a, b, c = leaves["a"], leaves["b"], leaves["c"]
	before := frame.Membership{Pool: "users", Epoch: uint64(time.Now().UnixMilli()) + 1000, Members: []frame.Member{{Name: "a"}, {Name: "c"}}}
	after := before
	after.Epoch, after.After = before.Epoch+1, before.Epoch
	after.Members = []frame.Member{{Name: "b"}}
	after.WarmUntil = time.Now().Add(time.Hour).UnixMilli()
	for _, l := range []*Leaf{a, c} {
		fill(l, "k", n, 1000)
		after.Previous = append(after.Previous, frame.Member{Name: l.Name(), Addr: addr(l)})
	}
	for _, l := range []*Leaf{a, c, b} {
		p := dial(t, l)
		p.tell(0, before)
		p.tell(0, after)
		p.by(after.Epoch, 1, 0, "mn\r\n")
		if h, _ := p.next(); h.Epoch != after.Epoch {
			t.Fatalf("%s goes by %d, want %d", l.Name(), h.Epoch, after.Epoch)
		}
	}
	return a, b, c
}

// TestFullHeirSaysSo: leaves that leave wait until an heir has read what it wants. One that has had enough of the first says so to the others.
func TestFullHeirSaysSo(t *testing.T) {
	a, b, c := heirs(t, 4000, 4<<20, (*Leaf).URL)
	for _, l := range []*Leaf{a, c} {
		waitFor(t, l.Name()+" to have handed over", func() bool { h := l.HandOver(); return h.Done() && h.Heirs == 1 })
	}
	if n := b.Stats().Pulled; n < 500 || n > 1100 {
		t.Errorf("%d items of 1000 bytes came, want a quarter of 4 MiB", n)
	}
}

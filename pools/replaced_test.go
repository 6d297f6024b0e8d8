// Leaves whose names others have now.

package pools

import (
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// hearer is a leaf that notes what it is told, and is fenced by it.
type hearer struct {
	script
	heard []string
}

func (h *hearer) Send(r *mc.Request, p *backend.Pending) {
	h.heard = append(h.heard, string(p.Term.Text))
	h.script.Send(r, p)
}

// TestReplacedIsTold: a leaf that is there yet when another of its name owns its keys hears that they are not its own; all others hear of the name alone.
func TestReplacedIsTold(t *testing.T) {
	first, second, other := &hearer{script: script{name: "a"}}, &hearer{script: script{name: "a"}}, &hearer{script: script{name: "b"}}
	p := mustPool(t, Options{Dist: DistRendezvous}, nil)
	set := func(epoch uint64, owners ...backend.Backend) {
		t.Helper()
		ms := Membership{Epoch: epoch, After: epoch - 1}
		for _, b := range owners {
			ms.Members = append(ms.Members, Member{Backend: b})
		}
		if err := p.SetMembership(ms); err != nil {
			t.Fatal(err)
		}
	}
	set(now, first, other)
	set(now+1, second, other)
	set(now+2, first, other)
	const mine, anothers = `[{"name":"a"},{"name":"b"}]`, `[{"name":"a","leaf":"_"},{"name":"b"}]`
	f := func(who string, h *hearer, want ...string) {
		t.Helper()
		if len(h.heard) != len(want) {
			t.Fatalf("%s was told %d times, want %d: %q", who, len(h.heard), len(want), h.heard)
		}
		for i, members := range want {
			if !strings.Contains(h.heard[i], `"members":`+members) {
				t.Errorf("%s was told %q, want the members %s", who, h.heard[i], members)
			}
		}
	}
	f("the first", first, mine, anothers, mine)
	f("the second", second, mine, anothers)
	f("the other", other, mine, mine, mine)
}

// Members that come, and come back, are tried at once.

package pools

import (
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// guest counts how often it was welcome.
type guest struct {
	fake
	welcomed int
}

func (g *guest) Welcome() { g.welcomed++ }

func TestWelcome(t *testing.T) {
	one, two := &guest{fake: fake{name: "one"}}, &guest{fake: fake{name: "two"}}
	both := []Member{{Backend: one}, {Backend: backend.WithFlush(two, func() {})}}
	p := mustPool(t, Options{}, both)
	f := func(epoch uint64, members []Member, want1, want2 int) {
		t.Helper()
		if err := p.SetMembership(Membership{Epoch: epoch, Members: members, Now: time.Now}); err != nil {
			t.Fatal(err)
		}
		if one.welcomed != want1 || two.welcomed != want2 {
			t.Errorf("epoch %d: welcomed %d and %d times, want %d and %d", epoch, one.welcomed, two.welcomed, want1, want2)
		}
	}
	f(0, both, 0, 0) // as the pool was made with
	f(0, both[:1], 0, 0)
	f(0, both, 0, 1)
	f(1, both, 0, 1)
	f(2, both[:1], 0, 1)
	f(3, both, 0, 2)
	f(3, both, 0, 2) // told twice
	f(4, both[1:], 0, 2)
	f(5, both, 1, 2)
}

// What is kept over memberships that mean others.

package leaf

import (
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// TestReplacedServesNothingOld: what a leaf held when its name became another's is nobody's, though it has the name again, and goes to nobody.
func TestReplacedServesNothingOld(t *testing.T) {
	l := start(t, Options{Name: "a", Lanes: 1})
	p := dial(t, l)
	epoch := uint64(time.Now().UnixMilli()) + 1000
	goBy := func(member frame.Member, request, want string) {
		t.Helper()
		epoch++
		p.tell(0, frame.Membership{
			Pool: "users", Epoch: epoch, After: epoch - 1, Members: []frame.Member{member}, WarmUntil: time.Now().Add(time.Hour).UnixMilli(),
		})
		p.by(epoch, epoch, 0, request)
		if _, got := p.next(); got != want {
			t.Errorf("%q: %q, want %q", request, got, want)
		}
	}
	goBy(frame.Member{Name: "a"}, "ms k 1\r\nv\r\n", "HD\r\n")
	goBy(frame.Member{Name: "a"}, "mg k v\r\n", "VA 1\r\nv\r\n")
	goBy(frame.Member{Name: "a", Leaf: "_"}, "mn\r\n", "MN\r\n")
	goBy(frame.Member{Name: "a"}, "mg k v\r\n", "EN\r\n")
	goBy(frame.Member{Name: "b"}, "\x02mg k O1\r\n", "EN\r\n")
}

// Proxies of another pool.

package leaf

import (
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// TestOthersAreForgotten: of a proxy that goes by another pool's membership nothing is kept when it has been forgotten.
func TestOthersAreForgotten(t *testing.T) {
	l := start(t, Options{Lanes: 2})
	ours, other := dial(t, l), dial(t, l)
	ours.tell(0, frame.Membership{Pool: "users", Epoch: 7, Members: []frame.Member{{Name: "leaf-1"}}})
	ours.by(7, 1, 0, "mn\r\n")
	ours.next()
	for lane := range 2 {
		m := frame.Membership{Pool: "sessions", Epoch: 8, Members: []frame.Member{{Name: "leaf-1"}}}
		other.tell(lane, m)
		other.by(8, uint64(lane), lane, "mn\r\n")
		other.refusal(uint64(lane), frame.ReasonEpoch)
	}
	waitFor(t, "idle", func() bool { return l.Stats().Pending == 0 }) // an answer comes before its frame is off the account
	var kept []weak.Pointer[peer]
	for _, p := range l.peers.all() {
		kept = append(kept, weak.Make(p))
	}
	if len(kept) != 2 {
		t.Fatalf("%d proxies", len(kept))
	}
	l.peers.forget(time.Now().Add(2 * peerIdle))
	for _, p := range kept {
		waitFor(t, "a proxy to be forgotten", func() bool { runtime.GC(); return p.Value() == nil })
	}
}

// TestOthersComeBack: who was forgotten, as after a time in which it or the leaf was stopped, has told its membership and does not do so again. It is no
// more the leaf's proxy than before, and its epoch is not the leaf's.
func TestOthersComeBack(t *testing.T) {
	l := start(t, Options{Lanes: 1})
	ours, other := dial(t, l), dial(t, l)
	ours.tell(0, frame.Membership{Pool: "users", Epoch: 7, Members: []frame.Member{{Name: "leaf-1"}}})
	ours.by(7, 1, 0, "mn\r\n")
	ours.next()
	other.tell(0, frame.Membership{Pool: "sessions", Epoch: 8, Members: []frame.Member{{Name: "leaf-1"}}})
	other.by(8, 1, 0, "mn\r\n")
	other.refusal(1, frame.ReasonEpoch)
	waitFor(t, "idle", func() bool { return l.Stats().Pending == 0 })
	l.peers.forget(time.Now().Add(2 * peerIdle))
	other.by(8, 2, 0, "mn\r\n")
	other.refusal(2, frame.ReasonEpoch)
	ours.by(7, 2, 0, "mn\r\n")
	ours.want(2, "MN\r\n")
	ours.tell(0, frame.Membership{Pool: "users", Epoch: 9, After: 7, Members: []frame.Member{{Name: "leaf-1"}}})
	ours.by(9, 3, 0, "mn\r\n")
	if h, body := ours.next(); h.ID != 3 || h.Epoch != 9 || body != "MN\r\n" {
		t.Errorf("%+v %q", h, body)
	}
}

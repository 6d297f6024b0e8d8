// Asking for a name on behalf of others.

package leaf

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestRelaysAreBounded: whoever may publish can ask a leaf for names as often as it likes, and has it remember so many only.
func TestRelaysAreBounded(t *testing.T) {
	l := start(t, Options{Settle: time.Millisecond, Cluster: Cluster{Listen: "127.0.0.1:0"}})
	p := dial(t, l)
	var relay *nats.Subscription
	for _, s := range l.subs {
		if s.Subject == relaySubject {
			relay = s
		}
	}
	base, asked, most := l.nc.NumSubscriptions(), int64(5*maxRelays), 0
	before, _ := relay.Delivered()
	for range asked {
		p.send(relaySubject, []byte("nobody"))
	}
	waitFor(t, "all to be looked at", func() bool {
		most = max(most, l.nc.NumSubscriptions())
		n, _ := relay.Delivered()
		return n-before >= asked
	})
	if most > base+maxRelays {
		t.Errorf("%d subscriptions at one time, of them %d before", most, base)
	}
	waitFor(t, "the end of them", func() bool { return l.relays.Load() == 0 })
	p = dial(t, l) // the other has been told a thousand times that there is nobody
	p.send(relaySubject, []byte(l.Name()))
	if r := p.reply(); r.Instance != l.Instance() {
		t.Errorf("%+v", r)
	}
}

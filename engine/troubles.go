// What the log says of backends: when one goes away or fails, why, and when it is back. Not for every connection or request of it.

package engine

import (
	"strings"
	"sync"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// backendEvent logs what happens to connections to backends.
func (p *Proxy) backendEvent(e backend.Event) {
	p.tellBackend(&e)
	if e.Label == "" {
		e.Label = strings.TrimSuffix(e.Name+":"+e.Port, ":")
	}
	who := []any{"backend", e.Label, "name", e.Name, "port", e.Port}
	if e.Leaf != "" {
		who = append(who, "leaf", e.Leaf)
	}
	ok, repeated := p.troubles.note(&e, p.wall())
	switch {
	case e.Kind == backend.EventConnected && ok && e.Leaf == "": // a leaf's backend says so itself, and which instance it is
		p.log.Info("backend is back", who...)
	case e.Kind == backend.EventConnected:
		p.log.Debug("backend connected", who...)
	case ok:
		args := append([]any{"event", string(e.Kind)}, who...)
		p.log.Warn("backend trouble", append(args, "depth", e.Depth, "retry", e.Retry, "err", e.Err, "repeated", repeated)...)
	}
}

// troubleEvery is the least time between two log lines that say the same of a backend. A backend has many connections, and one that
// is slow now and then loses requests all the time.
const troubleEvery = 10 * time.Second

// maxTroubles is for how many backends is remembered what the log says of them; of more, it says too much.
const maxTroubles = 4096

// troubles are what the log has last said of each backend. The zero value is ready, and safe for concurrent use.
type troubles struct {
	mu  sync.Mutex
	all map[troubled]*trouble
}

// troubled is who is in trouble.
type troubled struct{ label, name, port string }

type trouble struct {
	there bool // it has not been said that it is over
	kinds map[backend.EventKind]*toldTrouble
}

type toldTrouble struct {
	at       time.Time
	repeated int // since then
}

// note reports whether an event is to be logged, and how many like it were not since the last that was. EventConnected is, if it ends
// what was logged; others are if they are not like one of late. However often that happens, the log does not end with a backend that
// is back and is not: one that goes for long is marked bad, which is always logged then.
func (t *troubles) note(e *backend.Event, now time.Time) (ok bool, repeated int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	who := troubled{e.Label, e.Name, e.Port}
	of := t.all[who]
	if e.Kind == backend.EventConnected {
		if of == nil || !of.there {
			return false, 0
		}
		of.there = false
		return true, 0
	}
	if of == nil {
		if of = (&trouble{kinds: map[backend.EventKind]*toldTrouble{}}); t.all == nil || len(t.all) >= maxTroubles {
			t.all = map[troubled]*trouble{}
		}
		t.all[who] = of
	}
	kind := of.kinds[e.Kind]
	if kind == nil {
		kind = &toldTrouble{}
		of.kinds[e.Kind] = kind
	}
	left := e.Kind == backend.EventMarkedBad || e.Kind == backend.EventMarkedBadFlap // for a while, in which nothing more is told
	if now.Sub(kind.at) < troubleEvery && (of.there || !left) {
		kind.repeated++
		return false, 0
	}
	repeated = kind.repeated
	kind.at, kind.repeated, of.there = now, 0, true
	return true, repeated
}

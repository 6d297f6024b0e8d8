// Which servers are asked for several keys: those that greet as memcached does, are in use, and have shown that they answer.

package memcached

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// keyed has every key but those that begin with miss, and is unlike others in what it makes of a get of several.
type keyed struct {
	greeting string
	takes    func(keys []string) (answered []string, instead string)

	mu    sync.Mutex
	lines []string
}

func (s *keyed) serve(p *peer) {
	if p.line() != "version" {
		return
	}
	p.say("VERSION %s\r\n", s.greeting)
	for l := p.line(); l != ""; l = p.line() {
		s.mu.Lock()
		s.lines = append(s.lines, l)
		s.mu.Unlock()
		keys := strings.Fields(l)[1:]
		instead := ""
		if len(keys) > 1 {
			keys, instead = s.takes(keys)
		}
		if instead != "" {
			p.say("%s", instead)
			continue
		}
		for _, k := range keys {
			if !strings.HasPrefix(k, "miss") {
				p.say("VALUE %s 0 %d\r\n%s\r\n", k, len(k), k)
			}
		}
		p.say("END\r\n")
	}
}

// several counts the gets of more than one key, and the keys of the longest.
func (s *keyed) several() (n, longest int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if k := len(strings.Fields(l)) - 1; k > 1 {
			n, longest = n+1, max(longest, k)
		}
	}
	return n, longest
}

func TestTrial(t *testing.T) {
	all := func(keys []string) ([]string, string) { return keys, "" }
	first := func(keys []string) ([]string, string) { return keys[:1], "" }
	bad := func([]string) ([]string, string) { return nil, "ERROR\r\n" }
	complains := func([]string) ([]string, string) { return nil, "CLIENT_ERROR bad command line format\r\n" }
	for _, c := range []struct {
		name     string
		greeting string
		takes    func([]string) ([]string, string)
		multiget backend.Multiget
		hits     bool // it has what it is asked for
		trials   int  // gets of several keys if no more than two keys are ever asked for; -1: gets are joined
	}{
		{"memcached", "1.6.18", all, backend.MultigetKnown, true, -1},
		{"an old one", "1.4.0", all, backend.MultigetKnown, true, -1},
		{"from git", "1.6.45_3_g0a1b2c3", all, backend.MultigetKnown, true, -1},
		{"a distribution's", "1.10.2 (Distribution)", all, backend.MultigetKnown, true, -1},
		{"one that has nothing", "1.6.18", all, backend.MultigetKnown, false, 0},
		{"one that looks at the first key", "1.6.18", first, backend.MultigetKnown, true, maxTrials},
		{"one that answers ERROR", "1.6.18", bad, backend.MultigetKnown, true, 1},
		{"one that complains", "1.6.18", complains, backend.MultigetKnown, true, 1},
		{"too old", "1.2.6", all, backend.MultigetKnown, true, 0},
		{"too old, but the configuration says so", "1.2.6", all, backend.MultigetAlways, true, -1},
		{"the configuration forbids it", "1.6.18", all, backend.MultigetNever, true, 0},
		{"a mock", "1.6.18-mock", all, backend.MultigetKnown, true, 0},
		{"a proxy", "0.5.0", all, backend.MultigetKnown, true, 0},
		{"of another make", "2.0.0", all, backend.MultigetKnown, true, 0},
		{"no version at all", "something else", all, backend.MultigetKnown, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &keyed{greeting: c.greeting, takes: c.takes}
			host, port := serveRaw(t, s.serve)
			b, ev := at(t, host, port, Options{Multiget: c.multiget})
			ev.wait(backend.EventConnected)
			for round := range 6 {
				var requests, want []string
				for i := range 3 * busy {
					key := fmt.Sprintf("k%d.%d", round, i)
					if !c.hits || i%7 == 3 {
						key = "miss" + key
					}
					requests = append(requests, "get "+key+"\r\n")
					if strings.HasPrefix(key, "miss") {
						want = append(want, "END\r\n")
					} else {
						want = append(want, valueOf(key))
					}
				}
				for i, p := range together(t, b, requests...) {
					if got := text(p); got != want[i] {
						t.Fatalf("round %d: %q: got %q, want %q", round, requests[i], got, want[i])
					}
				}
			}
			n, longest := s.several()
			if c.trials < 0 && longest < busy || c.trials >= 0 && (n != c.trials || longest > 2) {
				t.Errorf("%d gets of several keys, the longest of %d; want %d", n, longest, c.trials)
			}
			if st := b.Status(); ev.kinds() != "" || st.Opened != 1 || st.Queued != 0 {
				t.Errorf("events %q, %+v", ev.kinds(), st)
			}
		})
	}
}

// A few requests travel as they are, until there have been many.
func TestFewAreJoinedInTime(t *testing.T) {
	s := &keyed{greeting: "1.6.18", takes: func(keys []string) ([]string, string) { return keys, "" }}
	host, port := serveRaw(t, s.serve)
	b, ev := at(t, host, port, Options{})
	ev.wait(backend.EventConnected)
	for n := 0; n+2 <= used; n += 2 {
		together(t, b, "get a\r\n", "get b\r\n")
	}
	if n, _ := s.several(); n != 0 {
		t.Errorf("%d gets of several keys", n)
	}
	for range 2 { // a trial, and what comes of it
		for under := true; under; runtime.Gosched() { // the answer that was wanted comes before its end
			b.conns[0].mu.Lock()
			under = b.conns[0].trial.under
			b.conns[0].mu.Unlock()
		}
		for i, p := range together(t, b, "get a\r\n", "get b\r\n", "get c\r\n") {
			if got, want := text(p), valueOf(string("abc"[i])); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
	if n, longest := s.several(); n != 2 || longest != 3 {
		t.Errorf("%d gets of several keys, the longest of %d", n, longest)
	}
}

// Debian's memcached passes the trial, and answers what is joined as it answers what is not.
func TestTrialWithMemcached(t *testing.T) {
	sock := t.TempDir() + "/s"
	startMemcached(t, "-s", sock)
	ev := newEvents()
	b := open(t, Options{Path: sock, OnEvent: ev.on, RetryWait: 10 * time.Millisecond, FailureLimit: 1 << 30})
	ev.wait(backend.EventConnected)
	for i := range 50 {
		ask(t, b, fmt.Sprintf("set k%d 0 0 2\r\n%02d\r\n", i, i))
	}
	var requests, want []string
	for i := range 60 {
		key := fmt.Sprintf("k%d", i)
		requests = append(requests, "get "+key+"\r\n")
		if i < 50 {
			want = append(want, fmt.Sprintf("VALUE %s 0 2\r\n%02d\r\nEND\r\n", key, i))
		} else {
			want = append(want, "END\r\n")
		}
	}
	for range 4 {
		for i, p := range together(t, b, requests...) {
			if got := text(p); got != want[i] {
				t.Errorf("%q: got %q, want %q", requests[i], got, want[i])
			}
		}
	}
	c := b.conns[0]
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.trial.proven || c.trial.n != 1 {
		t.Errorf("proven %v after %d trials", c.trial.proven, c.trial.n)
	}
}

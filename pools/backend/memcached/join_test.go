// Gets that travel together: each request has its own answer, whatever the server makes of the line.

package memcached

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// together sends requests so that one write takes them all, and waits for their answers. The server is greeted and has nothing else to do.
func together(t *testing.T, b *Backend, requests ...string) []*backend.Pending {
	t.Helper()
	c := b.conns[0]
	for asleep := false; !asleep; runtime.Gosched() {
		c.mu.Lock()
		asleep, c.idle = c.idle, false // from here on the writer does not wake before Kick
		c.mu.Unlock()
	}
	w := newWaiter()
	var ps []*backend.Pending
	for _, r := range requests {
		ps = append(ps, send(t, b, w, r))
	}
	c.Kick()
	w.take(len(ps))
	return ps
}

// answersTo is how a server that got lines would have answered.
type answersTo map[string]string

// scripted answers each line as it is told to, and keeps the lines.
func scripted(t *testing.T, greeting string, o Options, answers answersTo) (b *Backend, ev *events, lines func() []string) {
	var mu sync.Mutex
	var got []string
	host, port := serveRaw(t, func(p *peer) {
		if p.line() != "version" {
			return
		}
		p.say("VERSION %s\r\n", greeting)
		for l := p.line(); l != ""; l = p.line() {
			mu.Lock()
			got = append(got, l)
			mu.Unlock()
			a, known := answers[l]
			if !known {
				a = "CLIENT_ERROR unexpected\r\n"
			}
			for a != "" { // in pieces, so that the reader sees all beginnings
				n := min(len(a), 1+len(a)%7)
				if _, err := p.Write([]byte(a[:n])); err != nil {
					return
				}
				a = a[n:]
			}
			if strings.HasPrefix(l, "set ") {
				p.line()
			}
		}
	})
	b, ev = at(t, host, port, o)
	ev.wait(backend.EventConnected)
	return b, ev, func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(got) }
}

func value(key, v string) string { return fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\n", key, len(v), v) }

func TestJoinedGets(t *testing.T) {
	const end = "END\r\n"
	hit := func(key string) string { return value(key, key) + end }
	lost := backend.ErrProtocol.Error()
	for name, c := range map[string]struct {
		requests, lines []string
		answers         answersTo
		want            []string
		event           string
	}{
		"hits": {
			[]string{"get a", "get b", "get c"}, []string{"get a b c"},
			answersTo{"get a b c": value("a", "a") + value("b", "b") + value("c", "c") + end}, []string{hit("a"), hit("b"), hit("c")}, "",
		},
		"misses at the front, between and at the end": {
			[]string{"get a", "get b", "get c", "get d", "get e"}, []string{"get a b c d e"},
			answersTo{"get a b c d e": value("b", "b") + value("d", "d") + end}, []string{end, hit("b"), end, hit("d"), end}, "",
		},
		"misses alone": {[]string{"get a", "get b"}, []string{"get a b"}, answersTo{"get a b": end}, []string{end, end}, ""},
		"in another order": {
			[]string{"get a", "get b", "get c"}, []string{"get a b c"},
			answersTo{"get a b c": value("c", "c") + value("a", "a") + end}, []string{hit("a"), end, hit("c")}, "",
		},
		"one key twice": {
			[]string{"get a", "get a", "get b"}, []string{"get a a b"},
			answersTo{"get a a b": value("a", "1") + value("a", "2") + end}, []string{value("a", "1") + end, value("a", "2") + end, end}, "",
		},
		"only what follows one another, and has the same form": {
			[]string{"get a", "get b", "gets c", "gets d", "mg e v", "get f", "delete g", "get h", "get i"},
			[]string{"get a b", "gets c d", "mg e v", "get f", "delete g", "get h i"},
			answersTo{
				"get a b": value("b", "b") + end, "gets c d": "VALUE c 0 1 7\r\nc\r\n" + end, "mg e v": "EN\r\n",
				"get f": hit("f"), "delete g": "DELETED\r\n", "get h i": value("h", "h") + end,
			},
			[]string{end, hit("b"), "VALUE c 0 1 7\r\nc\r\n" + end, end, "EN\r\n", hit("f"), "DELETED\r\n", hit("h"), end}, "",
		},
		"an error is everybody's who has no answer": {
			[]string{"get a", "get b", "get c", "get d"}, []string{"get a b c d"},
			answersTo{"get a b c d": value("b", "b") + "SERVER_ERROR out of memory writing get response\r\n"},
			[]string{
				"SERVER_ERROR out of memory writing get response\r\n", hit("b"),
				"SERVER_ERROR out of memory writing get response\r\n", "SERVER_ERROR out of memory writing get response\r\n",
			}, "",
		},
		"a value that nobody asked for": {
			[]string{"get a", "get b"}, []string{"get a b"},
			answersTo{"get a b": value("a", "a") + value("x", "x") + end}, []string{hit("a"), lost}, "invalidprotocol",
		},
		"a value too many": {
			[]string{"get a", "get b"}, []string{"get a b"},
			answersTo{"get a b": value("a", "a") + value("a", "a") + value("b", "b") + end}, []string{hit("a"), lost}, "invalidprotocol",
		},
		"the answer to something else": {
			[]string{"get a", "get b"}, []string{"get a b"}, answersTo{"get a b": "STORED\r\n"}, []string{lost, lost}, "invalidprotocol",
		},
		"another word in place of END": {
			[]string{"get a", "get b"}, []string{"get a b"},
			answersTo{"get a b": value("a", "a") + value("b", "b") + "DELETED\r\n"}, []string{hit("a"), hit("b")}, "invalidprotocol",
		},
		"the server does not know such a get": {
			[]string{"get a", "get b"}, []string{"get a b"},
			answersTo{"get a b": "ERROR\r\n"}, []string{"ERROR\r\n", "ERROR\r\n"}, "invalidprotocol",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, ev, lines := scripted(t, "1.6.18", Options{ReadTimeout: time.Minute, Multiget: backend.MultigetAlways}, c.answers)
			var requests []string
			for _, r := range c.requests {
				requests = append(requests, r+"\r\n")
			}
			for i, p := range together(t, b, requests...) {
				if got := text(p); got != c.want[i] {
					t.Errorf("%q: got %q, want %q", c.requests[i], got, c.want[i])
				}
			}
			if got := lines(); !slices.Equal(got, c.lines) {
				t.Errorf("the server got %q, want %q", got, c.lines)
			}
			if c.event != "" {
				ev.wait(backend.EventKind(c.event))
			} else if got := ev.kinds(); got != "" {
				t.Errorf("events %q", got)
			}
			if s := b.Status(); s.Queued != 0 {
				t.Errorf("%d requests are still counted", s.Queued)
			}
		})
	}
}

// A get that never ends times out with all that were joined to it, and none of them gets what comes later.
func TestJoinedTimeout(t *testing.T) {
	b, ev, _ := scripted(t, "1.6.18", Options{ReadTimeout: 50 * time.Millisecond, Multiget: backend.MultigetAlways}, answersTo{"get a b c": value("b", "b"), "get d": value("d", "d") + "END\r\n"})
	ps := together(t, b, "get a\r\n", "get b\r\n", "get c\r\n")
	if got := text(ps[1]); got != value("b", "b")+"END\r\n" {
		t.Errorf("%q", got)
	}
	for _, p := range []*backend.Pending{ps[0], ps[2]} {
		if got := text(p); got != backend.ErrTimeout.Error() {
			t.Errorf("%q", got)
		}
	}
	ev.wait(backend.EventTimeout)
	if got := ask(t, b, "get d\r\n"); got != value("d", "d")+"END\r\n" {
		t.Errorf("afterwards: %q", got)
	}
}

// queued gives what many requests make the writer write.
func queued(t *testing.T, o Options, requests []string) []string {
	t.Helper()
	o.Host, o.Port, o.Down = "h", "1", true
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	c := b.conns[0]
	c.refuse, c.joins, c.trial.proven = nil, true, true
	for _, r := range requests {
		send(t, b, newWaiter(), r)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = true // there is no socket to set a deadline on
	buf, cuts := c.takeLocked()
	out := &pieces{}
	if err := writeCut(out, buf, cuts); err != nil {
		t.Fatal(err)
	}
	return out.list
}

// No line grows too long, keys keep their order, and over TLS none of the lines lies in two records.
func TestJoinedLines(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, tls := range []bool{false, true} {
		var requests, keys []string
		for i := range 5000 {
			key := fmt.Sprintf("%d-%s", i, strings.Repeat("k", rnd.IntN(200)))
			keys = append(keys, key)
			requests = append(requests, "get "+key+"\r\n")
		}
		var got []string
		longest := 0
		for _, piece := range queued(t, Options{TLS: backend.TLS{On: tls}, Multiget: backend.MultigetAlways}, requests) {
			if tls && len(piece) > maxRecord {
				t.Errorf("a piece has %d bytes", len(piece))
			}
			if !strings.HasSuffix(piece, "\r\n") {
				t.Errorf("a piece ends in %q", piece[max(0, len(piece)-20):])
			}
			for line := range strings.SplitSeq(strings.TrimSuffix(piece, "\r\n"), "\r\n") {
				longest = max(longest, len(line)+2)
				rest, ok := strings.CutPrefix(line, "get ")
				if !ok {
					t.Errorf("a line begins %.20q", line)
				}
				got = append(got, strings.Split(rest, " ")...)
			}
		}
		if !slices.Equal(got, keys) {
			t.Error("keys are missing, or come in another order")
		}
		if longest > maxJoined || longest < maxJoined-300 {
			t.Errorf("the longest line has %d bytes", longest)
		}
	}
}

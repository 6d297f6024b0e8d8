// Servers that break the protocol in every way: whoever asked gets its own answer or an error, never another's.

package memcached

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// One broken answer: which requests get what, what is said about it, and that a new connection then works.
func TestBrokenAnswers(t *testing.T) {
	lost, rubbish := backend.ErrDisconnected.Error(), backend.ErrProtocol.Error()
	f := func(requests, answer, wantEvent string, want ...string) {
		t.Helper()
		host, port := serve(t, func(p *peer) {
			if p.n > 1 {
				echo(p)
				return
			}
			for i := 0; i < strings.Count(requests, "\n"); i++ {
				p.line()
			}
			p.say("%s", strings.TrimSuffix(answer, "<close>"))
			if !strings.HasSuffix(answer, "<close>") {
				p.line() // until the other side has closed
			}
		})
		b, ev := at(t, host, port, Options{ReadTimeout: time.Minute})
		ev.wait(backend.EventConnected)
		w := newWaiter()
		var ps []*backend.Pending
		for _, r := range strings.SplitAfter(requests, "\n") {
			if r == "" {
				continue
			}
			if strings.HasPrefix(r, "set") || strings.HasPrefix(r, "ms ") {
				r += "\r\n" // an empty value
			}
			ps = append(ps, send(t, b, w, r))
		}
		w.take(len(want))
		for i, p := range ps {
			if got := text(p); got != want[i] {
				t.Errorf("%q answered by %q: request %d got %q, want %q", requests, answer, i, got, want[i])
			}
		}
		ev.wait(backend.EventKind(wantEvent))
		if got := ask(t, b, "get again\r\n"); got != valueOf("again") {
			t.Errorf("after %q: %q", answer, got)
		}
		if got := ev.kinds(); got != wantEvent {
			t.Errorf("after %q: events %q, want %q", answer, got, wantEvent)
		}
		if s := b.Status(); s.Queued != 0 || s.Opened != 2 || s.Failed != 1 || s.LastError == "" {
			t.Errorf("after %q: %+v", answer, s)
		}
	}
	const a, b = "get a\r\n", "get b\r\n"

	// Not an answer.
	f(a, "garbage\r\n", "parsing", rubbish)
	f(a, "\r\n", "parsing", rubbish)
	f(a+b, valueOf("a")+"garbage\r\n", "parsing", valueOf("a"), rubbish)
	f(a, "VALUE a 0 -1\r\n", "parsing", rubbish)
	f(a, "END\n", "parsing", rubbish)
	f(a+b, "SERVER_ERROR busy\nEND\r\n", "parsing", rubbish, rubbish)
	f(a, "VALUE a 0 1\r\nx\r\nEND\nEND\r\n", "missingend", rubbish)
	f(a, "VALUE a 0 1\r\nxyzEND\r\n", "parsing", rubbish)
	f(a, "VALUE a 0 99999999999\r\n", "outofmemory", rubbish)
	f(a, strings.Repeat("E", 5000), "parsing", rubbish)
	f(a, "VALUE a 0 1\r\nx\r\nVALUE b 0 1\r\nx\r\nEND\r\n", "missingend", rubbish)
	f(a, "STAT a b\r\nEND\r\n", "unhandledres", rubbish)
	f(a, "VERSION 1.2.3\r\n", "unhandledres", rubbish)

	// Another request's answer.
	f(a, valueOf("b"), "invalidprotocol", rubbish)
	f(a+b, valueOf("b")+valueOf("a"), "invalidprotocol", rubbish, rubbish)
	f(a+b, valueOf("a")+valueOf("a"), "invalidprotocol", valueOf("a"), rubbish)
	f(a, "STORED\r\n", "invalidprotocol", rubbish)
	f(a, "HD\r\n", "invalidprotocol", rubbish)
	f("set k 0 0 0\r\n", valueOf("k"), "invalidprotocol", rubbish)
	f("set k 0 0 0\r\n", "END\r\n", "invalidprotocol", rubbish)
	f("set k 0 0 0\r\n", "DELETED\r\n", "invalidprotocol", rubbish)
	f("set k 0 0 0\r\n", "5\r\n", "invalidprotocol", rubbish)
	f("delete k\r\n", "STORED\r\n", "invalidprotocol", rubbish)
	f("delete k\r\n", "OK\r\n", "invalidprotocol", rubbish)
	f("touch k 1\r\n", "DELETED\r\n", "invalidprotocol", rubbish)
	f("incr k 1\r\n", "TOUCHED\r\n", "invalidprotocol", rubbish)
	f("flush_all\r\n", "NOT_FOUND\r\n", "invalidprotocol", rubbish)
	f("mg k v\r\n", valueOf("k"), "invalidprotocol", rubbish)
	f("mg k v\r\n", "5\r\n", "invalidprotocol", rubbish)
	f("incr k 1\r\n", "VA 1\r\nx\r\n", "invalidprotocol", rubbish)
	f("mg a k v\r\nmg b k v\r\n", "VA 1 kb\r\nx\r\nVA 1 ka\r\nx\r\n", "invalidprotocol", rubbish, rubbish)
	f("ms a 0 k\r\n", "HD Ob kb\r\n", "invalidprotocol", rubbish)

	// More than was asked for.
	f(a, valueOf("a")+"END\r\n", "trailingdata", valueOf("a"))
	f(a, valueOf("a")+"x", "trailingdata", valueOf("a"))

	// Less.
	f(a+b, "VALUE a 0 10\r\nabc<close>", "disconnected", lost, lost)
	f(a+b, valueOf("a")+"VAL<close>", "disconnected", valueOf("a"), lost)
	f(a+b, "<close>", "disconnected", lost, lost)

	// Errors that are delivered, and after which nothing is trusted.
	f(a, "ERROR\r\n", "invalidprotocol", "ERROR\r\n")
	f(a, "ERROR unhappy\r\n", "invalidprotocol", "ERROR unhappy\r\n")
	f(a, "CLIENT_ERROR bad command line format\r\n", "invalidprotocol", "CLIENT_ERROR bad command line format\r\n")
	f(a+b, "CLIENT_ERROR bad protocol\r\nEND\r\n", "invalidprotocol", "CLIENT_ERROR bad protocol\r\n", rubbish)
	f("set k 0 0 0\r\n"+b, "CLIENT_ERROR invalid exptime argument\r\n", "invalidprotocol", "CLIENT_ERROR invalid exptime argument\r\n", rubbish)
}

// What is told of the bytes that broke a connection, and of how many requests it took along.
func TestEventRbuf(t *testing.T) {
	f := func(request, answer string, kind backend.EventKind, wantDepth int, want string) {
		t.Helper()
		host, port := serve(t, func(p *peer) {
			p.line()
			p.say("%s", answer)
			p.in.WriteTo(discard{})
		})
		b, ev := at(t, host, port, Options{ReadTimeout: 50 * time.Millisecond, Label: "b1"})
		ask(t, b, request)
		if e := ev.wait(kind); string(e.Rbuf) != want || e.Depth != wantDepth || e.Label != "b1" || e.Name != host || e.Port != port || e.Err == nil {
			t.Errorf("%q: %+v with %q, want %q", answer, e, e.Rbuf, want)
		}
	}
	f("get k\r\n", "VALUE k 0 2\r\nhi\r\nEN", "timeout", 1, "EN")
	f("get k\r\n", "VALUE k 0 2\r\nh", "timeout", 1, "")
	f("get k\r\n", "VALUE k 0", "timeout", 1, "VALUE k 0")
	f("mg k v\r\n", "VA 2\r\nh", "timeout", 1, "")
	f("mg k v\r\n", "H", "timeout", 1, "H")
	f("get k\r\n", "VALUE k 0 2\r\nhi\r\ngarbage\r\n", "missingend", 1, "garbage\r\n")
	f("get k\r\n", "VALUE k 0 2\r\nok\r\nEND\r\ngarbage", "trailingdata", 0, "garbage")
	f("get k\r\n", "VALUE k 0 4294967293\r\nx", "outofmemory", 1, "VALUE k 0 4294967293\r\nx")
	f("get k\r\n", "garbage\r\n", "parsing", 1, "garbage\r\n")
	f("get k\r\n", strings.Repeat("x", 50)+strings.Repeat("y", 100)+"\r\n", "parsing", 1, strings.Repeat("x", 50)+strings.Repeat("y", 50))
	f("get k\r\n", "STAT pid 1\r\n", "unhandledres", 1, "STAT pid 1\r\n")
	f("get k\r\n", "ERROR\r\n", "invalidprotocol", 0, "")
}

// Errors after which the connection is as good as before.
func TestHarmlessErrors(t *testing.T) {
	f := func(request, answer string) {
		t.Helper()
		host, port := serve(t, func(p *peer) {
			p.line()
			p.line()
			p.say("%s%s", answer, valueOf("a"))
			echo(p)
		})
		b, ev := at(t, host, port, Options{})
		w := newWaiter()
		one, two := send(t, b, w, request), send(t, b, w, "get a\r\n")
		w.take(2)
		if text(one) != answer || text(two) != valueOf("a") {
			t.Errorf("%q: %q, then %q", request, text(one), text(two))
		}
		if s := b.Status(); s.Opened != 1 || ev.kinds() != "" {
			t.Errorf("%q: %+v, events %s", answer, s, ev.kinds())
		}
	}
	f("incr k 1\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
	f("incr k x\r\n", "CLIENT_ERROR invalid numeric delta argument\r\n")
	f("mg k T\r\n", "CLIENT_ERROR bad token in command line format\r\n")
	f("delete k 5\r\n", "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n")
	f("me !!! b\r\n", "CLIENT_ERROR bad command line format\r\n")
	f("get k\r\n", "SERVER_ERROR out of memory\r\n")
	f("ma k\r\n", "SERVER_ERROR\r\n")
	f("mg k k\r\n", "SERVER_ERROR no key known\r\n") // a word with k is not the k flag
	f("mn\r\n", "MN\r\n")
	f("mg k s\r\n", "OK s1\r\n")
	f("flush_all\r\n", "OK\r\n")
	f("decr k 1\r\n", "9 \r\n")
	f("me k\r\n", "ME k exp=-1\r\n")
}

// With AnyKey a line may carry another key, for scripts that look at it; a value may not, for it would be another client's.
func TestAnyKey(t *testing.T) {
	f := func(request, answer string, anyKey bool, want, wantEvents string) {
		t.Helper()
		host, port := serve(t, func(p *peer) {
			p.line()
			p.say("%s", answer)
			p.in.WriteTo(discard{})
		})
		b, ev := at(t, host, port, Options{AnyKey: anyKey})
		if got := ask(t, b, request); got != want {
			t.Errorf("%q answered %q with AnyKey %v: %q, want %q", request, answer, anyKey, got, want)
		}
		if wantEvents != "" {
			ev.wait(backend.EventKind(wantEvents))
		} else if got := ev.kinds(); got != "" {
			t.Errorf("%q answered %q with AnyKey %v: events %s", request, answer, anyKey, got)
		}
	}
	wrong := backend.ErrProtocol.Error()
	f("mg k k t\r\n", "HD kother t1\r\n", true, "HD kother t1\r\n", "")
	f("mg k k t\r\n", "HD k t1\r\n", true, "HD k t1\r\n", "")
	f("mg k k t\r\n", "HD kother t1\r\n", false, wrong, "invalidprotocol")
	f("mg k k v\r\n", "VA 1 kother\r\nx\r\n", true, wrong, "invalidprotocol")
	f("get k\r\n", "VALUE other 0 1\r\nx\r\nEND\r\n", true, wrong, "invalidprotocol")
	f("mg k k t\r\n", "STORED\r\n", true, wrong, "invalidprotocol")
}

// Bytes that nobody asked for, on an idle connection.
func TestUnaskedBytes(t *testing.T) {
	f := func(say, wantEvent string) {
		t.Helper()
		up := make(chan struct{}) // else the bytes could come together with the greeting
		host, port := serve(t, func(p *peer) {
			if p.n == 1 {
				<-up
				p.say("%s", say)
				if say != "" {
					p.line()
				}
				return
			}
			echo(p)
		})
		b, ev := at(t, host, port, Options{})
		ev.wait(backend.EventConnected)
		close(up)
		if e := ev.wait(backend.EventKind(wantEvent)); string(e.Rbuf) != say {
			t.Errorf("rbuf %q, want %q", e.Rbuf, say)
		}
		if got := ask(t, b, "get k\r\n"); got != valueOf("k") {
			t.Errorf("%q", got)
		}
	}
	f("END\r\n", "closedsock")
	f(valueOf("k"), "closedsock")
	f("", "disconnected")
}

// Answers that come while the request is queued but not written are nobody's: here the server answers before it was asked.
func TestAnswerBeforeQuestion(t *testing.T) {
	host, port := serveRaw(t, func(p *peer) {
		p.line()
		if p.n == 1 {
			p.say("VERSION 1\r\nVALUE k 0 5\r\nwrong\r\nEND\r\n")
			p.line()
			return
		}
		p.say("VERSION 1\r\n")
		echo(p)
	})
	b, ev := at(t, host, port, Options{FailureLimit: 3})
	got := ask(t, b, "get k\r\n")
	if got != valueOf("k") && got != backend.ErrProtocol.Error() {
		t.Errorf("%q", got)
	}
	ev.wait(backend.EventBadValidate)
}

func TestGreetings(t *testing.T) {
	f := func(greeting, wantEvent string) {
		t.Helper()
		host, port := serveRaw(t, func(p *peer) {
			if p.n > 1 {
				if p.greet() {
					echo(p)
				}
				return
			}
			p.line()
			p.say("%s", greeting)
			if greeting != "" {
				p.line()
			}
		})
		b, ev := at(t, host, port, Options{})
		ev.wait(backend.EventKind(wantEvent))
		if got := ask(t, b, "get k\r\n"); got != valueOf("k") {
			t.Errorf("after %q: %q", greeting, got)
		}
	}
	f("ERROR\r\n", "badvalidate")
	f("VERSION\r\n", "badvalidate")
	f("VERSION 1.6.38\n", "badvalidate")
	f("VERSION 1\r\nmore\r\n", "badvalidate")
	f("VERSION "+strings.Repeat("x", 1000), "badvalidate")
	f("SSH-2.0-OpenSSH\r\n", "badvalidate")
	f("", "disconnected")
}

// mischief is how a server of the storm below treats the i-th request.
type mischief func(p *peer, key string, rnd *rand.Rand) (goOn bool)

func honest(p *peer, key string, _ *rand.Rand) bool { p.say("%s", storm(key)); return true }

// storm is the right answer: long enough that pieces of it are not answers by chance.
func storm(key string) string {
	v := strings.Repeat(key+";", 20)
	return fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", key, len(v), v)
}

// A storm of clients on few connections to a server that misbehaves now and then: every request is answered
// exactly once, with its own value, a miss or an error; and some with their value, or the test would say nothing.
func TestStorm(t *testing.T) {
	once := func(m mischief) mischief { // one in thirty
		return func(p *peer, key string, rnd *rand.Rand) bool {
			if rnd.IntN(30) == 0 {
				return m(p, key, rnd)
			}
			return honest(p, key, rnd)
		}
	}
	held := map[*peer]string{} // for wrong order
	var mu sync.Mutex
	cases := map[string]mischief{
		"cut short": once(func(p *peer, key string, rnd *rand.Rand) bool {
			s := storm(key)
			p.say("%s", s[:rnd.IntN(len(s))])
			return false
		}),
		"swallows a piece": once(func(p *peer, key string, rnd *rand.Rand) bool {
			s := storm(key)
			i := rnd.IntN(len(s))
			p.say("%s%s", s[:i], s[i+rnd.IntN(len(s)-i):])
			return true
		}),
		"extra answer":  once(func(p *peer, key string, _ *rand.Rand) bool { p.say("%s%s", storm(key), storm(key)); return true }),
		"extra garbage": once(func(p *peer, key string, _ *rand.Rand) bool { p.say("%sgarbage", storm(key)); return true }),
		"no answer":     once(func(*peer, string, *rand.Rand) bool { return true }),
		"closing":       once(func(*peer, string, *rand.Rand) bool { return false }),
		"errors":        once(func(p *peer, _ string, _ *rand.Rand) bool { p.say("SERVER_ERROR no\r\n"); return true }),
		"broken errors": once(func(p *peer, _ string, _ *rand.Rand) bool { p.say("ERROR\r\n"); return true }),
		"wrong order": func(p *peer, key string, rnd *rand.Rand) bool {
			mu.Lock()
			defer mu.Unlock()
			if h := held[p]; h != "" {
				p.say("%s%s", storm(key), storm(h))
				delete(held, p)
			} else if rnd.IntN(30) == 0 && p.in.Buffered() > 0 {
				held[p] = key
			} else {
				p.say("%s", storm(key))
			}
			return true
		},
		"missing end": once(func(p *peer, key string, _ *rand.Rand) bool {
			p.say("%s", strings.TrimSuffix(storm(key), "END\r\n"))
			return true
		}),
		"huge size":  once(func(p *peer, key string, _ *rand.Rand) bool { p.say("VALUE %s 0 1000000000\r\n", key); return true }),
		"statistics": once(func(p *peer, key string, _ *rand.Rand) bool { p.say("STAT %s 1\r\nEND\r\n", key); return true }),
		"client errors": once(func(p *peer, key string, _ *rand.Rand) bool {
			p.say("CLIENT_ERROR bad data chunk\r\nERROR\r\n%s", storm(key))
			return true
		}),
		"another's answer": func() mischief {
			var last sync.Map // by connection
			return func(p *peer, key string, rnd *rand.Rand) bool {
				before, _ := last.Swap(p, key)
				if s, ok := before.(string); ok && rnd.IntN(30) == 0 {
					p.say("%s", storm(s))
					return true
				}
				return honest(p, key, rnd)
			}
		}(),
		"slow": once(func(p *peer, key string, rnd *rand.Rand) bool {
			time.Sleep(time.Duration(rnd.IntN(40)) * time.Millisecond) // about the read timeout
			return honest(p, key, rnd)
		}),
		"byte at a time": func(p *peer, key string, _ *rand.Rand) bool {
			for _, c := range []byte(storm(key)) {
				if _, err := p.Write([]byte{c}); err != nil {
					return false
				}
			}
			return true
		},
		"greets badly": once(func(p *peer, _ string, _ *rand.Rand) bool { p.say("VERSION 2\r\n"); return true }),
	}
	for name, m := range cases {
		t.Run(name, func(t *testing.T) {
			stormAgainst(t, m)
		})
	}
}

func stormAgainst(t *testing.T, m mischief) {
	host, port := serve(t, func(p *peer) {
		rnd := rand.New(rand.NewPCG(1, uint64(p.n)))
		for {
			f := strings.Fields(p.line())
			if len(f) < 2 || !m(p, f[1], rnd) {
				return
			}
		}
	})
	b, _ := at(t, host, port, Options{Connections: 2, ReadTimeout: 20 * time.Millisecond, FailureLimit: 1 << 30})
	const clients, rounds, pipeline = 4, 25, 8
	good := make([]int, clients)
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			w := newWaiter()
			for round := range rounds {
				want := map[*backend.Pending]string{}
				for i := range pipeline {
					key := fmt.Sprintf("c%d-r%d-i%d", c, round, i)
					want[send(t, b, w, "get "+key+"\r\n")] = storm(key)
				}
				for _, p := range w.take(pipeline) {
					if p.Err == nil && string(p.Resp.Raw) == want[p] {
						good[c]++
					} else if p.Err == nil && p.Resp.OK() || want[p] == "" {
						t.Errorf("%q, want %q", p.Resp.Raw, want[p])
					}
					delete(want, p)
				}
				if len(want) > 0 || w.got() > 0 {
					t.Errorf("%d requests unanswered, %d answered twice", len(want), w.got())
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range good {
		total += n
	}
	t.Logf("%d of %d answered well over %d connections", total, clients*rounds*pipeline, b.Status().Opened)
	if total < clients*rounds*pipeline/10 {
		t.Errorf("only %d of %d answered well", total, clients*rounds*pipeline)
	}
	if s := b.Status(); s.Queued != 0 {
		t.Errorf("%+v", s)
	}
}

// A request that was answered with an error is not sent afterwards, over the next connection: its client may have
// written something else meanwhile.
func TestFailedIsNotSent(t *testing.T) {
	hangUp := make(chan struct{})
	lines := make(chan string, 10)
	host, port := serveRaw(t, func(p *peer) {
		if p.n == 1 {
			<-hangUp // instead of greeting
			return
		}
		if p.greet() {
			lines <- p.line()
			lines <- p.line()
			p.say("STORED\r\n")
			p.line()
		}
	})
	b, _ := at(t, host, port, Options{})
	w := newWaiter()
	old := send(t, b, w, "set k 0 0 3\r\nold\r\n")
	close(hangUp)
	w.take(1)
	if got := text(old); got != backend.ErrDisconnected.Error() {
		t.Errorf("old: %q", got)
	}
	if got := ask(t, b, "set k 0 0 3\r\nnew\r\n"); got != "STORED\r\n" {
		t.Errorf("new: %q", got)
	}
	<-lines
	if got := <-lines; got != "new" {
		t.Errorf("the server was sent %q", got)
	}
}

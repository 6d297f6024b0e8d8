// Servers that answer when they are told to, so that the order in which answers arrive is the test's.

package compat

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// gates are servers whose requests wait.
type gates struct {
	addrs []string

	mu      sync.Mutex
	waiting [][]waiting // by server, in order of arrival
	lns     []net.Listener
	conns   []net.Conn
	wg      sync.WaitGroup
}

// waiting is a request that has no answer yet.
type waiting struct {
	line string
	conn net.Conn
}

func openGates(t *testing.T, addrs []string) *gates {
	g := &gates{addrs: addrs, waiting: make([][]waiting, len(addrs))}
	for i, a := range addrs {
		ln, err := net.Listen("tcp", a)
		if err != nil {
			g.close()
			t.Skipf("SKIPPED: a server is to be at %s: %v", a, err)
		}
		g.lns = append(g.lns, ln)
		g.wg.Go(func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				g.mu.Lock()
				g.conns = append(g.conns, c)
				g.mu.Unlock()
				g.wg.Go(func() { g.serve(i, c) })
			}
		})
	}
	return g
}

func (g *gates) close() {
	for _, ln := range g.lns {
		ln.Close()
	}
	g.mu.Lock()
	for _, c := range g.conns {
		c.Close()
	}
	g.mu.Unlock()
	g.wg.Wait()
}

func (g *gates) serve(i int, c net.Conn) {
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		if len(words) == 1 && words[0] == "version" {
			io.WriteString(c, "VERSION 1.6.45\r\n")
			continue
		}
		if n := size(words); n >= 0 {
			if _, err := io.CopyN(io.Discard, r, int64(n)+2); err != nil {
				return
			}
		}
		g.mu.Lock()
		g.waiting[i] = append(g.waiting[i], waiting{line, c})
		g.mu.Unlock()
	}
}

// busy are the servers that owe an answer.
func (g *gates) busy() (at []int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, w := range g.waiting {
		if len(w) > 0 {
			at = append(at, i)
		}
	}
	return at
}

// answer gives server i's oldest request what it waits for, by chance; "" ends the connection, and with it all that waits there.
func (g *gates) answer(i int, rnd *rand.Rand) (line, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.waiting[i][0]
	if text = say(rnd, i, strings.Fields(w.line)); text == "" {
		g.waiting[i] = nil
		w.conn.Close()
		return w.line, text
	}
	g.waiting[i] = g.waiting[i][1:]
	io.WriteString(w.conn, text)
	return w.line, text
}

// heard collects what a client is answered.
type heard struct {
	mu   sync.Mutex
	text string
}

func (h *heard) take() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	text := h.text
	h.text = ""
	return text
}

// scenario is a request, and the chance that decides what the servers say, and who is first.
type scenario struct {
	req  string
	seed uint64
}

const silence = "(silent)"

// play says the request of a scenario and answers for the servers until the client has its answer and nobody waits. What happens is told in
// the order in which it does. pause is how long a proxy gets to do what follows from an answer.
func (g *gates) play(r *running, s scenario, pause time.Duration) (events []string) {
	rnd := rand.New(rand.NewPCG(s.seed, 3))
	var h heard
	done := make(chan struct{})
	conn := r.conns[0]
	conn.SetReadDeadline(time.Now().Add(patience))
	go func() {
		defer close(done)
		for text := ""; !strings.HasSuffix(text, "MN\r\n"); {
			line, err := r.reads[0].ReadString('\n')
			if err != nil {
				return
			}
			text += line
			h.mu.Lock()
			h.text += line
			h.mu.Unlock()
		}
	}()
	io.WriteString(conn, s.req+"mn\r\n")
	quiet, answered, told := 0, false, ""
	one := strings.Count(s.req, "\n") == 1 // else we tell the first answer when it is there, memcached when all are
	for quiet < 2 || !answered && quiet < 40 {
		time.Sleep(pause)
		if text := h.take(); text != "" {
			told += text
			answered = strings.HasSuffix(text, "MN\r\n")
			quiet = 0
			if one {
				events = append(events, "client is told "+text)
			}
		}
		busy := g.busy()
		if len(busy) == 0 {
			quiet++
			continue
		}
		quiet = 0
		i := busy[rnd.IntN(len(busy))]
		line, text := g.answer(i, rnd)
		events = append(events, fmt.Sprintf("server %d, asked %q of %v, says %q", i, line, busy, text))
	}
	if !one {
		events = append(events, "client is told "+told)
	}
	if !answered {
		events = append(events, silence)
		conn.SetReadDeadline(time.Now()) // the reader is to end
	}
	<-done
	return events
}

// say is what a server answers to get and mg: each has values of a length of its own.
func say(rnd *rand.Rand, i int, words []string) string {
	value, get := strings.Repeat("x", i+1), words[0] == "get"
	switch n := rnd.IntN(10); {
	case n < 4 && get:
		return fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", words[1], len(value), value)
	case n < 4:
		return fmt.Sprintf("VA %d\r\n%s\r\n", len(value), value)
	case n < 7 && get:
		return "END\r\n"
	case n < 7:
		return "EN\r\n"
	case n < 9:
		return "SERVER_ERROR no\r\n"
	case rnd.IntN(3) > 0 && !get:
		return "HD\r\n"
	}
	return ""
}

// playAll plays scenarios on one proxy. After one that ends in silence its client is another.
func playAll(t *testing.T, p *plan, g *gates, list []scenario, pause time.Duration, binary string, args ...string) (all [][]string) {
	t.Helper()
	r, failed := p.start(t, binary, args...)
	if failed != "" {
		t.Fatal(failed)
	}
	defer r.stop()
	time.Sleep(max(200*time.Millisecond, 10*pause)) // so that connections are there
	for _, s := range list {
		events := g.play(r, s, pause)
		if events[len(events)-1] == silence {
			r.conns[0].Close()
			if !r.dial(t, 0) {
				t.Fatalf("%s has ended after %q: %s", binary, s.req, r.stderr.String())
			}
		}
		all = append(all, events)
	}
	return all
}

// compareScenarios plays all on both. What differs is played again with more time, for a busy machine may tell things in another order.
func compareScenarios(t *testing.T, p *plan, list []scenario, peer, ours string) {
	t.Helper()
	var theirs, mine [][]string
	for _, pause := range []time.Duration{4 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
		g := openGates(t, p.addrs)
		theirs = playAll(t, p, g, list, pause, peer, "-u", "root")
		g.close()
		g = openGates(t, p.addrs)
		mine = playAll(t, p, g, list, pause, ours, "memcached")
		g.close()
		var differ []scenario
		stuck := 0
		for i, s := range list {
			switch n := len(theirs[i]) - 1; {
			case slices.Equal(mine[i], theirs[i]):
			case theirs[i][n] == silence && mine[i][len(mine[i])-1] != silence:
				stuck++ // it waits for ever: for a sub-call that has failed, for one
			default:
				differ = append(differ, s)
			}
		}
		t.Logf("%d of %d scenarios differ with pauses of %v; memcached never ends %d", len(differ), len(list), pause, stuck)
		if stuck > len(list)/5 {
			t.Errorf("memcached never ends %d", stuck)
		}
		if list = differ; len(list) == 0 {
			return
		}
		if len(list) > 30 {
			list = list[:30]
		}
	}
	shown := 0
	for i, s := range list {
		if a, b := strings.Join(mine[i], "\n\t"), strings.Join(theirs[i], "\n\t"); a != b && shown < 5 {
			shown++
			t.Errorf("%q:\n\t%s\nby memcached:\n\t%s", s.req, a, b)
		}
	}
}

// Frames are taken off what proxies send, and answers put between what nats-server writes, however both come in pieces; the server has the rest, and says who may.

package leaf

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/engine/natswire"
	"github.com/tidepool-proxy/tidepool/engine/sock"
	"github.com/tidepool-proxy/tidepool/leaf/access"
)

// caller is a NATS client by hand.
type caller struct {
	t *testing.T
	l *Leaf
	net.Conn
	buf []byte
}

func call(t *testing.T, l *Leaf) *caller {
	t.Helper()
	nc, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	c := &caller{t: t, l: l, Conn: nc}
	c.sees("INFO ")
	return c
}

func (c *caller) says(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, format, args...); err != nil {
		c.t.Fatal(err)
	}
}

// next is the next command of the server, whole.
func (c *caller) next() (natswire.Msg, string) {
	c.t.Helper()
	for {
		if m, n, need := natswire.Cut(c.buf); n > 0 {
			all := string(c.buf[:n])
			c.buf = c.buf[n:]
			return m, all
		} else if need == 0 {
			c.t.Fatalf("no command of a server: %.100q", c.buf)
		}
		p := make([]byte, max(64<<10, 2*len(c.buf)))
		n := copy(p, c.buf) // those before may still be looked at
		m, err := c.Read(p[n:])
		if err != nil {
			c.t.Fatalf("after %.100q: %v", c.buf, err)
		}
		c.buf = p[:n+m]
	}
}

// sees wants the next command to begin like that.
func (c *caller) sees(want string) {
	c.t.Helper()
	if _, got := c.next(); !strings.HasPrefix(got, want) {
		c.t.Fatalf("%.100q, want %q", got, want)
	}
}

// enters presents itself, and is let in.
func (c *caller) enters() *caller {
	c.t.Helper()
	c.says("CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nPING\r\n")
	c.sees("PONG\r\n")
	return c
}

// publish is a frame to lane 0.
func (c *caller) publish(inbox string, id uint64, body string) string {
	h := frame.Header{ID: id, Instance: c.l.Instance(), Millis: 60_000}
	msg := h.Append(nil, []byte(body))
	return fmt.Sprintf("PUB %s %s %d\r\n%s\r\n", frame.LaneSubject(c.l.Name(), 0), inbox, len(msg), msg)
}

// answers wants these bodies for frames from id on.
func (c *caller) answers(inbox, sid string, id uint64, bodies ...string) {
	c.t.Helper()
	for i, want := range bodies {
		m, all := c.next()
		var h frame.Header
		body, err := h.Parse(m.Data)
		if err != nil || string(m.Subject) != inbox || !strings.HasPrefix(all, "MSG "+inbox+" "+sid+" ") || h.ID != id+uint64(i) || string(body) != want {
			c.t.Fatalf("%.100q (%v), want %.100q for frame %d to %s %s", all, err, want, id+uint64(i), inbox, sid)
		}
	}
}

// messages is how many nats-server knows to have been sent to it.
func messages(t *testing.T, l *Leaf) int64 {
	t.Helper()
	v, err := l.srv.Varz(&server.VarzOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return v.InMsgs
}

func TestDoorTellsApart(t *testing.T) {
	l := start(t, Options{Lanes: 1})
	rnd := rand.New(rand.NewPCG(1, 1))
	large := strings.Repeat("v", 500_000)
	for name, piece := range map[string]func() int{
		"whole": func() int { return 1 << 30 }, "bytes": func() int { return 1 }, "pieces": func() int { return 1 + rnd.IntN(1+rnd.IntN(3000)) },
	} {
		t.Run(name, func(t *testing.T) {
			c := call(t, l).enters()
			inbox, lane := "_INBOX."+name, frame.LaneSubject(l.Name(), 0)
			value := large
			if name == "bytes" {
				value = "v"
			}
			echo := c.publish("in.y", 9, "mn\r\n")
			all := "SUB " + inbox + "  1\r\nSUB other 2\r\n" + c.publish(inbox, 1, "mn\r\n") + c.publish(inbox, 2, "set a 0 0 1\r\n1\r\nget a\r\n") +
				fmt.Sprintf("PUB other in.x %d\r\n%s\r\n", len(echo), echo) + // a frame in a message that is not for a lane
				c.publish(inbox, 3, "get b\r\n") +
				"HPUB other 12 15\r\nNATS/1.0\r\n\r\nabc\r\nPING\r\n" +
				c.publish(inbox, 4, fmt.Sprintf("set b 0 0 %d\r\n%s\r\nget b\r\ndelete b\r\n", len(value), value)) +
				fmt.Sprintf("PUB other %d\r\n%s\r\n", len(value), value) +
				"PUB " + lane + "x in.x 0\r\n\r\n" + c.publish(inbox, 5, "mn\r\n") + "PING\r\n"
			before := messages(t, l)
			go func() {
				for at := 0; at < len(all); {
					n, err := io.WriteString(c.Conn, all[at:min(len(all), at+piece())])
					if at += n; err != nil {
						t.Error(err)
						return
					}
				}
			}()
			ours, theirs, id := "", "", uint64(0)
			for ours != "12345" || strings.Count(theirs, "PONG\r\n") != 2 {
				m, got := c.next()
				if string(m.Subject) != inbox {
					theirs += got
					continue
				}
				id++
				want := []string{"", "MN\r\n", "STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n", "END\r\n", "", "MN\r\n"}[id]
				if id == 4 {
					want = fmt.Sprintf("STORED\r\nVALUE b 0 %d\r\n%s\r\nEND\r\nDELETED\r\n", len(value), value)
				}
				var h frame.Header
				if body, err := h.Parse(m.Data); err != nil || string(body) != want || h.ID != id {
					t.Fatalf("frame %d: %.100q (%v), want frame %d: %.100q", h.ID, body, err, id, want)
				}
				ours += fmt.Sprint(h.ID)
			}
			want := fmt.Sprintf("MSG other 2 in.x %d\r\n%s\r\nHMSG other 2 12 15\r\nNATS/1.0\r\n\r\nabc\r\nPONG\r\nMSG other 2 %d\r\n%s\r\n", len(echo), echo, len(value), value)
			if !strings.HasPrefix(theirs, want) {
				t.Errorf("from the server %.400q, want %.400q", theirs, want)
			}
			if n := messages(t, l) - before; n != 4 {
				t.Errorf("%d messages have come to nats-server, want 4", n)
			}
		})
	}
}

// Frames are nobody's before the server has let in who sends them.
func TestDoorWaitsForServer(t *testing.T) {
	l := start(t, Options{Lanes: 1, Users: []access.User{{Name: "u", Password: "secret"}}})
	for _, says := range []string{"", "PING\r\n", "SUB _INBOX.a 1\r\nPING\r\n", "CONNECT {\"verbose\":false,\"user\":\"u\",\"pass\":\"guess\"}\r\nPING\r\n"} {
		c := call(t, l)
		c.says("%s", says+c.publish("_INBOX.a", 1, "set a 0 0 1\r\n1\r\n"))
		c.sees("-ERR 'Authorization Violation'")
	}
	c := call(t, l)
	c.says("CONNECT {\"verbose\":false,\"user\":\"u\",\"pass\":\"secret\"}\r\nPING\r\n")
	c.sees("PONG\r\n")
	if n := l.Stats().Frames; n != 0 {
		t.Errorf("%d frames of strangers have come to lanes", n)
	}
	c.says("SUB _INBOX.a 1\r\n%s", c.publish("_INBOX.a", 1, "get a\r\n"))
	c.answers("_INBOX.a", "1", 1, "END\r\n")
	if err := l.Reload(Options{Users: []access.User{{Name: "other", Password: "x"}}}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c) // until it is cut off
	waitFor(t, "all doors forgotten", func() bool {
		l.direct.inboxes.mu.RLock()
		defer l.direct.inboxes.mu.RUnlock()
		return len(l.direct.inboxes.doors) == 0 && len(l.direct.inboxes.all) == 0
	})
}

// An answer goes to all who have subscribed its subject, which nats-server does where it is not one alone.
func TestDoorInboxes(t *testing.T) {
	l := start(t, Options{Lanes: 1})
	a, b := call(t, l).enters(), call(t, l).enters()
	flush := func(cs ...*caller) {
		t.Helper()
		for _, c := range cs {
			c.says("PING\r\n")
			c.sees("PONG\r\n")
		}
	}
	a.says("SUB in.a 1\r\nSUB in.q q 2\r\nSUB in.n 3\r\nSUB in.n 3\r\n")
	flush(a)
	direct := func(inbox string, want bool) {
		t.Helper()
		if got := l.direct.inboxes.of(inbox).o != nil; got != want {
			t.Errorf("answers to %s go past nats-server: %v, want %v", inbox, got, want)
		}
	}
	direct("in.a", true)
	a.says("%s", a.publish("in.a", 1, "mn\r\n"))
	a.answers("in.a", "1", 1, "MN\r\n")
	b.says("SUB in.a 7\r\n")
	flush(b)
	direct("in.a", false)
	a.says("%s", a.publish("in.a", 2, "mn\r\n"))
	a.answers("in.a", "1", 2, "MN\r\n")
	b.answers("in.a", "7", 2, "MN\r\n")
	a.says("UNSUB 1\r\n")
	flush(a)
	a.says("%s", a.publish("in.a", 3, "mn\r\n")) // to another connection than it comes from
	b.answers("in.a", "7", 3, "MN\r\n")
	b.says("UNSUB 7\r\nSUB in.a 8\r\n")
	flush(b)
	direct("in.a", true)
	a.says("%s", a.publish("in.a", 4, "mn\r\n"))
	b.answers("in.a", "8", 4, "MN\r\n")

	direct("in.q", false)
	a.says("%s", a.publish("in.q", 5, "mn\r\n"))
	a.answers("in.q", "2", 5, "MN\r\n")

	direct("in.n", true)
	a.says("UNSUB 3 1\r\n") // one more message, which the server counts
	flush(a)
	direct("in.n", false)
	a.says("%s%s", a.publish("in.n", 6, "mn\r\n"), a.publish("in.n", 7, "mn\r\n"))
	a.answers("in.n", "3", 6, "MN\r\n")
	flush(a)
	b.Close()
	waitFor(t, "what b had is forgotten", func() bool { return l.direct.inboxes.of("in.a") == inbox{} })
}

// A proxy that does not read keeps nobody waiting, and has all of its answers when it reads, also from a leaf that stops meanwhile.
func TestDoorOfSlowProxy(t *testing.T) {
	const value, frames = 100_000, 200
	l := start(t, Options{Lanes: 1, Window: 64 << 20})
	c, other := call(t, l).enters(), dial(t, l)
	other.frame(1, "set a 0 0 100000\r\n"+strings.Repeat("v", value)+"\r\n")
	other.want(1, "STORED\r\n")
	c.says("SUB in.a 1\r\n")
	for id := range uint64(frames) {
		c.says("%s", c.publish("in.a", id, "get a\r\nmn\r\n"))
	}
	waitFor(t, "all executed", func() bool { return l.Stats().Requests == 1+2*frames })
	if l.direct.inboxes.written() {
		t.Fatal("the socket has taken everything")
	}
	other.frame(2, "mn\r\n")
	other.want(2, "MN\r\n")
	closed := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		closed <- l.Close(ctx)
	}()
	waitFor(t, "draining", func() bool { return l.state.Load() == stateDraining })
	want := "VALUE a 0 100000\r\n" + strings.Repeat("v", value) + "\r\nEND\r\nMN\r\n"
	for id := range uint64(frames) {
		c.answers("in.a", "1", id, want)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// One that never reads is cut off, and what it had is forgotten.
func TestDoorCutsOff(t *testing.T) {
	var said told
	l := start(t, Options{Lanes: 1, Window: 64 << 20, Log: said.logger()})
	l.direct.patience = time.Millisecond
	c, other := call(t, l).enters(), dial(t, l)
	other.frame(1, "set a 0 0 100000\r\n"+strings.Repeat("v", 100_000)+"\r\n")
	other.want(1, "STORED\r\n")
	c.says("SUB in.a 1\r\n%s", c.publish("in.a", 1, strings.Repeat("get a\r\n", 300)))
	waitFor(t, "it is cut off", func() bool { return l.direct.inboxes.of("in.a") == inbox{} && l.direct.inboxes.written() })
	said.wait(t, `level=WARN msg="leaf: connection cut off" leaf=leaf-1 remote=127.0.0.1:`)
	other.frame(2, "mn\r\n")
	other.want(2, "MN\r\n")
}

// So is one for whom too much waits, whatever its window.
func TestDoorQueueIsBounded(t *testing.T) {
	near, far := net.Pipe()
	var said told
	o := newDoor(near, &direct{patience: patience, log: said.logger()}, 1<<20)
	o.midway = true // so that answers wait
	o.size = doorQueue - 10
	if err := o.answer("1", "a", []byte("small")); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := o.answer("1", "a", []byte("one too many")); err == nil {
			t.Error("takes more than it may")
		}
	}
	if _, err := far.Read(make([]byte, 1)); err != io.EOF || o.waits() || strings.Count(said.text(), "connection cut off") != 1 {
		t.Errorf("%v; waits: %v; %s", err, o.waits(), said.text())
	}
}

// Answers and the server's commands are whole, and in their orders, whoever writes how much at a time.
func TestDoorWritesWholeCommands(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	far, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	d := &direct{patience: patience}
	o := newDoor(sock.Wrap(near), d, 1<<20)
	defer o.Close()

	const writers, each = 3, 3000
	size := func(i int) int { return i * 7 % 5000 * (1 + i%100/99*40) } // one in a hundred is long
	commands := []string{"PING\r\n", "PONG\r\n", "MSG s 9 5\r\nMSG \n\r\n", "INFO {}\r\n", "MSG s 9 30000\r\n" + strings.Repeat("s", 30_000) + "\r\n", "HMSG s 9 12 14\r\nNATS/1.0\r\n\r\nab\r\n"}
	var script strings.Builder
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 2 * each {
		script.WriteString(commands[rnd.IntN(len(commands))])
	}
	served := script.String()
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		rnd := rand.New(rand.NewPCG(2, 1))
		for at := 0; at < len(served); {
			n, err := io.WriteString(o, served[at:min(len(served), at+1+rnd.IntN(1+rnd.IntN(40_000)))])
			if at += n; err != nil {
				t.Error(err)
				return
			}
		}
	})
	for w := range writers {
		all.Go(func() {
			for i := range each {
				if err := o.answer("1", "a", fmt.Appendf(nil, "%d %d %s", w, i, strings.Repeat("a", size(i)))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	c := &caller{t: t, Conn: far}
	_ = far.SetDeadline(time.Now().Add(patience))
	var next [writers]int
	for got := 0; got < len(served) || next != [writers]int{each, each, each}; {
		m, s := c.next()
		if string(m.Subject) != "a" {
			if !strings.HasPrefix(served[got:], s) {
				t.Fatalf("the server's at %d: %.50q, want %.50q", got, s, served[got:])
			}
			got += len(s)
			continue
		}
		var w, i int
		if _, err := fmt.Sscan(string(m.Data), &w, &i); err != nil || i != next[w] || len(m.Data) != len(fmt.Sprintf("%d %d ", w, i))+size(i) {
			t.Fatalf("answer %.50q, want %d of %v", m.Data, next[w], w)
		}
		next[w]++
	}
	waitFor(t, "nothing to wait", func() bool { return !o.waits() })
}

// A client that has nats-server say of each command that it is done has nothing past it; nor has one of which nats-server has complained, or that sent frames before.
func TestDoorStaysShut(t *testing.T) {
	l := start(t, Options{Lanes: 1})
	c := call(t, l)
	c.says("CONNECT {}\r\nPING\r\nSUB in.a 1\r\n")
	c.sees("+OK\r\n")
	c.sees("PONG\r\n")
	c.sees("+OK\r\n")
	c.says("%s", c.publish("in.a", 1, "mn\r\n"))
	c.sees("+OK\r\n")
	c.answers("in.a", "1", 1, "MN\r\n")

	near, far := net.Pipe()
	go io.Copy(io.Discard, far)
	o := newDoor(near, &direct{patience: patience}, 1<<20)
	defer o.Close()
	for i, says := range []string{"PONG\r\n", "PING\r\n-ERR 'x'\r\n", "PONG\r\n"} {
		fmt.Fprint(o, says)
		if o.shut.Load() != (i > 0) {
			t.Errorf("after %q shut: %v", says, o.shut.Load())
		}
	}
	c, before := call(t, l), messages(t, l)
	c.says("CONNECT {\"verbose\":false}\r\nSUB in.b 1\r\n%s", c.publish("in.b", 1, "mn\r\n"))
	c.answers("in.b", "1", 1, "MN\r\n")
	c.says("PING\r\n")
	c.sees("PONG\r\n")
	c.says("%s", c.publish("in.b", 2, "mn\r\n"))
	c.answers("in.b", "1", 2, "MN\r\n")
	if n := messages(t, l) - before; n != 4 { // and their answers
		t.Errorf("%d messages have come to nats-server, want 4", n)
	}
}

// A frame that does not end where it says is nats-server's to judge, and one that says that it is too long.
func TestDoorOfLiar(t *testing.T) {
	l := start(t, Options{Lanes: 1, MaxPayload: 32 << 10})
	c := call(t, l).enters()
	c.says("SUB in.a 1\r\n%sxx", strings.TrimSuffix(c.publish("in.a", 1, "mn\r\n"), "\r\n"))
	c.sees("-ERR 'Unknown Protocol Operation'")
	c = call(t, l).enters()
	c.says("PUB %s in.a %d\r\n", frame.LaneSubject(l.Name(), 0), 32<<10+1)
	c.sees("-ERR 'Maximum Payload Violation'")
	if n := l.Stats().Frames; n != 0 {
		t.Errorf("%d frames", n)
	}
}

// Whoever wants to be answered where nats-server takes no line for is thrown out by it, and not the leaf, which would answer there.
func TestDoorOfLongLines(t *testing.T) {
	l := start(t, Options{Lanes: 1})
	c := call(t, l).enters()
	c.says("PUB tp.1.leaf-1.0 %s 2\r\nxx\r\n", strings.Repeat("r", 5000))
	c.sees("-ERR 'maximum control line exceeded'")
	if l.nc.Reconnects > 0 || !l.nc.IsConnected() {
		t.Errorf("the leaf is thrown out: %v", l.nc.LastError())
	}
}

// A refusal counts also where it is written in two pieces.
func TestDoorHearsWholeLines(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	go func() { _, _ = io.Copy(io.Discard, b) }()
	o := newDoor(a, &direct{patience: time.Second}, 1<<20)
	for i, piece := range []string{"INFO {}\r\n-E", "RR 'Authentication Expired'\r\n"} {
		if _, err := o.Write([]byte(piece)); err != nil || o.shut.Load() != (i == 1) {
			t.Errorf("%q: %v; shut: %v", piece, err, o.shut.Load())
		}
	}
}

// acking acknowledges what it is to write as soon as it is.
type acking struct {
	net.Conn
	p *peer
}

func (c acking) Write(b []byte) (int, error) {
	c.p.ack(100)
	return len(b), nil
}

// An acknowledgement may be there before who has sent the answer goes on.
func TestDoorAcknowledgesAtOnce(t *testing.T) {
	l := &Leaf{o: Options{MaxItem: 1 << 20}, peers: newPeers(10, 1, 1<<20)}
	p := l.peers.get([]byte("in"), time.Now())
	o := newDoor(acking{nil, p}, &l.direct, 1<<20)
	l.direct.inboxes.enter(o, []byte("1"), []byte("in"), true)
	if err := p.send(l, make([]byte, 100)); err != nil || p.acked.Load() != 100 {
		t.Errorf("of 100 bytes %d are acknowledged: %v", p.acked.Load(), err)
	}
}

// Before it is open nothing is noted, and behind what cannot be told nothing is put.
func TestDoorOpensAndShuts(t *testing.T) {
	near, far := net.Pipe()
	d := &direct{patience: patience}
	o := newDoor(near, d, 1<<20)
	go io.Copy(io.Discard, far)
	defer o.Close()
	subscribes := func() {
		if n, ours, need := o.look([]byte("SUB a 1\r\n")); n != 9 || ours || need != 0 {
			t.Errorf("%d %v %d", n, ours, need)
		}
	}
	if subscribes(); d.inboxes.of("a") != (inbox{}) {
		t.Error("a stranger's subscription is noted")
	}
	fmt.Fprint(o, "PONG\r\n")
	if subscribes(); !o.open.Load() || o.shut.Load() || d.inboxes.of("a").o != o {
		t.Error("is not open")
	}
	fmt.Fprint(o, "what?\r\n")
	if !o.shut.Load() || d.inboxes.of("a").o != nil {
		t.Error("is not shut")
	}
}

// What the server writes comes behind the rest of an answer of which the socket has taken a part, also if nobody has got to write that yet; and not behind other answers.
func TestDoorEndsAnswerFirst(t *testing.T) {
	near, far := net.Pipe()
	o := newDoor(near, &direct{patience: patience}, 1<<20)
	defer o.Close()
	o.draining = true // drain has been started, and has not run
	o.out.Lock()
	err := o.tear([]byte("rest\r\n"))
	o.out.Unlock()
	if err != nil || o.later("1", "a", []byte("next")) != nil {
		t.Fatal(err)
	}
	go func() {
		fmt.Fprint(o, "PI")
		o.drain() // has to wait for the server
		fmt.Fprint(o, "NG\r\n")
	}()
	want := "rest\r\nPING\r\nMSG a 1 4\r\nnext\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(far, got); err != nil || string(got) != want {
		t.Errorf("%q (%v), want %q", got, err, want)
	}
	waitFor(t, "all is written", func() bool { return !o.waits() })
	if o.size != 0 {
		t.Errorf("%d bytes are said to wait", o.size)
	}
}

// Nor does it wait until there are no answers any more.
func TestDoorTakesTurns(t *testing.T) {
	near, far := net.Pipe()
	o := newDoor(near, &direct{patience: patience}, 1<<20)
	defer o.Close()
	var want strings.Builder
	for i := range 3 {
		if i == 1 {
			want.WriteString("PING\r\n")
		}
		msg := fmt.Appendf(nil, "%d%s", i, strings.Repeat("a", doorTogether))
		want.Write(appendMsg(nil, "1", "a", msg))
		if err := o.later("1", "a", msg); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, want.Len())
	if _, err := io.ReadFull(far, got[:10]); err != nil { // the first is being written
		t.Fatal(err)
	}
	go fmt.Fprint(o, "PING\r\n")
	waitFor(t, "the server is about to write", func() bool { return o.wants.Load() > 0 })
	if _, err := io.ReadFull(far, got[10:]); err != nil || string(got) != want.String() {
		t.Errorf("PING at %d (%v), want it at %d", bytes.Index(got, []byte("PING")), err, strings.Index(want.String(), "PING"))
	}
	waitFor(t, "all is written", func() bool { return !o.waits() })
}

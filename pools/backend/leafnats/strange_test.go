package leafnats

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// fakeLeaf answers as a test wants.
type fakeLeaf struct {
	t     *testing.T
	url   string
	nc    *nats.Conn
	reply frame.HelloReply
	mute  atomic.Bool  // hello is not answered
	said  atomic.Int64 // how often it was

	mu    sync.Mutex
	frame func(m *nats.Msg, h frame.Header, body string)
}

func newFakeLeaf(t *testing.T, change func(r *frame.HelloReply)) *fakeLeaf {
	t.Helper()
	_, url := natsServer(t)
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	f := &fakeLeaf{t: t, url: url + "/leaf-1", nc: nc, reply: frame.HelloReply{
		Versions: []int{1}, Name: "leaf-1", Instance: 77, Lanes: 1, MaxItem: 1 << 20, MaxPayload: 1 << 20,
		State: frame.StateServing,
	}}
	if change != nil {
		change(&f.reply)
	}
	subscribe := func(subject string, cb nats.MsgHandler) {
		if _, err := nc.Subscribe(subject, cb); err != nil {
			t.Fatal(err)
		}
	}
	subscribe(frame.HelloSubject("leaf-1"), func(m *nats.Msg) {
		if f.mute.Load() {
			return
		}
		f.said.Add(1)
		msg, _ := json.Marshal(&f.reply)
		_ = m.Respond(msg)
	})
	subscribe(frame.LaneSubject("leaf-1", 0), func(m *nats.Msg) {
		var h frame.Header
		body, err := h.Parse(m.Data)
		if err != nil {
			t.Errorf("the backend sent %v: %q", err, m.Data)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.frame(m, h, string(body))
	})
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return f
}

// on has frames answered by cb from now on.
func (f *fakeLeaf) on(cb func(m *nats.Msg, h frame.Header, body string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.frame = cb
}

func answer(m *nats.Msg, id uint64, change func(h *frame.Header), body string) {
	h := frame.Header{Flags: frame.FlagAnswer, ID: id, Instance: 77}
	if change != nil {
		change(&h)
	}
	_ = m.Respond(h.Append(nil, []byte(body)))
}

// TestStrangeAnswers: whatever a leaf answers, every request gets its own answer or an error.
func TestStrangeAnswers(t *testing.T) {
	f := newFakeLeaf(t, nil)
	b := startBackend(t, Options{
		URL: f.url, Timeout: 300 * time.Millisecond, HelloInterval: 20 * time.Millisecond, HelloLimit: patience,
		Health: backend.HealthOptions{FailureLimit: 1000},
	})
	part := func(i, of uint16) func(h *frame.Header) { return func(h *frame.Header) { h.Part, h.Parts = i, of } }
	refuse := func(why frame.Reason) func(m *nats.Msg, h frame.Header, body string) {
		return func(m *nats.Msg, h frame.Header, _ string) {
			answer(m, h.ID, func(h *frame.Header) { h.Flags |= frame.FlagRefused; h.Reason = why }, "")
		}
	}
	for _, c := range []struct {
		name   string
		frame  func(m *nats.Msg, h frame.Header, body string)
		first  any // the answer to the first of two requests, or its error
		second any
	}{
		{"good", func(m *nats.Msg, h frame.Header, _ string) { answer(m, h.ID, nil, "1\r\n2\r\n") }, "1\r\n", "2\r\n"},
		{"parts at any place", func(m *nats.Msg, h frame.Header, _ string) {
			answer(m, h.ID, part(0, 2), "VALUE a 0 3\r")
			answer(m, h.ID, part(1, 3), "\nab")
			answer(m, h.ID, part(2, 4), "c\r\nEND\r\n12")
			answer(m, h.ID, part(3, 4), "3\r\n")
		}, hit("a", "abc"), "123\r\n"},
		{"an empty last part", func(m *nats.Msg, h frame.Header, _ string) {
			answer(m, h.ID, part(0, 2), "1\r\n2\r\n")
			answer(m, h.ID, part(1, 2), "")
		}, "1\r\n", "2\r\n"},
		{"one too few", func(m *nats.Msg, h frame.Header, _ string) { answer(m, h.ID, nil, "1\r\n") }, "1\r\n", backend.ErrProtocol},
		{"one too many", func(m *nats.Msg, h frame.Header, _ string) { answer(m, h.ID, nil, "1\r\n2\r\n3\r\n") }, "1\r\n", "2\r\n"},
		{"half an answer", func(m *nats.Msg, h frame.Header, _ string) { answer(m, h.ID, nil, "1\r\nVALUE a 0 3\r\nab") }, "1\r\n", backend.ErrProtocol},
		{"no answer in it", func(m *nats.Msg, h frame.Header, _ string) { answer(m, h.ID, nil, "") }, backend.ErrProtocol, backend.ErrProtocol},
		{"rubbish", func(m *nats.Msg, h frame.Header, _ string) { answer(m, h.ID, nil, "\x00\x01\r\n2\r\n") }, backend.ErrProtocol, backend.ErrProtocol},
		{"a part is missing", func(m *nats.Msg, h frame.Header, _ string) {
			answer(m, h.ID, part(0, 3), "1\r\n")
			answer(m, h.ID, part(2, 3), "2\r\n")
		}, "1\r\n", backend.ErrProtocol},
		{"no last part", func(m *nats.Msg, h frame.Header, _ string) { answer(m, h.ID, part(0, 2), "1\r\n") }, "1\r\n", backend.ErrTimeout},
		{"twice", func(m *nats.Msg, h frame.Header, _ string) {
			answer(m, h.ID, nil, "1\r\n2\r\n")
			answer(m, h.ID, nil, "3\r\n4\r\n")
		}, "1\r\n", "2\r\n"},
		{"another's", func(m *nats.Msg, h frame.Header, _ string) {
			answer(m, h.ID+1, nil, "8\r\n9\r\n")
			answer(m, h.ID, nil, "1\r\n2\r\n")
		}, "1\r\n", "2\r\n"},
		{"of another instance", func(m *nats.Msg, h frame.Header, _ string) {
			answer(m, h.ID, func(h *frame.Header) { h.Instance = 78 }, "8\r\n9\r\n")
		}, backend.ErrTimeout, backend.ErrTimeout},
		{"not a frame", func(m *nats.Msg, h frame.Header, _ string) {
			for _, s := range []string{"", "TP", "x", "{", `{"name":1}`} {
				_ = m.Respond([]byte(s))
			}
			answer(m, h.ID, nil, "1\r\n2\r\n")
		}, "1\r\n", "2\r\n"},
		{"a request", func(m *nats.Msg, h frame.Header, _ string) {
			_ = m.Respond(m.Data)
			answer(m, h.ID, nil, "1\r\n2\r\n")
		}, "1\r\n", "2\r\n"},
		{"silence", func(*nats.Msg, frame.Header, string) {}, backend.ErrTimeout, backend.ErrTimeout},
		{"refused: instance", refuse(frame.ReasonInstance), backend.ErrRefused, backend.ErrRefused},
		{"refused: epoch", refuse(frame.ReasonEpoch), backend.ErrRefused, backend.ErrRefused},
		{"refused: version", refuse(frame.ReasonVersion), backend.ErrRefused, backend.ErrRefused},
		{"refused: expired", refuse(frame.ReasonExpired), backend.ErrTimeout, backend.ErrTimeout},
		{"refused: format", refuse(frame.ReasonFormat), backend.ErrProtocol, backend.ErrProtocol},
		{"refused: too large", refuse(frame.ReasonTooLarge), backend.ErrRefused, backend.ErrRefused},
		{"refused: overloaded", refuse(frame.ReasonOverloaded), backend.ErrOverloaded, backend.ErrOverloaded},
		{"good again", func(m *nats.Msg, h frame.Header, _ string) { answer(m, h.ID, nil, "1\r\n2\r\n") }, "1\r\n", "2\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.on(c.frame)
			cl := newClient(t, 0)
			two(b, cl, request(t, "incr a 1\r\n"))
			got := cl.take(2)
			for i, want := range []any{c.first, c.second} {
				switch want := want.(type) {
				case error:
					if !errors.Is(got[i].Err, want) {
						t.Errorf("request %d: %q, want %v", i, text(got[i]), want)
					}
				default:
					if text(got[i]) != want {
						t.Errorf("request %d: %q, want %q", i, text(got[i]), want)
					}
				}
			}
		})
	}
	if s := b.Status(); s.Queued != 0 {
		t.Errorf("%+v", s)
	}
}

// two sends the same request twice, in one frame: the writer cannot look between.
func two(b *Backend, c *client, r *mc.Request) {
	for b.Status(); !b.Status().Up; {
		time.Sleep(time.Millisecond)
	}
	p := [2]*backend.Pending{backend.NewPending(), backend.NewPending()}
	b.mu.Lock()
	for i := range p {
		p[i].Waiter, p[i].Tag, p[i].Start = c, i, backend.Now()
		c.owed[p[i]] = true
		b.enqueueLocked(0, p[i], r)
		b.count++
	}
	b.mu.Unlock()
	b.wakeWriter()
}

// TestStrangeHellos: a leaf that cannot be used is down, with the reason, and is not sent anything.
func TestStrangeHellos(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(r *frame.HelloReply)
		want   string
	}{
		{"other version", func(r *frame.HelloReply) { r.Versions = []int{2, 3} }, "speaks frame versions [2 3], not 1"},
		{"no version", func(r *frame.HelloReply) { r.Versions = nil }, "speaks frame versions"},
		{"other name", func(r *frame.HelloReply) { r.Name = "leaf-2" }, "impossible hello"},
		{"no lanes", func(r *frame.HelloReply) { r.Lanes = 0 }, "impossible hello"},
		{"a million lanes", func(r *frame.HelloReply) { r.Lanes = 1 << 20 }, "impossible hello"},
		{"tiny messages", func(r *frame.HelloReply) { r.MaxPayload = 100 }, "impossible hello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFakeLeaf(t, c.change)
			ev := newEvents()
			b := startBackend(t, Options{URL: f.url, HelloInterval: 10 * time.Millisecond, OnEvent: ev.on})
			ev.wait(t, backend.EventBadValidate)
			if got := newClient(t, 0).do(b, "get a\r\n"); got != "ERR "+backend.ErrDown.Error() {
				t.Errorf("%q", got)
			}
			if s := b.Status(); s.Up || !strings.Contains(s.LastError, c.want) {
				t.Errorf("%+v, want %q", s, c.want)
			}
		})
	}
}

// TestLostAnswersDoNotFillTheWindow: what the leaf has sent before a hello and has not come is lost, and is taken as received.
func TestLostAnswersDoNotFillTheWindow(t *testing.T) {
	f := newFakeLeaf(t, func(r *frame.HelloReply) { r.Sent = 12345 })
	b := startBackend(t, Options{URL: f.url})
	acked := make(chan uint64, 1)
	f.on(func(m *nats.Msg, h frame.Header, _ string) {
		acked <- h.Acked
		answer(m, h.ID, nil, "1\r\n")
	})
	if got := newClient(t, 0).do(b, "incr a 1\r\n"); got != "1\r\n" {
		t.Fatal(got)
	}
	if n := <-acked; n != 12345 {
		t.Errorf("acknowledged %d bytes", n)
	}
}

// TestPastItsDeadlineNothingIsSent: a request that is too old when the writer comes to it.
func TestPastItsDeadlineNothingIsSent(t *testing.T) {
	f := newFakeLeaf(t, nil)
	b := startBackend(t, Options{URL: f.url})
	var seen []string
	f.on(func(m *nats.Msg, h frame.Header, body string) {
		seen = append(seen, body)
		answer(m, h.ID, nil, "1\r\n")
	})
	c := newClient(t, 0)
	c.do(b, "incr a 1\r\n")
	for i := range 20 {
		p := backend.NewPending()
		p.Waiter, p.Tag, p.Start = c, i, backend.Now()-int64(defaultTimeout)
		c.owed[p] = true
		b.Send(request(t, "incr old 1\r\n"), p)
		if p := c.take(1)[i]; !errors.Is(p.Err, backend.ErrTimeout) {
			t.Errorf("%q", text(p))
		}
	}
	if got := c.do(b, "incr b 1\r\n"); got != "1\r\n" && !strings.HasPrefix(got, "ERR ") {
		t.Error(got)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range seen {
		if strings.Contains(s, "old") {
			t.Errorf("sent: %q", s)
		}
	}
}

// relay passes bytes on between a backend and a leaf until it is stopped; then it holds them.
type relay struct {
	ln   net.Listener
	to   string
	mu   sync.Mutex
	halt sync.RWMutex                             // locked for writing while stopped
	edit atomic.Pointer[func(from []byte) []byte] // what becomes of what the leaf writes; nil: nothing
	made atomic.Int64                             // connections so far
	lost atomic.Int64                             // of them, and of those to come, the first so many carry nothing any more
	all  []net.Conn
	wg   sync.WaitGroup
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{ln: ln, to: to}
	r.wg.Go(r.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		r.mu.Lock()
		for _, c := range r.all {
			_ = c.Close()
		}
		r.mu.Unlock()
		r.wg.Wait()
	})
	return r
}

func (r *relay) accept() {
	for {
		in, err := r.ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", r.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		r.mu.Lock()
		r.all = append(r.all, in, out)
		r.mu.Unlock()
		n := r.made.Add(1)
		r.wg.Go(func() { r.pass(in, out, n, false) })
		r.wg.Go(func() { r.pass(out, in, n, true) })
	}
}

func (r *relay) pass(from, to net.Conn, n int64, back bool) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		got, err := from.Read(buf)
		r.halt.RLock() // waits while stopped
		_ = got
		r.halt.RUnlock()
		b := buf[:got]
		if n <= r.lost.Load() {
			b = nil
		}
		if edit := r.edit.Load(); back && edit != nil {
			b = (*edit)(b)
		}
		if len(b) > 0 {
			if _, err := to.Write(b); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// TestHangingConnection: nobody reads what the backend writes, until its writer hangs inside NATS. Requests still fail at their deadline,
// and what could not be written is never executed.
func TestHangingConnection(t *testing.T) {
	g := newGate(t, "none")
	l := startLeaf(t, leaf.Options{Exec: g.exec})
	r := newRelay(t, l.Addr())
	ev := newEvents()
	b := startBackend(t, Options{
		URL: "nats://" + r.ln.Addr().String(), Timeout: 300 * time.Millisecond, HelloInterval: 50 * time.Millisecond,
		MaxInFlight: 64 << 20, OnEvent: ev.on, Health: backend.HealthOptions{RetryMin: time.Millisecond},
	})
	ev.wait(t, backend.EventConnected)
	r.halt.Lock()
	c := newClient(t, 0)
	const n = 40
	value := strings.Repeat("v", 1<<20-1000)
	for i := range n {
		c.send(b, i, request(t, set(fmt.Sprint("k", i), value)))
	}
	for i, p := range c.take(n) {
		if p.Err == nil || errors.Is(p.Err, backend.ErrOverloaded) {
			t.Errorf("request %d: %q", i, text(p))
		}
	}
	r.halt.Unlock()
	ev.wait(t, backend.EventConnected)
	for got := ""; got != "END\r\n"; {
		if got = c.do(b, "get a\r\n"); got != "END\r\n" && !strings.HasPrefix(got, "ERR ") {
			t.Fatalf("%q", got)
		}
	}
	for i := n / 2; i < n; i++ { // the first may have been in the sockets' buffers
		if g.executed(fmt.Sprintf("set k%d 0 0 %d", i, len(value))) != 0 {
			t.Errorf("k%d was executed although it could not be written in time", i)
		}
	}
}

// TestCloseWhileHanging: Close does not wait for a peer that does not read.
func TestCloseWhileHanging(t *testing.T) {
	l := startLeaf(t, leaf.Options{})
	r := newRelay(t, l.Addr())
	b := startBackend(t, Options{URL: "nats://" + r.ln.Addr().String(), Timeout: patience, HelloLimit: patience, MaxInFlight: 64 << 20})
	c := newClient(t, 0)
	c.do(b, "mn\r\n")
	r.halt.Lock()
	defer r.halt.Unlock()
	const n = 40
	for i := range n {
		c.send(b, i, request(t, set(fmt.Sprint("k", i), strings.Repeat("v", 1<<20-1000))))
	}
	_ = b.Close()
	for i, p := range c.take(n) {
		if !errors.Is(p.Err, backend.ErrClosed) {
			t.Errorf("request %d: %v", i, p.Err)
		}
	}
}

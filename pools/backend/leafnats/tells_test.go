// What a backend tells its leaf about itself.

package leafnats

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// A leaf that recovers waits for this: it is told soon by who sends it requests, and again by name.
func TestHelloSaysWhereRequestsGo(t *testing.T) {
	l := startLeaf(t, leaf.Options{})
	nc, err := nats.Connect("nats://" + l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	defer func() { nc.Close(); <-closed }()
	heard := make(chan frame.HelloRequest, 100)
	if _, err := nc.Subscribe(frame.HelloSubject(l.Name()), func(m *nats.Msg) {
		var q frame.HelloRequest
		if err := json.Unmarshal(m.Data, &q); err == nil {
			heard <- q
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	next := func() frame.HelloRequest {
		select {
		case q := <-heard:
			return q
		case <-time.After(patience):
			t.Fatal("no hello")
			return frame.HelloRequest{}
		}
	}
	conns := NewConns(Access{})
	startBackend(t, Options{URL: l.URL(), Conns: conns, HelloInterval: time.Hour})
	first, second := next(), next()
	if first.Instance != 0 || second.Instance != l.Instance() {
		t.Errorf("requests go to %d, then %d; want 0, then %d", first.Instance, second.Instance, l.Instance())
	}
	startBackend(t, Options{URL: l.URL(), Conns: conns, HelloInterval: time.Hour, Label: "again"})
	startBackend(t, Options{URL: l.URL(), HelloInterval: time.Hour})
	names := map[string]int{first.Proxy: 2}
	for range 4 {
		names[next().Proxy]++
	}
	if len(names) != 2 || names[first.Proxy] != 4 {
		t.Errorf("names %v: want one for each Conns", names)
	}
}

// A leaf that drains waits until it has been told that nothing more comes, which is at once, and behind all that does.
func TestHelloSaysThatNothingMoreComes(t *testing.T) {
	_, url := natsServer(t)
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	defer func() { nc.Close(); <-closed }()
	come := make(chan *nats.Msg, 10)
	if _, err := nc.ChanSubscribe("tp.1.leaf-1.*", come); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	next := func() *nats.Msg {
		t.Helper()
		select {
		case m := <-come:
			return m
		case <-time.After(patience):
			t.Fatal("nothing comes")
			return nil
		}
	}
	hello := frame.HelloReply{
		Versions: []int{1}, Name: "leaf-1", Instance: 77, Lanes: 1, MaxItem: 1 << 20, MaxPayload: 1 << 20, State: frame.StateServing,
	}
	b := startBackend(t, Options{URL: url + "/leaf-1", HelloInterval: time.Hour, HelloLimit: 3 * time.Hour}) // only this test wakes the writer
	says := func(m *nats.Msg, instance uint64) {
		t.Helper()
		var q frame.HelloRequest
		if err := json.Unmarshal(m.Data, &q); m.Subject != frame.HelloSubject("leaf-1") || err != nil || q.Instance != instance {
			t.Fatalf("on %s came %q, want a hello that names instance %d", m.Subject, m.Data, instance)
		}
	}
	m := next()
	says(m, 0)
	text, err := json.Marshal(&hello)
	if err == nil {
		err = m.Respond(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	says(next(), 77) // not answered: from now on it hears what this test says

	p := backend.NewPending()
	c := newClient(t, 0)
	p.Waiter, p.Start, p.Backend = c, backend.Now(), b
	c.owed[p] = true
	b.mu.Lock()
	b.enqueueLocked(0, p, request(t, "mn\r\n"))
	b.count++
	sess := b.sess
	sess.wire = nil // as where there is TLS; what goes past nats.go is before it anyhow
	b.mu.Unlock()
	hello.State = frame.StateDraining
	b.hear(sess, &hello)
	var h frame.Header
	m = next()
	if body, err := h.Parse(m.Data); m.Subject != frame.LaneSubject("leaf-1", 0) || err != nil || string(body) != "mn\r\n" {
		t.Errorf("on %s came %q before what was queued", m.Subject, m.Data)
	}
	says(next(), 0)
	answer(m, h.ID, nil, "MN\r\n")
	c.take(1)
}

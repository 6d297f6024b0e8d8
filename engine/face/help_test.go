package face

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
	"github.com/tidepool-proxy/tidepool/pools/backend/leafnats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test; nothing takes as long when the code is right.
const patience = 20 * time.Second

func urlOf(s *natsserver.Server) string { return "nats://" + s.Addr().String() }

// startLeaves runs n leaves and gives a Lua list of their addresses.
func startLeaves(t testing.TB, n int) string {
	t.Helper()
	var urls []string
	for i := range n {
		l, err := leaf.Start(context.Background(), leaf.Options{Name: fmt.Sprintf("leaf-%d", i+1), Memory: 64 << 20, Settle: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close(ended()) })
		urls = append(urls, fmt.Sprintf("%q", l.URL()))
	}
	return strings.Join(urls, ", ")
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// flat is a configuration of one pool for everything.
func flat(backends string) string {
	return `pool{ name = "default", backends = { ` + backends + ` } } router{ router_type = "flat" }`
}

// startEngine runs a proxy over a configuration; change may alter its options.
func startEngine(t testing.TB, config string, change ...func(*engine.Options)) *engine.Proxy {
	t.Helper()
	path := filepath.Join(t.TempDir(), "routes.lua")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	local, err := leaf.NewLocal(leaf.Options{Memory: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	conns := leafnats.NewConns(leafnats.Access{})
	o := engine.Options{
		Files: []string{path}, Listen: []string{"127.0.0.1:0"}, Workers: 2, Local: local, Log: discard,
		NewLeaf: func(s pools.Spec, tell func(backend.Event)) (backend.Backend, error) {
			addr := s.Addr
			addr.Name = ""
			return leafnats.New(leafnats.Options{URL: addr.URL(), LeafName: s.Addr.Name, Conns: conns, OnEvent: tell})
		},
	}
	for _, f := range change {
		f(&o)
	}
	p, err := engine.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Shutdown(within(t)); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		local.Close()
	})
	eventually(t, "pools are up", func() bool { return p.Ready(true) == nil })
	return p
}

var discard = slog.New(slog.DiscardHandler)

// startFace serves h at a NATS system until the test ends.
func startFace(t testing.TB, url string, h server.Handler, change ...func(*Options)) *Face {
	t.Helper()
	o := Options{URL: url, Handler: h, Log: discard}
	for _, c := range change {
		c(&o)
	}
	f, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if f.closing.Load() {
			return
		}
		if err := f.Close(within(t)); err != nil {
			t.Error(err)
		}
		if s := f.Stats(); s.InFlight != 0 || s.Bytes != 0 {
			t.Errorf("left over: %+v", s)
		}
	})
	return f
}

// client is an application.
type client struct {
	t  testing.TB
	nc *nats.Conn
}

func dial(t testing.TB, url string, opts ...nats.Option) *client {
	t.Helper()
	closed := make(chan struct{})
	nc, err := nats.Connect(url, append(opts, nats.ReconnectWait(5*time.Millisecond), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); <-closed })
	return &client{t, nc}
}

// message makes one with headers as people write them: "op:get".
func message(subject, payload string, headers ...string) *nats.Msg {
	m := &nats.Msg{Subject: subject, Data: []byte(payload), Header: nats.Header{}}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		m.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return m
}

// ask sends a request and gives its answer in one line: the payload, and the headers in alphabetical order. CAS numbers are left out.
func (c *client) ask(subject, payload string, headers ...string) string {
	c.t.Helper()
	return show(c.message(subject, payload, headers...))
}

func (c *client) message(subject, payload string, headers ...string) *nats.Msg {
	c.t.Helper()
	m, err := c.nc.RequestMsg(message(subject, payload, headers...), patience)
	if err != nil {
		c.t.Fatalf("%s %q: %v", subject, headers, err)
	}
	return m
}

func show(m *nats.Msg) string {
	s := m.Header.Get("status")
	for _, name := range []string{"flags", "stale", "ttl", "Nats-Service-Error-Code", "Nats-Service-Error"} {
		if v, ok := m.Header[name]; ok {
			s += fmt.Sprintf(" %s=%s", strings.TrimPrefix(name, "Nats-Service-"), strings.Join(v, "|"))
		}
	}
	if len(m.Data) > 0 {
		s += fmt.Sprintf(" %q", m.Data)
	}
	return s
}

// talk sends memcached's protocol to the engine and gives what comes back up to the answer of mn.
func talk(t testing.TB, p *engine.Proxy, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", p.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text+"mn\r\nquit\r\n"); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(b), "MN\r\n")
}

// eventually asks again and again; what is asked is told by nobody.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("never: %s", what)
		}
	}
}

// gate is a Handler whose sessions answer with the command line, once they may.
type gate struct {
	open    chan struct{} // closed: answers come
	arrived chan string   // command lines, as they come
	text    func(r *mc.Request) string
	batches sync.Map // sizes of batches
}

func newGate() *gate { return &gate{open: make(chan struct{}), arrived: make(chan string, 100_000)} }

func (g *gate) Open(server.ConnInfo) server.Session { return g }
func (g *gate) Rules() mc.Rules                     { return mc.Rules{Routed: true} }
func (g *gate) Close()                              {}
func (g *gate) Serve(b *server.Batch) error {
	g.batches.Store(len(b.Reqs), true)
	for i := range b.Reqs {
		g.arrived <- string(b.Reqs[i].Line)
	}
	<-g.open
	for i := range b.Reqs {
		text := "HD\r\n"
		if g.text != nil {
			text = g.text(&b.Reqs[i])
		}
		b.Each(i, []byte(text))
	}
	return nil
}

// lines is a log that can be read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), s)
}

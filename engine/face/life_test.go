package face

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/tests/natsd"
	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// sent publishes a request whose answer comes to the channel.
func (c *client) sent(answers chan *nats.Msg, m *nats.Msg) {
	c.t.Helper()
	m.Reply = c.nc.NewInbox()
	if _, err := c.nc.ChanSubscribe(m.Reply, answers); err != nil {
		c.t.Fatal(err)
	}
	if err := c.nc.PublishMsg(m); err != nil {
		c.t.Fatal(err)
	}
}

func receive[T any](t testing.TB, ch chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(patience):
		t.Fatalf("never: %s", what)
	}
	return v
}

func total(f *Face) (n uint64) {
	for _, r := range f.Stats().Requests {
		n += r.N
	}
	return n
}

// TestQueueGroup: two proxies over the same leaves share the requests, none is executed twice, and each alone is enough.
func TestQueueGroup(t *testing.T) {
	ns, leaves := natsd.Start(t), startLeaves(t, 2)
	var faces []*Face
	for range 2 {
		faces = append(faces, startFace(t, urlOf(ns), startEngine(t, flat(leaves))))
	}
	c := dial(t, urlOf(ns))
	const n = 200
	for i := range n {
		if got, want := c.ask("cache.n", "1", "op:incr", "initial:1"), fmt.Sprintf("stored %q", fmt.Sprint(i+1)); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	a, b := total(faces[0]), total(faces[1])
	if a < n/10 || b < n/10 || a+b != n {
		t.Errorf("%d and %d of %d requests", a, b, n)
	}
	if err := faces[0].Close(within(t)); err != nil {
		t.Error(err)
	}
	if got := c.ask("cache.n", "1", "op:incr"); got != fmt.Sprintf("stored %q", fmt.Sprint(n+1)) || total(faces[1]) != b+1 {
		t.Errorf("with one of two: %s", got)
	}
}

// TestNoneWaitsForASlowOne: requests that came together with one whose backend does not answer are answered before it.
func TestNoneWaitsForASlowOne(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready, release := make(chan struct{}), make(chan struct{})
	var served sync.WaitGroup
	served.Go(func() { // a memcached server that takes its time
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		buf := make([]byte, 4096)
		n, _ := nc.Read(buf)
		if !strings.HasPrefix(string(buf[:n]), "version") {
			t.Errorf("%q", buf[:n])
		}
		_, _ = io.WriteString(nc, "VERSION 1\r\n")
		_, _ = nc.Read(buf)
		close(ready)
		<-release
		_, _ = io.WriteString(nc, "HD\r\n")
		_, _ = nc.Read(buf) // until the end
	})
	t.Cleanup(func() { _ = ln.Close(); served.Wait() })
	ns := natsd.Start(t)
	p := startEngine(t, `
function mcp_config_pools()
    mcp.backend_read_timeout(60)
    return { slow = mcp.pool({ mcp.backend("slow", "127.0.0.1", `+port(ln)+`) }), fast = mcp.pool({ mcp.backend(`+startLeaves(t, 1)+`) }) }
end
function mcp_config_routes(p)
    mcp.attach(mcp.CMD_ANY_STORAGE, function(r) if r:key() == "slow" then return p.slow(r) end return p.fast(r) end)
end`)
	startFace(t, urlOf(ns), p)
	c := dial(t, urlOf(ns))
	answers := make(chan *nats.Msg, 200)
	c.sent(answers, message("cache.slow", "v", "op:set"))
	const n = 100
	for i := range n {
		c.sent(answers, message(fmt.Sprintf("cache.k%d", i), "v", "op:set"))
	}
	for i := range n {
		if got := show(receive(t, answers, "an answer")); got != "stored" {
			t.Fatalf("answer %d: %s", i, got)
		}
	}
	receive(t, ready, "the slow one is asked")
	close(release)
	if got := show(receive(t, answers, "the slow answer")); got != "stored" {
		t.Error(got)
	}
}

func port(ln net.Listener) string {
	_, p, _ := net.SplitHostPort(ln.Addr().String())
	return p
}

// TestLimits: what is over them is refused at once, and later there is room again.
func TestLimits(t *testing.T) {
	for _, d := range []struct {
		name  string
		limit func(*Options)
		size  int
	}{
		{"requests", func(o *Options) { o.MaxInFlight = 2 }, 1},
		{"bytes", func(o *Options) { o.MaxBytes = 2*1000 + 2*msgCost }, 1000},
	} {
		t.Run(d.name, func(t *testing.T) {
			ns, g := natsd.Start(t), newGate()
			f := startFace(t, urlOf(ns), g, d.limit)
			c := dial(t, urlOf(ns))
			answers, value := make(chan *nats.Msg, 10), strings.Repeat("v", d.size)
			for range 2 {
				c.sent(answers, message("cache.k", value, "op:set"))
				receive(t, g.arrived, "it is with the engine")
			}
			if got := c.ask("cache.k", value, "op:set"); got != "error Error-Code=429 Error=SERVER_ERROR too many requests are under way" {
				t.Error(got)
			}
			if err := c.nc.PublishMsg(message("cache.k", value, "op:set")); err != nil { // nobody waits: it is counted
				t.Fatal(err)
			}
			eventually(t, "both are counted", func() bool { return f.Stats().Refused == 2 })
			close(g.open)
			for range 2 {
				if got := show(receive(t, answers, "an answer")); got != "stored" {
					t.Error(got)
				}
			}
			if got := c.ask("cache.k", value, "op:set"); got != "stored" {
				t.Error(got)
			}
		})
	}
}

// TestClose: what was sent before is answered, what is sent after is refused by NATS at once.
func TestClose(t *testing.T) {
	ns, g := natsd.Start(t), newGate()
	f := startFace(t, urlOf(ns), g)
	c := dial(t, urlOf(ns))
	const n = 500
	answers := make(chan *nats.Msg, n)
	for i := range n {
		c.sent(answers, message(fmt.Sprintf("cache.k%d", i), "v", "op:set"))
	}
	receive(t, g.arrived, "one is with the engine")
	if err := c.nc.FlushTimeout(patience); err != nil { // so that all are with the server
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- f.Close(within(t)) }()
	eventually(t, "it receives no more", func() bool {
		_, err := c.nc.RequestMsg(message("cache.late", "v", "op:set"), 5*time.Millisecond)
		return errors.Is(err, nats.ErrNoResponders)
	})
	select {
	case err := <-closed:
		t.Fatalf("closed while requests were under way: %v", err)
	default:
	}
	close(g.open)
	if err := receive(t, closed, "the end"); err != nil {
		t.Error(err)
	}
	for range n {
		if got := show(receive(t, answers, "an answer")); got != "stored" {
			t.Fatal(got)
		}
	}
}

// TestCloseInTime: a request that never ends does not keep a face from ending, and none goes to the engine any more.
func TestCloseInTime(t *testing.T) {
	ns, g := natsd.Start(t), newGate()
	f := startFace(t, urlOf(ns), g, func(o *Options) { o.MaxInFlight = maxHands * maxBatch * 2 })
	c := dial(t, urlOf(ns))
	c.sent(make(chan *nats.Msg, 1), message("cache.k", "v", "op:set"))
	receive(t, g.arrived, "it is with the engine")
	err := f.Close(ended())
	if err == nil || err.Error() != "cannot answer 1 requests over NATS in time: context canceled" {
		t.Error(err)
	}
	f.receive(message("cache.k", "v", "op:set")) // as if it had come meanwhile
	close(g.open)
	f.hands.Wait()
	if len(g.arrived) != 0 {
		t.Errorf("after the end: %q", <-g.arrived)
	}
}

// TestReconnect: a NATS server that goes and comes back.
func TestReconnect(t *testing.T) {
	ns := natsd.Start(t)
	addr := ns.Addr().(*net.TCPAddr)
	p := startEngine(t, flat(startLeaves(t, 1)))
	var log lines
	f := startFace(t, urlOf(ns), p, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	c := dial(t, urlOf(ns), nats.MaxReconnects(-1))
	if got := c.ask("cache.k", "v", "op:set"); got != "stored" {
		t.Fatal(got)
	}
	ns.Shutdown()
	ns.WaitForShutdown()
	eventually(t, "it notices", func() bool { return !f.Stats().Connected })
	natsd.Start(t, func(o *natsserver.Options) { o.Port = addr.Port })
	eventually(t, "an answer", func() bool {
		m, err := c.nc.RequestMsg(message("cache.k", "", "op:get"), time.Second)
		return err == nil && show(m) == `hit "v"`
	})
	for _, want := range []string{"NATS face disconnected", "NATS face connected again"} {
		if !log.has(want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

// TestNATSComesLater: the face waits for a system that is not there yet.
func TestNATSComesLater(t *testing.T) {
	free, err := proc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := net.ResolveTCPAddr("tcp", free[0])
	if err != nil {
		t.Fatal(err)
	}
	g := newGate()
	close(g.open)
	var log lines
	f := startFace(t, "nats://user@"+addr.String(), g, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	if f.Connected() || !log.has("not connected yet") || log.has("user@") {
		t.Error("connected to nobody, or says too little or too much")
	}
	ns := natsd.Start(t, func(o *natsserver.Options) { o.Port = addr.Port })
	eventually(t, "it is connected", f.Connected)
	c := dial(t, urlOf(ns))
	eventually(t, "an answer", func() bool {
		m, err := c.nc.RequestMsg(message("cache.k", "v", "op:set"), time.Second)
		return err == nil && show(m) == "stored"
	})
}

// TestStartErrors: what cannot be meant, and NATS systems that do not let us in.
func TestStartErrors(t *testing.T) {
	closed := natsd.Start(t, func(o *natsserver.Options) { o.Username, o.Password = "u", "p" })
	narrow := natsd.Start(t, func(o *natsserver.Options) {
		o.Users = []*natsserver.User{{Username: "u", Password: "p", Permissions: &natsserver.Permissions{
			Subscribe: &natsserver.SubjectPermission{Allow: []string{"other.>"}},
		}}}
	})
	f := func(want string, o Options) {
		t.Helper()
		o.Handler, o.Log = newGate(), discard
		face, err := Start(o)
		if err == nil {
			t.Errorf("%+v: no error, want %q", o, want)
			_ = face.Close(within(t))
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f("want a URL and a handler", Options{})
	f(`cannot start the NATS face: prefix "a.*" has a wildcard`, Options{URL: urlOf(closed), Prefix: "a.*"})
	f(`prefix "$SYS" begins with "$SYS"`, Options{URL: urlOf(closed), Prefix: "$SYS"})
	f(`tag "ninechars" must be 1 to 8 characters`, Options{URL: urlOf(closed), Tag: "ninechars"})
	f("want none below 0", Options{URL: urlOf(closed), MaxInFlight: -1})
	f(`cannot connect to NATS at "`+urlOf(closed)+`": nats: Authorization Violation`, Options{URL: urlOf(closed)})
	f(`cannot connect to NATS at "nats://`+closed.Addr().String(), Options{URL: "nats://u:wrong@" + closed.Addr().String()})
	f(`cannot serve "cache.>" over NATS: nats: permissions violation`, Options{URL: urlOf(narrow), Connect: []nats.Option{nats.UserInfo("u", "p")}})
}

// panics is a Handler whose sessions do so when they are asked to.
type panics struct {
	*gate
	opened, closed atomic.Int32
}

func (p *panics) Open(server.ConnInfo) server.Session { p.opened.Add(1); return p }
func (p *panics) Close()                              { p.closed.Add(1) }
func (p *panics) Serve(b *server.Batch) error {
	for i := range b.Reqs {
		switch string(b.Reqs[i].Key) {
		case "panic":
			panic("as asked")
		case "fail":
			return errors.New("as asked")
		}
		b.Each(i, []byte("HD\r\n"))
	}
	return nil
}

// TestEngineFails: whoever asked is told, and the next is served.
func TestEngineFails(t *testing.T) {
	ns, p := natsd.Start(t), &panics{gate: newGate()}
	f := startFace(t, urlOf(ns), p)
	c := dial(t, urlOf(ns))
	for range 3 {
		for _, key := range []string{"panic", "fail"} {
			if got := c.ask("cache."+key, "v", "op:set"); got != "error Error-Code=500 Error=SERVER_ERROR the proxy failed" {
				t.Error(got)
			}
		}
		if got := c.ask("cache.k", "v", "op:set"); got != "stored" {
			t.Error(got)
		}
	}
	if n := f.Stats().Panics; n != 3 {
		t.Errorf("%d panics counted", n)
	}
	if err := f.Close(within(t)); err != nil {
		t.Error(err)
	}
	if opened, closed := p.opened.Load(), p.closed.Load(); opened != closed || opened < 4 {
		t.Errorf("%d sessions opened, %d closed", opened, closed)
	}
}

// TestHands: while hands are busy others are made, batches grow, and afterwards few stay.
func TestHands(t *testing.T) {
	ns, g := natsd.Start(t), newGate()
	f := startFace(t, urlOf(ns), g)
	c := dial(t, urlOf(ns))
	answers := make(chan *nats.Msg, 10_000)
	const n = 3 * keepHands
	for i := range n { // each while all before it are busy
		c.sent(answers, message(fmt.Sprintf("cache.k%d", i), "v", "op:set"))
		receive(t, g.arrived, "it is with the engine")
	}
	f.mu.Lock()
	if f.number != n {
		t.Errorf("%d hands for %d requests", f.number, n)
	}
	f.mu.Unlock()
	close(g.open)
	for range n {
		receive(t, answers, "an answer")
	}
	eventually(t, "few hands stay", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.number == keepHands && len(f.idle) == keepHands
	})
	const many = 5000
	for i := range many {
		c.sent(answers, message(fmt.Sprintf("cache.k%d", i), "v", "op:set"))
	}
	for range many {
		receive(t, answers, "an answer")
	}
	largest := 0
	g.batches.Range(func(size, _ any) bool { largest = max(largest, size.(int)); return true })
	if largest < 2 || largest > maxBatch {
		t.Errorf("the largest batch had %d requests", largest)
	}
}

package leaf

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/access"
)

func TestFrames(t *testing.T) {
	l := start(t, Options{Lanes: 2, MaxItem: 1000})
	p := dial(t, l)
	p.frame(1, "set a 0 0 1\r\nx\r\nget a\r\nmg a v\r\nincr a 1\r\n")
	p.want(1, "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\nVA 1\r\nx\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n")

	// Whatever is in it has one answer.
	p.frame(2, "mg zzz v q\r\nquit\r\nset b 0 0 1 noreply\r\ny\r\nbogus\r\nset big 0 0 1001\r\n"+strings.Repeat("v", 1001)+"\r\nget b\r\n")
	p.want(2, answerNone+answerNone+answerNone+"ERROR\r\nSERVER_ERROR object too large for cache\r\nVALUE b 0 1\r\ny\r\nEND\r\n")

	many := 3*chunk + 7
	p.frame(3, strings.Repeat("mn\r\n", many))
	p.want(3, strings.Repeat("MN\r\n", many))

	waitFor(t, "idle", func() bool { return l.Stats().Pending == 0 })
	s := l.Stats()
	if s.Requests != uint64(4+6+many) || s.Frames != 3 || s.Proxies != 1 {
		t.Errorf("%+v", s)
	}
}

func TestRefusals(t *testing.T) {
	var executed atomic.Int64
	clock := time.Now()
	l := start(t, Options{
		Now: func() time.Time { return clock }, // stands still: nothing expires but what had no time at all
		Exec: func(r *mc.Request, dst []byte) []byte {
			executed.Add(1)
			return append(dst, "MN\r\n"...)
		},
	})
	l.SetEpoch(7)
	l.SetEpoch(3) // never goes back
	p := dial(t, l)
	edit := func(f func(h *frame.Header)) func(p *proxy) []byte {
		return func(p *proxy) []byte {
			h := p.header(9)
			f(&h)
			return h.Append(nil, []byte("mn\r\nmn\r\n"))
		}
	}
	bytes := func(f func(msg []byte) []byte) func(p *proxy) []byte {
		return func(p *proxy) []byte { h := p.header(9); return f(h.Append(nil, []byte("mn\r\n"))) }
	}
	for _, c := range []struct {
		name string
		msg  func(p *proxy) []byte
		id   uint64
		why  frame.Reason // 0: executed
	}{
		{"good", edit(func(h *frame.Header) {}), 9, 0},
		{"present epoch", edit(func(h *frame.Header) { h.Epoch = 7 }), 9, 0},
		{"later epoch", edit(func(h *frame.Header) { h.Epoch = 8 }), 9, 0},
		{"older epoch", edit(func(h *frame.Header) { h.Epoch = 6 }), 9, frame.ReasonEpoch},
		{"other instance", edit(func(h *frame.Header) { h.Instance++ }), 9, frame.ReasonInstance},
		{"no instance", edit(func(h *frame.Header) { h.Instance = 0 }), 9, frame.ReasonInstance},
		{"no time left", edit(func(h *frame.Header) { h.Millis = 0 }), 9, frame.ReasonExpired},
		{"an answer", edit(func(h *frame.Header) { h.Flags = frame.FlagAnswer }), 9, frame.ReasonFormat},
		{"version 2", bytes(func(m []byte) []byte { m[2] = 2; return m }), 9, frame.ReasonVersion},
		{"unknown flags", bytes(func(m []byte) []byte { m[3] = 0x80; return m }), 9, frame.ReasonFormat},
		{"too long", bytes(func(m []byte) []byte { return append(m, 'x') }), 9, frame.ReasonFormat},
		{"too short", bytes(func(m []byte) []byte { return m[:len(m)-1] }), 9, frame.ReasonFormat},
		{"half a header", bytes(func(m []byte) []byte { return m[:20] }), 0, frame.ReasonFormat},
		{"no frame", bytes(func(m []byte) []byte { return []byte("set a 0 0 1\r\nx\r\n") }), 0, frame.ReasonFormat},
		{"empty", bytes(func(m []byte) []byte { return nil }), 0, frame.ReasonFormat},
		{"last part first", edit(func(h *frame.Header) { h.Part, h.Parts = 2, 2 }), 9, frame.ReasonFormat},
	} {
		before, refused := executed.Load(), l.Stats().Refused[c.why]
		p.send(frame.LaneSubject(l.Name(), 0), c.msg(p))
		if c.why == 0 {
			p.want(c.id, "MN\r\nMN\r\n")
			continue
		}
		p.refusal(c.id, c.why)
		if n := executed.Load() - before; n != 0 {
			t.Errorf("%s: %d requests executed", c.name, n)
		}
		if n := l.Stats().Refused[c.why] - refused; n != 1 {
			t.Errorf("%s: counted %d times", c.name, n)
		}
	}
	p.silence()
}

// TestMalformedBody: a frame that does not end with a request is refused whole, as long as it is not long.
func TestMalformedBody(t *testing.T) {
	l := start(t, Options{Lanes: 1})
	p := dial(t, l)
	for i, body := range []string{
		"set a 0 0 1\r\nx\r\nget a",
		"set a 0 0 1\r\nx\r\nset b 0 0 5\r\nx\r\n",
		"set a 0 0 1\r\nx\r\n\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"set a 0 0 1\r\nx\r\n" + strings.Repeat("x", 5000),
	} {
		p.frame(uint64(i), body)
		p.refusal(uint64(i), frame.ReasonFormat)
	}
	p.frame(10, "get a\r\n")
	p.want(10, "END\r\n")
	p.frame(11, strings.Repeat("mn\r\n", chunk)+"get a")
	p.want(11, strings.Repeat("MN\r\n", chunk)+answerBadFrame)
	waitFor(t, "idle", func() bool { return l.Stats().Pending == 0 })
}

func TestParts(t *testing.T) {
	l := start(t, Options{Lanes: 1})
	p := dial(t, l)
	part := func(id uint64, i, of uint16, body string) {
		h := p.header(id)
		h.Part, h.Parts = i, of
		p.raw(&h, body)
	}
	part(1, 0, 3, "set a 0 0 ")
	part(2, 0, 2, "set b 0 0 1\r\n")
	part(1, 1, 3, "4\r\nab")
	part(2, 1, 2, "b\r\n")
	p.want(2, "STORED\r\n")
	part(1, 2, 3, "cd\r\nget a\r\n")
	p.want(1, "STORED\r\nVALUE a 0 4\r\nabcd\r\nEND\r\n")

	part(3, 0, 3, "mn\r\n")
	part(3, 1, 2, "mn\r\n") // says something else than the first
	p.refusal(3, frame.ReasonFormat)
	p.frame(4, "mn\r\n")
	p.want(4, "MN\r\n")
	p.silence()
}

// TestWindow: a proxy that takes nothing gets a window's worth and no more, others go on meanwhile; with its acknowledgement
// it gets the rest. Nothing of what waits is executed before.
func TestWindow(t *testing.T) {
	const value = 100_000
	l := start(t, Options{Lanes: 1, MaxItem: value + 1000, Window: 1 << 20})
	p, other := dial(t, l), dial(t, l)
	p.frame(0, "set a 0 0 100000\r\n"+strings.Repeat("v", value)+"\r\nset n 0 0 1\r\n0\r\n")
	p.want(0, "STORED\r\nSTORED\r\n")

	const gets = 30
	p.frame(1, strings.Repeat("get a\r\n", gets)+"incr n 1\r\n")
	p.frame(2, "incr n 1\r\n") // behind it
	waitFor(t, "parked", func() bool { return l.Stats().Parked > 0 })
	other.frame(1, "get n\r\n")
	other.want(1, "VALUE n 0 1\r\n0\r\nEND\r\n")
	if n := l.peers.get([]byte(p.inbox), time.Now()).sent.Load(); n > 1<<20 || n < 1<<20-3*value {
		t.Errorf("%d bytes sent into a window of %d", n, 1<<20)
	}

	var got strings.Builder
	for last := false; !last; {
		h, body := p.next()
		if h.ID != 1 {
			t.Fatalf("frame %d before 1 has ended", h.ID)
		}
		got.WriteString(body)
		last = h.Part+1 == h.Parts
		ack := frame.Header{Flags: frame.FlagAck, Instance: l.Instance(), Acked: p.acked}
		p.raw(&ack, "")
	}
	one := "VALUE a 0 100000\r\n" + strings.Repeat("v", value) + "\r\nEND\r\n"
	if got.String() != strings.Repeat(one, gets)+"1\r\n" {
		t.Errorf("%d bytes, want %d", got.Len(), gets*len(one)+3)
	}
	p.want(2, "2\r\n")
	if r := p.hello(frame.HelloRequest{Versions: []int{1}, Proxy: "p"}); r.Sent != p.acked {
		t.Errorf("leaf says it sent %d bytes, %d came", r.Sent, p.acked)
	}
	waitFor(t, "idle", func() bool { return l.Stats().Pending == 0 })
}

// TestParkedFrameExpires: of a proxy that is gone nothing is kept.
func TestParkedFrameExpires(t *testing.T) {
	var ahead atomic.Int64
	l := start(t, Options{
		Lanes: 1, Window: 100, MaxItem: 100,
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	})
	p := dial(t, l)
	p.frame(1, strings.Repeat("mn\r\n", 200))
	p.frame(2, "set a 0 0 1\r\nx\r\n")
	waitFor(t, "parked", func() bool { return l.Stats().Parked == 2 })
	ahead.Store(int64(2 * time.Minute))
	waitFor(t, "expired", func() bool { return l.Stats().Refused[frame.ReasonExpired] == 2 && l.Stats().Pending == 0 })
	waitFor(t, "forgotten", func() bool { return l.Stats().Proxies == 0 })
	other := dial(t, l)
	other.frame(3, "get a\r\n")
	other.want(3, "END\r\n")
}

// TestOverload: what waits here is bounded, and what is beyond is refused at once.
func TestOverload(t *testing.T) {
	open, in := make(chan struct{}), make(chan struct{}, 10)
	l := start(t, Options{
		Lanes: 1, MaxPending: 20_000,
		Exec: func(r *mc.Request, dst []byte) []byte {
			in <- struct{}{}
			<-open
			return append(dst, "MN\r\n"...)
		},
	})
	p, other := dial(t, l), dial(t, l)
	p.frame(1, "get a\r\n")
	<-in
	p.frame(2, "set b 0 0 8000\r\n"+strings.Repeat("v", 8000)+"\r\n")
	p.frame(3, "set b 0 0 8000\r\n"+strings.Repeat("v", 8000)+"\r\n") // over one proxy's half
	p.refusal(3, frame.ReasonOverloaded)
	other.frame(4, "set b 0 0 8000\r\n"+strings.Repeat("v", 8000)+"\r\n") // the other's half is its own
	other.frame(5, "set b 0 0 8000\r\n"+strings.Repeat("v", 8000)+"\r\n")
	other.refusal(5, frame.ReasonOverloaded)
	close(open)
	p.want(1, "MN\r\n")
	p.want(2, "MN\r\n")
	other.want(4, "MN\r\n")
	waitFor(t, "idle", func() bool { return l.Stats().Pending == 0 })
}

func TestHello(t *testing.T) {
	l := start(t, Options{Lanes: 3, MaxItem: 12345})
	l.SetEpoch(5)
	p := dial(t, l)
	want := frame.HelloReply{
		Versions: []int{1}, Name: "leaf-1", Instance: l.Instance(), Lanes: 3, MaxItem: 12345, MaxPayload: 8 << 20,
		Epoch: 5, State: frame.StateServing,
	}
	same := func(r frame.HelloReply) {
		t.Helper()
		if len(r.Versions) != 1 || r.Versions[0] != 1 {
			t.Errorf("versions %v", r.Versions)
		}
		r.Versions, want.Versions = nil, nil
		if r.Name != want.Name || r.Instance != want.Instance || r.Lanes != want.Lanes || r.MaxItem != want.MaxItem ||
			r.MaxPayload != want.MaxPayload || r.Epoch != want.Epoch || r.State != want.State {
			t.Errorf("got %+v, want %+v", r, want)
		}
	}
	same(p.hello(frame.HelloRequest{Versions: []int{1}}))
	p.send(frame.HelloSubject("leaf-1"), []byte("no JSON")) // a person with the nats tool
	same(p.reply())
	if n := l.Stats().Proxies; n != 0 {
		t.Errorf("%d proxies kept, none said hello as one", n)
	}
	same(p.hello(frame.HelloRequest{Versions: []int{1}, Proxy: "p"}))
	if n := l.Stats().Proxies; n != 1 {
		t.Errorf("%d proxies", n)
	}
}

// TestDrain: a leaf that stops tells its proxies, and answers what they have sent.
func TestDrain(t *testing.T) {
	open, in := make(chan struct{}), make(chan struct{}, 1)
	l := start(t, Options{Exec: func(r *mc.Request, dst []byte) []byte {
		in <- struct{}{}
		<-open
		return append(dst, "MN\r\n"...)
	}})
	p := dial(t, l)
	p.hello(frame.HelloRequest{Versions: []int{1}, Proxy: "p"})
	p.frame(1, "mn\r\n")
	<-in
	closed := make(chan error)
	go func() { closed <- l.Close(context.Background()) }()
	if r := p.reply(); r.State != frame.StateDraining {
		t.Errorf("%+v", r)
	}
	select {
	case <-closed:
		t.Error("closed before it had answered")
	default:
	}
	close(open)
	p.want(1, "MN\r\n")
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := l.Close(context.Background()); err != nil {
		t.Error("again:", err)
	}
}

// TestDrainTakesTheTimeItIsGiven: --drain may be longer than what a drain has by itself.
func TestDrainTakesTheTimeItIsGiven(t *testing.T) {
	given, cancel := context.WithTimeout(context.Background(), 10*drainLimit)
	defer cancel()
	want, _ := given.Deadline()
	ctx, done := withEnd(given)
	defer done()
	if got, _ := ctx.Deadline(); got != want {
		t.Errorf("it ends %v, want %v", got, want)
	}
	ctx, done = withEnd(context.Background())
	defer done()
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > drainLimit {
		t.Errorf("without a deadline it ends %v (%v)", end, ok)
	}
}

// TestNameIsTaken: two leaves of one name would both execute one incr.
func TestNameIsTaken(t *testing.T) {
	url := natsServer(t)
	first := start(t, Options{Name: "a", NATS: url, Settle: 20 * time.Millisecond})
	if _, err := Start(context.Background(), Options{Name: "a", NATS: url, Settle: patience}); !errors.Is(err, ErrNameTaken) {
		t.Errorf("second leaf of the name: %v", err)
	}
	start(t, Options{Name: "b", NATS: url, Settle: 20 * time.Millisecond})
	_ = first.Close(context.Background())
	start(t, Options{Name: "a", NATS: url, Settle: 20 * time.Millisecond})
}

// TestNotBothStart: two leaves that start at the same time.
func TestNotBothStart(t *testing.T) {
	url := natsServer(t)
	type result struct {
		l   *Leaf
		err error
	}
	both := make(chan result, 2)
	for range 2 {
		go func() {
			l, err := Start(context.Background(), Options{Name: "a", NATS: url, Settle: 300 * time.Millisecond})
			both <- result{l, err}
		}()
	}
	var up int
	for range 2 {
		switch r := <-both; {
		case r.err == nil:
			up++
			defer r.l.Close(ended())
		case !errors.Is(r.err, ErrNameTaken):
			t.Error(r.err)
		}
	}
	if up > 1 {
		t.Errorf("%d started", up)
	}
}

func TestOptions(t *testing.T) {
	bad := func(o Options, want string) {
		t.Helper()
		l, err := Start(context.Background(), o)
		if err == nil {
			_ = l.Close(ended())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	for _, name := range []string{"", "A", "leaf.1", "leaf 1", "leaf_1", "*", ">", "é", strings.Repeat("a", 64)} {
		bad(Options{Name: name}, "want [a-z0-9-]{1,63}")
	}
	taken := start(t, Options{})
	bad(Options{Name: "a", Listen: "nonsense"}, `cannot listen on "nonsense"`)
	bad(Options{Name: "a", Listen: "127.0.0.1:x"}, "bad port")
	bad(Options{Name: "a", Listen: taken.Addr()}, `cannot listen on "`+taken.Addr())
	bad(Options{Name: "a", Lanes: 65}, "want 1 to 64")
	bad(Options{Name: "a", MaxPayload: 4096}, "max payload")
	bad(Options{Name: "a", NATS: "nats://127.0.0.1:1"}, "cannot connect to NATS")

	insecure := func(o Options, want bool) {
		t.Helper()
		o.Name = "a"
		if _, err := o.withDefaults(); errors.Is(err, ErrInsecure) != want {
			t.Errorf("%q: %v, refused: want %v", o.Listen, err, want)
		}
	}
	insecure(Options{Listen: "0.0.0.0:1"}, true)
	insecure(Options{Listen: ":1"}, true)
	insecure(Options{Listen: "[::]:1"}, true)
	insecure(Options{Listen: "10.0.0.1:1"}, true)
	insecure(Options{Listen: "cache.example:1"}, true)
	insecure(Options{Listen: "127.0.0.1:1"}, false)
	insecure(Options{Listen: "localhost:1"}, false)
	insecure(Options{Listen: "[::1]:1"}, false)
	insecure(Options{Listen: "0.0.0.0:1", Insecure: true}, false)
	insecure(Options{Listen: "0.0.0.0:1", User: "u", Password: "p"}, false)
	insecure(Options{Listen: "0.0.0.0:1", Token: "t"}, false)
	insecure(Options{Listen: "0.0.0.0:1", TLS: &tls.Config{}}, true)
	insecure(Options{Listen: "0.0.0.0:1", TLS: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert}}, false)
	insecure(Options{Listen: "0.0.0.0:1", Users: []access.User{{Name: "u", Password: "p"}}}, false)
	insecure(Options{Listen: "0.0.0.0:1", NKeys: []string{"U"}}, false)
	insecure(Options{NATS: "nats://elsewhere:4222"}, false)
}

// TestCredentials: who has none is not let in.
func TestCredentials(t *testing.T) {
	for _, o := range []Options{{User: "u", Password: "p"}, {Token: "t"}} {
		l := start(t, o)
		if nc, err := nats.Connect("nats://" + l.Addr()); err == nil {
			nc.Close()
			t.Errorf("%+v: connected with nothing", o)
		}
		good := nats.Token("t")
		if o.User != "" {
			good = nats.UserInfo("u", "p")
		}
		p := dial(t, l, good)
		p.frame(1, "mn\r\n")
		p.want(1, "MN\r\n")
	}
}

// TestTLS: with it a listener speaks nothing else, and the leaf's own connection still works.
func TestTLS(t *testing.T) {
	cert, roots := certificate(t)
	l := start(t, Options{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	p := dial(t, l, nats.Secure(&tls.Config{RootCAs: roots, ServerName: "leaf"}))
	p.frame(1, "mn\r\n")
	p.want(1, "MN\r\n")
}

// certificate makes a self-signed one for the name "leaf".
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"leaf"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// TestLocal is the store without NATS, as the proxy has it.
func TestLocal(t *testing.T) {
	l, err := NewLocal(Options{MaxItem: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var p mc.Parser
	var r mc.Request
	if _, _, err := p.Next([]byte("set a 0 0 1\r\nx\r\n"), &mc.Rules{}, &r); err != nil {
		t.Fatal(err)
	}
	if got := string(l.Exec(&r, []byte("> "))); got != "> STORED\r\n" {
		t.Errorf("%q", got)
	}
}

func waitFor(t *testing.T, what string, f func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("never %s", what)
		}
	}
}

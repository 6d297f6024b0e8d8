// Recovery of one leaf from others: what comes, from where, and what happens if it cannot.

package leaf

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/store"
	"github.com/tidepool-proxy/tidepool/leaf/stream"
	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// do executes requests at a leaf, without NATS.
func do(t testing.TB, l *Leaf, in string) string {
	t.Helper()
	var p mc.Parser
	var r mc.Request
	var out []byte
	for buf := []byte(in); len(buf) > 0; {
		n, _, err := p.Next(buf, &mc.Rules{MaxValue: 1 << 30}, &r)
		if err != nil {
			t.Fatalf("%.40q: %v", in, err)
		}
		out = l.exec(&r, out)
		buf = buf[n:]
	}
	return string(out)
}

func set(k, v string) string { return fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", k, len(v), v) }

// quick is a recovery that does not wait for what a test knows to be over.
func quick(from ...string) Recover {
	return Recover{From: from, Settle: time.Millisecond, Timeout: patience}
}

// over waits until a leaf has recovered.
func over(t testing.TB, l *Leaf) RecoverStatus {
	t.Helper()
	return until(t, l, "over", func(s *RecoverStatus) bool { return s.Done() })
}

func until(t testing.TB, l *Leaf, what string, f func(*RecoverStatus) bool) RecoverStatus {
	t.Helper()
	for limit := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s, ok := l.Recovery()
		if !ok || time.Now().After(limit) {
			t.Fatalf("never %s: %+v", what, s)
		}
		if f(&s) {
			return s
		}
	}
}

// listing gives all items, with what must survive a recovery.
func listing(l *Leaf) map[string]string {
	all := map[string]string{}
	l.Local().Store.Scan(nil, true, func(it *store.Listed) bool {
		all[string(it.Key)] = fmt.Sprintf("%q flags %d cas %d bits %d heat %d expires at %d", it.Value, it.Flags, it.CAS, it.Bits, it.Heat, it.Exp)
		return true
	})
	return all
}

func TestRecover(t *testing.T) {
	system := natsServer(t)
	for name, f := range map[string]struct {
		neighbour Options
		leaf      func(b *Leaf) Options
	}{
		"by address": {Options{Name: "leaf-2"}, func(b *Leaf) Options { return Options{Recover: quick("nats://" + b.Addr())} }},
		"by address and name": {Options{Name: "leaf-2"}, func(b *Leaf) Options {
			return Options{Recover: quick("nats://" + b.Addr() + "/leaf-2")}
		}},
		"by name": {Options{Name: "leaf-2", NATS: system, Settle: time.Millisecond}, func(*Leaf) Options {
			return Options{NATS: system, Settle: time.Millisecond, Recover: quick("leaf-2")}
		}},
		"in a cluster": {Options{Name: "leaf-2", Cluster: Cluster{Listen: "127.0.0.1:0"}, Settle: time.Millisecond}, func(b *Leaf) Options {
			return Options{Cluster: Cluster{Listen: "127.0.0.1:0", Routes: []string{b.ClusterAddr()}}, Settle: time.Millisecond, Recover: quick("leaf-2")}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			clock := time.Now() // stands still, so that expiry can be compared
			now := func() time.Time { return clock }
			f.neighbour.Now = now
			b := start(t, f.neighbour)
			for i := range 1000 {
				do(t, b, fmt.Sprintf("ms key:%d 5 F%d T%d\r\nv%04d\r\n", i, i, i%3*1000, i))
			}
			do(t, b, "get key:7\r\nget key:7\r\nmd key:8 I T30\r\nms AGI= 1 b\r\nx\r\nset gone 0 -1 1\r\n1\r\nms big 900000\r\n"+strings.Repeat("b", 900_000)+"\r\n")
			want := listing(b)
			o := f.leaf(b)
			o.Now = now
			l := start(t, o)
			if st := over(t, l); st.State != RecoverWarm || st.Items != 1002 || st.Of < 1002 || !st.Sources[0].Verified || st.Dropped != 0 {
				t.Errorf("%+v", st)
			}
			if err := l.Warm(); err != nil {
				t.Error(err)
			}
			got := listing(l)
			for k, v := range want {
				if got[k] != v {
					t.Errorf("%.20q is %.80s, want %.80s", k, got[k], v)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d items, want %d", len(got), len(want))
			}
			if a, b := do(t, l, "ms new 1 c\r\n1\r\n"), do(t, b, "mg key:999 c\r\n"); len(a) < len(b) || len(a) == len(b) && a <= b {
				t.Errorf("CAS %q after %q", a, b)
			}
			if s := do(t, l, "stats\r\n"); !strings.Contains(s, "STAT recovery_state warm\r\nSTAT recovery_items 1002\r\n") {
				t.Error(s)
			}
			if s := do(t, l, "stats recovery\r\n"); !strings.Contains(s, "STAT recovery:0:verified yes\r\n") {
				t.Error(s)
			}
		})
	}
}

// It serves from the start, is not warm before it is, and waits for proxies that speak to the neighbour only.
func TestRecoverWaitsForProxies(t *testing.T) {
	b := start(t, Options{Name: "leaf-2"})
	do(t, b, set("old", "1")+set("deleted", "1")+set("both", "1"))
	atB := dial(t, b)
	atB.hello(frame.HelloRequest{Proxy: "p1", Instance: b.Instance()})
	l := start(t, Options{Recover: Recover{From: []string{"nats://" + b.Addr()}, Settle: time.Millisecond, Wait: patience}})
	at := dial(t, l)
	at.hello(frame.HelloRequest{Proxy: "p1"})
	until(t, l, "settling", func(s *RecoverStatus) bool { return s.State == RecoverSettling })
	asked := b.Stats().Hellos
	until(t, l, "asking again", func(*RecoverStatus) bool { return b.Stats().Hellos > asked+3 })
	if st, _ := l.Recovery(); st.State != RecoverSettling {
		t.Errorf("it did not wait: %+v", st)
	}
	if err := l.Warm(); !errors.Is(err, ErrRecovering) || !strings.Contains(err.Error(), "(settling): 0 items of about 3 taken") {
		t.Error(err)
	}
	// p1 has not noticed; another proxy has.
	at.frame(1, set("deleted", "2")+set("both", "2")+"delete old\r\n"+set("mine", "1"))
	at.want(1, "STORED\r\nSTORED\r\nNOT_FOUND\r\nSTORED\r\n")
	do(t, b, set("deleted", "2")+set("both", "2")+"delete old\r\n"+set("mine", "1"))
	do(t, b, "delete deleted\r\n"+set("both", "3"))
	at.hello(frame.HelloRequest{Proxy: "p1", Instance: l.Instance()})
	if st := over(t, l); st.State != RecoverWarm || st.Dropped != 1 {
		t.Errorf("%+v", st)
	}
	if got := do(t, l, "get old deleted both mine\r\n"); got != "VALUE both 0 1\r\n3\r\nVALUE mine 0 1\r\n1\r\nEND\r\n" {
		t.Errorf("%q", got)
	}
}

// Proxies that never come are waited for so long and no longer.
func TestRecoverWithoutProxies(t *testing.T) {
	b := start(t, Options{Name: "leaf-2"})
	do(t, b, set("k", "1"))
	dial(t, b).hello(frame.HelloRequest{Proxy: "elsewhere", Instance: b.Instance()})
	l := start(t, Options{Recover: Recover{From: []string{"nats://" + b.Addr()}, Settle: time.Millisecond, Wait: time.Millisecond}})
	if st := over(t, l); st.State != RecoverWarm || st.Items != 1 {
		t.Errorf("%+v", st)
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	free, err := proc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return free[0]
}

func TestRecoverFails(t *testing.T) {
	system := natsServer(t)
	b := start(t, Options{Name: "leaf-2"})
	do(t, b, set("k", "1"))
	short := func(from ...string) Recover {
		return Recover{From: from, Settle: time.Millisecond, Timeout: 300 * time.Millisecond}
	}
	for name, f := range map[string]struct {
		o     Options
		state string
		err   string
	}{
		"nobody listens":    {Options{Recover: short("nats://" + closedPort(t))}, RecoverCold, "cannot connect to"},
		"no such leaf":      {Options{Recover: short("nats://" + b.Addr() + "/leaf-3")}, RecoverCold, "no leaf of that name"},
		"nor in the system": {Options{NATS: system, Recover: short("leaf-3")}, RecoverCold, "no leaf of that name"},
		"itself":            {Options{NATS: system, Recover: short(system + "/leaf-1")}, RecoverCold, "it is this leaf itself"},
		"one of two":        {Options{Recover: short("nats://"+closedPort(t), "nats://"+b.Addr())}, RecoverPartial, "cannot connect to"},
	} {
		t.Run(name, func(t *testing.T) {
			f.o.Settle = time.Millisecond
			l := start(t, f.o)
			do(t, l, set("early", "1"))
			st := over(t, l)
			if st.State != f.state || st.Sources[0].Err == nil || !strings.Contains(st.Sources[0].Err.Error(), f.err) {
				t.Errorf("%+v", st)
			}
			if err := l.Warm(); err != nil {
				t.Errorf("it would never be ready: %v", err)
			}
			want := "VALUE early 0 1\r\n1\r\nEND\r\n"
			if f.state == RecoverPartial {
				want = "VALUE k 0 1\r\n1\r\nEND\r\n" // the other is not there, at a leaf that is meant to have the same
			}
			if got := do(t, l, "get early k\r\n"); got != want {
				t.Errorf("%q", got)
			}
		})
	}
}

// Leaves that are started together wait for nobody; one that is not warm yet is waited for.
func TestRecoverFromOneThatRecovers(t *testing.T) {
	a := start(t, Options{Name: "leaf-3"})
	do(t, a, set("k", "1"))
	p := dial(t, a)
	p.hello(frame.HelloRequest{Proxy: "p1"})
	b := start(t, Options{Name: "leaf-2", Recover: Recover{From: []string{"nats://" + a.Addr()}, Settle: time.Millisecond, Wait: patience}})
	until(t, b, "settling", func(s *RecoverStatus) bool { return s.State == RecoverSettling })
	empty := start(t, Options{Recover: quick("nats://" + b.Addr())})
	if st := over(t, empty); st.State != RecoverCold || !errors.Is(st.Sources[0].Err, errEmpty) {
		t.Errorf("%+v", st)
	}
	do(t, b, set("early", "1"))
	l := start(t, Options{Recover: quick("nats://" + b.Addr())})
	until(t, l, "waiting", func(s *RecoverStatus) bool { return errors.Is(s.Sources[0].Err, errWaits) })
	at := dial(t, b)
	at.hello(frame.HelloRequest{Proxy: "p1", Instance: b.Instance()})
	if st := over(t, b); st.State != RecoverWarm || st.Dropped != 1 {
		t.Errorf("%+v", st)
	}
	// Proxies of b write here, too.
	dial(t, l).hello(frame.HelloRequest{Proxy: "p1", Instance: l.Instance()})
	if st := over(t, l); st.State != RecoverWarm || st.Items != 1 {
		t.Errorf("%+v", st)
	}
	if got := do(t, l, "get k early\r\n"); got != "VALUE k 0 1\r\n1\r\nEND\r\n" {
		t.Errorf("%q", got)
	}
}

func TestRecoverStopsWithItsLeaf(t *testing.T) {
	l := start(t, Options{Recover: quick("nats://" + closedPort(t))})
	if err := l.Close(ended()); err != nil { // goleak looks for what is left
		t.Error(err)
	}
}

// A neighbour with more than there is room for gives what is read most; what clients wrote stays.
func TestRecoverHottestFirst(t *testing.T) {
	b := start(t, Options{Name: "leaf-2", Memory: 64 << 20})
	const n, hot = 40_000, 2000
	for i := range n {
		do(t, b, set(fmt.Sprintf("key:%d", i), strings.Repeat("v", 100)))
	}
	for i := 0; i < n; i += n / hot {
		do(t, b, strings.Repeat(fmt.Sprintf("get key:%d\r\n", i), 9))
	}
	dial(t, b).hello(frame.HelloRequest{Proxy: "p1"})
	l := start(t, Options{Memory: 4 << 20, Recover: Recover{From: []string{"nats://" + b.Addr()}, Settle: time.Millisecond, Wait: patience}})
	for i := range 1000 {
		k := set(fmt.Sprintf("mine:%d", i), "1")
		do(t, l, k)
		do(t, b, k)
	}
	dial(t, l).hello(frame.HelloRequest{Proxy: "p1", Instance: l.Instance()})
	if st := over(t, l); st.State != RecoverWarm || !st.Full || st.Items < 4<<20/250 {
		t.Errorf("%+v", st)
	}
	for i := range 1000 {
		if got := do(t, l, fmt.Sprintf("get mine:%d\r\n", i)); !strings.HasPrefix(got, "VALUE") {
			t.Fatalf("mine:%d is gone", i)
		}
	}
	if e := l.Local().Store.Stats().Evictions; e != 0 {
		t.Errorf("%d evicted", e)
	}
	had := 0
	for i := 0; i < n; i += n / hot {
		if strings.HasPrefix(do(t, l, fmt.Sprintf("get key:%d\r\n", i)), "VALUE") {
			had++
		}
	}
	if had < hot*99/100 {
		t.Errorf("%d of %d hot items came", had, hot)
	}
}

// piece is what a fake neighbour sends of a stream in one frame.
type piece struct {
	instance uint64
	mark     uint32
	body     []byte
}

// fakeNeighbour answers as a leaf does: hello as the instance of the moment, and every stream with the pieces that it is said to have.
// Both are told how many streams there have been, the present one with them.
func fakeNeighbour(t *testing.T, url, name string, instance func(streams int) uint64, pieces func(streams int, q frame.StreamRequest) []piece) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	streams := 0
	answer := func(m *nats.Msg) {
		if m.Subject == frame.HelloSubject(name) {
			r, _ := json.Marshal(frame.HelloReply{Name: name, Instance: instance(streams), Versions: []int{1}})
			_ = nc.Publish(m.Reply, r)
			return
		}
		var h frame.Header
		if _, err := h.Parse(m.Data); err == nil {
			return
		}
		q, err := parseStreamRequest(m.Data)
		if err != nil {
			t.Error(err)
		}
		streams++
		h = frame.Header{Flags: frame.FlagAnswer, ID: uint64(streams)}
		for _, p := range pieces(streams, q) {
			h.Instance, h.Millis = p.instance, p.mark
			_ = nc.Publish(m.Reply, h.Append(nil, p.body))
			h.Acked += uint64(len(p.body))
		}
	}
	for _, s := range []string{frame.HelloSubject(name), frame.StreamSubject(name)} {
		if _, err := nc.Subscribe(s, answer); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// lines are n items k0 ... as they travel, with one value and CAS number.
func lines(q frame.StreamRequest, n int, value string, cas uint64) (body []byte) {
	for i := range n {
		it := &store.Listed{Item: store.Item{Key: fmt.Appendf(nil, "k%d", i), Value: []byte(value), CAS: cas}, Size: len(value)}
		if q.Mode == frame.StreamKeys {
			body = stream.AppendKey(body, it, 0)
		} else {
			body = stream.AppendItem(body, it, 0)
		}
	}
	return body
}

// What came from a neighbour that was restarted meanwhile stays; the rest is lost with it.
func TestRecoverFromOneThatRestarts(t *testing.T) {
	for name, f := range map[string]struct {
		instance func(streams int) uint64
		state    string
		verified bool
	}{
		"while items come": {func(n int) uint64 { return 7 + uint64(min(n, 1)) }, RecoverPartial, false},
		"before the check": {func(n int) uint64 { return 7 + uint64(n/2) }, RecoverWarm, false},
	} {
		t.Run(name, func(t *testing.T) {
			system := natsServer(t)
			fakeNeighbour(t, system, "leaf-2", f.instance, func(n int, q frame.StreamRequest) []piece {
				return []piece{{7, 0, lines(q, 10, "v", 1)}, {f.instance(n), 0, []byte("EN\r\n")}}
			})
			l := start(t, Options{NATS: system, Settle: time.Millisecond, Recover: quick("leaf-2")})
			st := over(t, l)
			if st.State != f.state || st.Items != 10 || st.Sources[0].Verified != f.verified || !errors.Is(st.Sources[0].Err, stream.ErrRestarted) {
				t.Errorf("%+v", st)
			}
			if got := do(t, l, "get k9\r\n"); got != "VALUE k9 0 1\r\nv\r\nEND\r\n" {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestRecoverOptions(t *testing.T) {
	for from, want := range map[string]string{
		"leaf-1":                      `cannot recover from "leaf-1": it is this leaf itself`,
		"leaf-2":                      `named by its address, nats://host:port/leaf-2`,
		"Leaf 2":                      `cannot recover from "Leaf 2": want the name of a leaf, or nats://host:port/name`,
		"http://h:1/leaf-2":           `scheme "http": want nats or tls`,
		"nats://h/leaf-2":             `want nats://host:port/name`,
		"nats://h:1/":                 `leaf name ""`,
		"nats://h:1/x y":              `leaf name "x y"`,
		"nats://127.0.0.1:4":          `it is this leaf itself`,
		"nats://h:1/a,nats://h:1/a":   `it is there twice`,
		"nats://who:secret@h:1/leaf2": `an address with a password in it`,
		strings.Repeat("x,", 65):      `cannot recover from 66 leaves: want at most 64`,
	} {
		_, err := Options{Name: "leaf-1", Listen: "127.0.0.1:4", Recover: Recover{From: strings.Split(from, ",")}}.withDefaults()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.40q: %v, want %q", from, err, want)
		}
	}
}

// A recovery that says it is whole is whole: nothing cuts a stream short unseen, and what was dropped comes after all or is told of.

package leaf

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/stream"
)

var anEnd = []byte("EN\r\n")

// What changes at the neighbour alone between the two looks at it is taken in its new state, and if that does not end the leaf says so.
func TestRecoverWhatWentPast(t *testing.T) {
	for name, f := range map[string]struct {
		changes  int // of the neighbour's items, each before it is looked at a second time
		changed  int // items, of 200
		state    string
		has, not string
		dropped  int64
	}{
		"nothing":    {0, 0, RecoverWarm, "v0", "", 0},
		"little":     {1, 2, RecoverWarm, "", "v", 2},
		"everything": {1, 200, RecoverWarm, "v1", "", 200},
		"twice":      {2, 200, RecoverWarm, "v2", "", 400},
		"always":     {9, 200, RecoverPartial, "", "v", 600},
	} {
		t.Run(name, func(t *testing.T) {
			system := natsServer(t)
			state := 0 // of the neighbour's items
			fakeNeighbour(t, system, "leaf-2", func(int) uint64 { return 7 }, func(_ int, q frame.StreamRequest) []piece {
				if q.Mode == frame.StreamKeys && state < f.changes {
					state++
				}
				changed := lines(q, f.changed, fmt.Sprint("v", state), uint64(1+state))
				rest := lines(q, 200, "v0", 1)[len(lines(q, f.changed, "v0", 1)):]
				return []piece{{7, 0, changed}, {7, 0, rest}, {7, 0, anEnd}}
			})
			l := start(t, Options{NATS: system, Settle: time.Millisecond, Recover: quick("leaf-2")})
			st := over(t, l)
			if st.State != f.state || st.Dropped != f.dropped || (st.State == RecoverPartial) != errors.Is(st.Sources[0].Err, errPast) {
				t.Errorf("%+v", st)
			}
			got := do(t, l, "get k0\r\n")
			if f.not != "" && strings.Contains(got, f.not) || !strings.Contains(got, f.has) {
				t.Errorf("%q, want one of %q and none of %q", got, f.has, f.not)
			}
			if s := do(t, l, "stats recovery\r\n"); !strings.Contains(s, fmt.Sprintf("STAT recovery_dropped %d\r\n", f.dropped)) {
				t.Error(s)
			}
		})
	}
}

// A neighbour that is another than the one that was found has lost its items, however few it says it has.
func TestRecoverFromOneThatWasRestartedBefore(t *testing.T) {
	b := start(t, Options{Name: "leaf-2"})
	addr := b.Addr()
	do(t, b, set("k", "1"))
	p := dial(t, b)
	p.hello(frame.HelloRequest{Proxy: "p1", Instance: b.Instance()})
	l := start(t, Options{Recover: Recover{From: []string{"nats://" + addr}, Settle: time.Millisecond, Wait: patience, Timeout: patience}})
	do(t, l, set("early", "1"))
	until(t, l, "settling", func(s *RecoverStatus) bool { return s.State == RecoverSettling })
	_ = b.Close(ended())
	start(t, Options{Name: "leaf-2", Listen: addr})
	if st := over(t, l); st.State != RecoverCold || !errors.Is(st.Sources[0].Err, stream.ErrRestarted) {
		t.Errorf("%+v", st)
	}
	if got := do(t, l, "get early\r\n"); got != "VALUE early 0 1\r\n1\r\nEND\r\n" {
		t.Errorf("%q: what clients wrote was dropped since an empty leaf did not have it", got)
	}
}

// A neighbour that does not say which proxies speak to it, as when it is too busy to answer in time, is not taken for one that has none:
// what they wrote to it alone would be read before it was written.
func TestRecoverWaitsForWhoDoesNotSay(t *testing.T) {
	const silent = 5 // hellos, after the first, in which it does not say
	system := natsServer(t)
	nc, err := nats.Connect(system)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	asked, heard, said := 0, make(chan struct{}), atomic.Bool{}
	if _, err := nc.Subscribe("tp.1.leaf-2.*", func(m *nats.Msg) {
		switch asked++; {
		case m.Subject != frame.HelloSubject("leaf-2"):
			if !said.Load() {
				t.Error("it was read before its proxy sent anything to the new leaf")
			}
			_ = m.Respond((&frame.Header{Flags: frame.FlagAnswer, ID: 1, Instance: 7}).Append(nil, anEnd))
		case asked > 1 && asked <= silent+1:
			_ = m.Respond([]byte("{"))
		default:
			_ = m.Respond([]byte(`{"versions":[1],"name":"leaf-2","instance":"7","proxies":["p1"]}`))
		}
		if asked == silent+3 {
			close(heard)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	l := start(t, Options{NATS: system, Settle: time.Millisecond, Recover: Recover{From: []string{"leaf-2"}, Settle: time.Millisecond, Timeout: patience, Wait: patience}})
	select {
	case <-heard:
	case <-time.After(patience):
		t.Fatal("it is not asked any more")
	}
	said.Store(true)
	hello, _ := json.Marshal(&frame.HelloRequest{Proxy: "p1", Instance: l.Instance()})
	if _, err := nc.Request(frame.HelloSubject("leaf-1"), hello, patience); err != nil {
		t.Fatal(err)
	}
	if st := over(t, l); st.State != RecoverWarm {
		t.Errorf("%+v", st)
	}
}

// A stream that the neighbour ends before its time is begun again; one that it refuses is not.
func TestRecoverAfterCut(t *testing.T) {
	for name, f := range map[string]struct {
		first func(q frame.StreamRequest) []piece
		state string
		items int64
	}{
		"cut": {func(q frame.StreamRequest) []piece {
			return []piece{{7, 0, lines(q, 50, "v", 1)}, {7, frame.StreamCut, []byte("SERVER_ERROR reader is gone\r\n")}}
		}, RecoverWarm, 100},
		"another's end": {func(q frame.StreamRequest) []piece {
			return []piece{{7, 0, lines(q, 50, "v", 1)}, {8, 0, anEnd}}
		}, RecoverPartial, 50},
		"malformed": {func(q frame.StreamRequest) []piece {
			return []piece{{7, 0, lines(q, 50, "v", 1)}, {7, 0, []byte("HD\r\n")}}
		}, RecoverWarm, 100},
	} {
		t.Run(name, func(t *testing.T) {
			system := natsServer(t)
			fakeNeighbour(t, system, "leaf-2", func(int) uint64 { return 7 }, func(n int, q frame.StreamRequest) []piece {
				if n == 1 {
					return f.first(q)
				}
				return []piece{{7, 0, lines(q, 100, "v", 1)}, {7, 0, anEnd}}
			})
			l := start(t, Options{NATS: system, Settle: time.Millisecond, Recover: quick("leaf-2")})
			if st := over(t, l); st.State != f.state || st.Items != f.items {
				t.Errorf("%+v", st)
			}
		})
	}
}

// What is waited for before the neighbour is read does not count as its silence.
func TestRecoverSettlesLongerThanTimeout(t *testing.T) {
	system := natsServer(t)
	fakeNeighbour(t, system, "leaf-2", func(int) uint64 { return 7 }, func(n int, q frame.StreamRequest) []piece {
		if n == 1 {
			return []piece{{7, frame.StreamCut, []byte(frame.StreamBusy + "\r\n")}}
		}
		return []piece{{7, 0, lines(q, 10, "v", 1)}, {7, 0, anEnd}}
	})
	l := start(t, Options{NATS: system, Settle: time.Millisecond, Recover: Recover{
		From: []string{"leaf-2"}, Settle: 600 * time.Millisecond, Timeout: 500 * time.Millisecond,
	}})
	if st := over(t, l); st.State != RecoverWarm || st.Items != 10 {
		t.Errorf("%+v", st)
	}
}

// Items that are too large here are no secret.
func TestRecoverTooLarge(t *testing.T) {
	b := start(t, Options{Name: "leaf-2"})
	do(t, b, set("small", "1")+set("large", strings.Repeat("x", 5000)))
	l := start(t, Options{MaxItem: 1000, Recover: quick("nats://" + b.Addr())})
	if st := over(t, l); st.State != RecoverWarm || st.Items != 1 || st.Large != 1 || st.Known != 0 {
		t.Errorf("%+v", st)
	}
	if s := do(t, l, "stats recovery\r\n"); !strings.Contains(s, "STAT recovery_large 1\r\n") {
		t.Error(s)
	}
}

// A leaf whose memory clients filled before it read anything keeps what they wrote, if the neighbour has it, too.
func TestRecoverFilledEarly(t *testing.T) {
	const memory, n = 4 << 20, 40_000
	b := start(t, Options{Name: "leaf-2", Memory: 64 << 20})
	dial(t, b).hello(frame.HelloRequest{Proxy: "p1"})
	l := start(t, Options{Memory: memory, Recover: Recover{From: []string{"nats://" + b.Addr()}, Settle: time.Millisecond, Wait: patience}})
	for i := range n {
		k := set(fmt.Sprintf("key:%d", i), strings.Repeat("v", 100))
		do(t, b, k)
		do(t, l, k)
	}
	before := len(listing(l))
	dial(t, l).hello(frame.HelloRequest{Proxy: "p1", Instance: l.Instance()})
	st := over(t, l)
	if after := len(listing(l)); st.State != RecoverWarm || !st.Full || st.Dropped != 0 || after < before*9/10 { // the demoter was at it still
		t.Errorf("%d of %d items are left: %+v", after, before, st)
	}
}

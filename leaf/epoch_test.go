package leaf

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// by sends a frame of an epoch to a lane.
func (p *proxy) by(epoch, id uint64, lane int, body string) {
	p.t.Helper()
	h := p.header(id)
	h.Epoch = epoch
	p.send(frame.LaneSubject(p.l.Name(), lane), h.Append(nil, []byte(body)))
}

// tell tells a membership on a lane.
func (p *proxy) tell(lane int, m frame.Membership) {
	p.t.Helper()
	text, err := json.Marshal(&m)
	if err != nil {
		p.t.Fatal(err)
	}
	h := frame.Header{Flags: frame.FlagTold, Instance: p.l.Instance(), Epoch: m.Epoch}
	p.send(frame.LaneSubject(p.l.Name(), lane), h.Append(nil, text))
}

// TestNothingOlderIsUnderWay: a newer epoch waits for the frame that a lane is at, and what was queued behind that is refused, in order.
func TestNothingOlderIsUnderWay(t *testing.T) {
	in, open := make(chan string, 10), make(chan struct{})
	l := start(t, Options{Lanes: 2, Exec: func(r *mc.Request, dst []byte) []byte {
		in <- string(r.Key)
		if string(r.Key) == "slow" {
			<-open
		}
		return append(dst, "HD\r\n"...)
	}})
	var once sync.Once
	release := func() { once.Do(func() { close(open) }) }
	t.Cleanup(release)
	old, young := dial(t, l), dial(t, l)
	old.by(7, 1, 0, "mg slow\r\n")
	if key := <-in; key != "slow" {
		t.Fatal(key)
	}
	old.by(7, 2, 0, "mg queued\r\n")
	waitFor(t, "the frame that is queued", func() bool { return l.Stats().Frames == 2 })
	young.by(8, 3, 1, "mg new\r\n")
	waitFor(t, "the new epoch", func() bool { return l.members.outdated(7) })
	old.by(7, 4, 0, "mg late\r\n") // which is refused behind what it was sent behind
	if e := l.Epoch(); e != 7 {
		t.Errorf("says that it goes by %d while something older is under way", e)
	}
	select {
	case key := <-in:
		t.Errorf("%q was executed", key)
	default:
	}
	release()
	old.want(1, "HD\r\n")
	old.refusal(2, frame.ReasonEpoch)
	old.refusal(4, frame.ReasonEpoch)
	h, body := young.next()
	if h.ID != 3 || h.Epoch != 8 || body != "HD\r\n" {
		t.Errorf("%+v %q", h, body)
	}
	if key := <-in; key != "new" {
		t.Errorf("%q was executed", key)
	}
	young.by(0, 5, 0, "mg any\r\n") // of a pool without epochs
	young.want(5, "HD\r\n")
}

// TestLineage: what is read of what was stored before the owners changed.
func TestLineage(t *testing.T) {
	clock := time.Now()
	base := uint64(clock.UnixMilli())
	l := start(t, Options{Name: "a", Lanes: 1, Now: func() time.Time { return clock }})
	p := dial(t, l)
	pool := func(n, after uint64, names ...string) frame.Membership {
		m := frame.Membership{Pool: "users", Epoch: base + n}
		if after > 0 {
			m.After = base + after
		}
		for _, name := range names {
			m.Members = append(m.Members, frame.Member{Name: name})
		}
		return m
	}
	all := pool(1, 0, "a", "b")
	place, err := newPlacement(&all, "a")
	if err != nil {
		t.Fatal(err)
	}
	var mine, lost []string // when c is there
	without := pool(2, 1, "a", "b", "c")
	three, err := newPlacement(&without, "a")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; len(mine) < 1 || len(lost) < 2; i++ {
		key := "k" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		switch {
		case place.owner([]byte(key)) != 0:
		case three.owner([]byte(key)) == 0:
			mine = append(mine, key)
		default:
			lost = append(lost, key)
		}
	}
	id := uint64(0)
	ask := func(n uint64, request, want string) {
		t.Helper()
		id++
		p.by(base+n, id, 0, request)
		if _, got := p.next(); got != want {
			t.Errorf("epoch %d: %q: %q, want %q", n, request, got, want)
		}
	}
	hit := func(n uint64, key string) { t.Helper(); ask(n, "mg "+key+" v\r\n", "VA 1\r\nv\r\n") }
	miss := func(n uint64, key string) { t.Helper(); ask(n, "mg "+key+" v\r\n", "EN\r\n") }
	p.tell(0, all)
	for _, key := range []string{mine[0], lost[0], lost[1]} {
		ask(1, "ms "+key+" 1\r\nv\r\n", "HD\r\n")
	}
	p.tell(0, without)
	hit(2, mine[0])
	miss(2, lost[0]) // c has it now
	p.tell(0, pool(3, 2, "a", "b"))
	hit(3, mine[0])
	miss(3, lost[1]) // it was c's meanwhile, who may have changed it
	ask(3, "ms "+lost[1]+" 1\r\nv\r\n", "HD\r\n")
	hit(3, lost[1])
	p.tell(0, pool(5, 4, "a", "b")) // and what was 4?
	miss(5, mine[0])
	ask(5, "ms "+mine[0]+" 1\r\nv\r\n", "HD\r\n")
	p.tell(0, pool(6, 5, "a", "b"))
	hit(6, mine[0])
	l.SetEpoch(base + 7) // from elsewhere: nobody has said who owns what
	miss(7, mine[0])
	p.tell(0, pool(7, 6, "a", "b"))
	hit(7, mine[0])
	other := pool(8, 7, "a")
	other.Pool = "sessions"
	p.tell(0, other)
	p.by(base+8, 99, 0, "mg k\r\n") // a leaf belongs to one pool
	p.refusal(99, frame.ReasonEpoch)
	if e := l.Epoch(); e != base+7 {
		t.Errorf("epoch %d", e-base)
	}
}

// TestWhoAsks: a leaf that was started before its pool changed asks previous owners; one that was restarted since does not, for its
// predecessor knew of writes that it does not know of.
func TestWhoAsks(t *testing.T) {
	clock := time.Now()
	f := func(known uint64, decided time.Duration, want string) {
		t.Helper()
		l := start(t, Options{Name: "a", Lanes: 1, Epoch: known, Now: func() time.Time { return clock }})
		p := dial(t, l)
		epoch := uint64(clock.Add(decided).UnixMilli())
		m := frame.Membership{Pool: "users", Epoch: epoch, Members: []frame.Member{{Name: "a"}}, WarmUntil: clock.Add(time.Hour).UnixMilli()}
		if known == 1 {
			l.SetEpoch(epoch) // heard from elsewhere before
		}
		p.tell(0, m)
		p.by(epoch, 1, 0, "\x01get k\r\n")
		if _, got := p.next(); got != want {
			t.Errorf("decided %v after the start: %q, want %q", decided, got, want)
		}
	}
	asks := func(d time.Duration) string { return fmt.Sprintf("NF W%d\r\n", clock.Add(d).UnixMilli()) }
	f(0, time.Second, asks(time.Second))
	f(1, time.Second, asks(time.Second))
	f(0, -time.Second, "END\r\n")
	f(uint64(clock.Add(-time.Second).UnixMilli()), -time.Second, "END\r\n")
}

// TestWarmingEnds: a flush, and the end of the time, make an end of asking, and of what is kept for others.
func TestWarmingEnds(t *testing.T) {
	clock := &testClock{now: time.Now()}
	l := start(t, Options{Name: "a", Lanes: 1, Now: clock.Now})
	p := dial(t, l)
	base := uint64(clock.Now().UnixMilli())
	member := func(names ...string) (list []frame.Member) {
		for _, n := range names {
			list = append(list, frame.Member{Name: n})
		}
		return list
	}
	id := uint64(0)
	ask := func(epoch uint64, request, want string) {
		t.Helper()
		id++
		p.by(epoch, id, 0, request)
		if _, got := p.next(); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q, want %q", request, got, want)
		}
	}
	until := clock.Now().Add(time.Minute).UnixMilli()
	p.tell(0, frame.Membership{Pool: "users", Epoch: base + 1, Members: member("a")})
	ask(base+1, "ms k 1\r\nv\r\n", "HD")
	p.tell(0, frame.Membership{Pool: "users", Epoch: base + 2, After: base + 1, Members: member("b"), WarmUntil: until})
	ask(base+2, "mg k v\r\n", "EN")
	since := fmt.Sprint(" O", base+2, "\r\n")
	ask(base+2, "\x02mg k"+since, "VA 1 f0")
	ask(base+2, fmt.Sprint("\x02mg k O", base+3, "\r\n"), "EN") // it was lost before
	ask(base+2, "\x01get other\r\n", "NF W")
	ask(base+2, "\x03ms other 1 E5 F0 O0.0.0.0\r\nv\r\n", "HD")
	ask(base+2, "\x01get other\r\n", "VALUE other 0 1")
	ask(base+2, "\x03ms other 1 E5 F0 O0.0.0.0\r\nw\r\n", "NS")
	ask(base+2, "md gone\r\n", "NF")
	ask(base+2, "\x03ms gone 1 E5 F0 O0.0.0.0\r\nw\r\n", "NS")
	ask(base+2, "\x01get gone\r\n", "END")
	ask(base+2, "\x03md third\r\n", "HD") // there is nothing
	ask(base+2, "\x01get third\r\n", "END")
	if err := l.Flush([]byte("any")); err != nil {
		t.Fatal(err)
	}
	ask(base+2, "\x01get fourth\r\n", "END")
	ask(base+2, "\x02mg k"+since, "VA 1 f0")
	clock.add(time.Minute + grace)
	waitFor(t, "the end of warming", func() bool { return l.members.warm.since.Load() == 0 })
	ask(base+2, "\x02mg k"+since, "EN")
}

// testClock is a clock that is moved.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// TestToldIsCharged: memberships wait for their lane as requests do, in bounded memory, and neither is in the other's way.
func TestToldIsCharged(t *testing.T) {
	in, open := make(chan struct{}, 1), make(chan struct{})
	l := start(t, Options{Lanes: 1, MaxPending: 64 << 10, Exec: func(r *mc.Request, dst []byte) []byte {
		if string(r.Key) == "slow" {
			in <- struct{}{}
			<-open
		}
		return append(dst, "HD\r\n"...)
	}})
	release := sync.OnceFunc(func() { close(open) })
	t.Cleanup(release)
	p := dial(t, l)
	p.frame(1, "mg slow\r\n")
	<-in
	m := frame.Membership{Pool: "users", Members: []frame.Member{{Name: "leaf-1", Addr: strings.Repeat("a", 10<<10)}}}
	for n := range uint64(4) {
		m.Epoch = n + 1
		p.tell(0, m) // the fourth is more than half of what may wait
	}
	p.refusal(0, frame.ReasonOverloaded)
	p.frame(2, "mg quick\r\n")
	waitFor(t, "the request", func() bool { return l.Stats().Pending > 2*overhead })
	release()
	p.want(1, "HD\r\n")
	p.next()
	if e := l.Epoch(); e != 3 {
		t.Errorf("epoch %d, want 3", e)
	}
	m.Epoch, m.Members[0].Addr = 5, strings.Repeat("a", 100<<10)
	p.tell(0, m) // one may be as long as it likes
	p.by(5, 3, 0, "mg k\r\n")
	p.next()
	if e, n := l.Epoch(), l.count.told.Load(); e != 5 || n != 0 {
		t.Errorf("epoch %d, %d bytes are charged yet; want 5 and none", e, n)
	}
}

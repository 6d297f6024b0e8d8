package leaf

import (
	"encoding/json"
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

// TestNothingOlderIsUnderWay: a newer epoch waits for the frame that a lane is at, and what was queued behind that is refused.
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
	old.by(7, 4, 1, "mg late\r\n") // refused at once, although the new one waits
	old.refusal(4, frame.ReasonEpoch)
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

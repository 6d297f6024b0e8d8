// What the next membership is, case by case, and that no sequence of them brings back an old value.

package etcd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/pools/hash"
)

var t0 = time.Unix(1_800_000_000, 0)

func planOptions() *Options {
	o, err := Options{Endpoints: []string{"h:1"}}.withDefaults()
	if err != nil {
		panic(err)
	}
	return &o
}

// regs reads registrations: "a b:draining c=2 d@addr", with state, weight, address.
func regs(text string) map[string]topo.Member {
	out := map[string]topo.Member{}
	for word := range strings.FieldsSeq(text) {
		word, addr, _ := strings.Cut(word, "@")
		word, state, _ := strings.Cut(word, ":")
		name, w, _ := strings.Cut(word, "=")
		m := topo.Member{Name: name, Addr: "nats://h:1/" + name + addr, State: topo.State(state)}
		if w != "" {
			fmt.Sscan(w, &m.Weight)
		}
		out[name] = m
	}
	return out
}

// life is a document that goes from one set of registrations to the next.
type life struct {
	t   *testing.T
	o   *Options
	now time.Time
	d   document

	drained map[string]bool
}

func newLife(t *testing.T) *life {
	return &life{t: t, o: planOptions(), now: t0, d: document{Snapshot: topo.Snapshot{Pool: "p"}}}
}

// step lets time go by and gives the registrations; want is members / previous / lost, "same" if nothing is to change.
func (l *life) step(after time.Duration, text, want string, held ...string) {
	l.t.Helper()
	l.now = l.now.Add(after)
	next, changed := plan(&l.d, regs(text), l.drained, held, l.now, l.o)
	got := "same"
	if changed {
		next.Epoch = nextEpoch(l.now, l.d.Epoch)
		l.d = next
		got = fmt.Sprintf("%s / %s / %s", list(next.Members), list(next.Previous), strings.Join(next.Lost, " "))
	}
	if got != want {
		l.t.Errorf("after %v with %q: got %q, want %q", l.now.Sub(t0), text, got, want)
	}
	if err := l.d.Validate(); err != nil {
		l.t.Errorf("after %v: %v", l.now.Sub(t0), err)
	}
}

const s = time.Second

func TestPlan(t *testing.T) {
	l := newLife(t)
	l.step(0, "a b c", "a b c /  / ")
	l.step(s, "a b c", "same")
	l.step(s, "a b c d", "a b c d / a b c / ")
	if want := l.now.Add(time.Minute); !l.d.WarmUntil.Equal(want) || !l.d.Since.Equal(l.now) {
		t.Errorf("since %v, warm until %v, want %v", l.d.Since, l.d.WarmUntil, want)
	}
	l.step(61*s, "a b c d", "same") // previous owners fade away by themselves
	l.step(s, "a b:draining c d", "a c d / a b c d / ")
	l.step(s, "a c d", "a c d /  / ") // who stays owned nothing that moved
	l.step(s, "a b c d", "a b c d / a c d / ")
	l.step(90*s, "a b d", "a b d /  / c") // c is lost: nothing of its is there to be asked for
	l.step(s, "a b c d", "a b c d / a b d / ")
}

// TestPlanChain: changes while a change still warms.
func TestPlanChain(t *testing.T) {
	l := newLife(t)
	l.step(0, "a b", "a b /  / ")
	l.step(s, "a b c", "a b c / a b / ")
	l.step(20*s, "a b c d", "a b c d / a b / ") // most of c's keys still lie at a and b
	until := l.d.WarmUntil
	if !until.Equal(l.now.Add(time.Minute)) {
		t.Errorf("d warms until %v", until)
	}
	l.step(50*s, "a b c d e", "a b c d e / a b c d / ") // c has had its minute
	l.step(s, "a b c d:draining e", "a b c e / a b c d / ")
	l = newLife(t)
	l.step(0, "a b", "a b /  / ")
	l.step(s, "a b c", "a b c / a b / ")
	l.step(s, "a b c:draining", "a b / a b c / ") // what c has taken over lies nowhere else
	l.step(s, "a b", "a b /  / ")
	l.step(s, "a b c", "a b c / a b / ")
	l.step(s, "a c", "a c / a / b") // b is lost, and c has what it has taken over from it and from a
	l.step(s, "c", "c /  / a b")

	l = newLife(t) // one that drains and goes at once is not lost
	l.step(0, "a b c", "a b c /  / ")
	l.drained = map[string]bool{"c": true}
	l.step(s, "a b", "a b /  / ")
	if len(l.d.Gone) > 0 {
		t.Errorf("gone are %v", l.d.Gone)
	}
}

func TestPlanDetails(t *testing.T) {
	l := newLife(t)
	l.step(0, "a b", "a b /  / ")
	l.step(s, "a b c", "a b c / a b / ")
	since, until := l.d.Since, l.d.WarmUntil
	l.step(s, "a@2 b c", "a b c / a b / ") // it has moved: everybody keeps his place, and is asked where he is now
	if !l.d.Since.Equal(since) || !l.d.WarmUntil.Equal(until) || l.d.Members[0].Addr != "nats://h:1/a2" || l.d.Previous[0].Addr != "nats://h:1/a2" {
		t.Errorf("after a change of address: %+v", l.d)
	}
	l.step(s, "a@2 b:warming c", "same")
	l.step(s, "a@2 b c=1", "same")
	l.step(s, "a@2 b=3 c", "a b c / a b / ")
	if p := find(l.d.Previous, "b"); p.Weight != 0 || find(l.d.Members, "b").Weight != 3 {
		t.Errorf("keys lay by the weight of then: %+v", l.d)
	}
}

func TestPlanHeld(t *testing.T) {
	l := newLife(t)
	l.step(0, "a b c", "a b c /  / ")
	f := func(text string, want bool) {
		t.Helper()
		r := regs(text)
		if got := suspicious(&l.d, missing(&l.d, r, nil), r, l.now, l.o); got != want {
			t.Errorf("%q after %s: suspicious is %v", text, list(l.d.Members), got)
		}
	}
	f("a b c", false)
	f("a b", false)
	f("a", true)
	f("", true)
	f("a b:draining c:draining", false)
	f("b:draining c:draining", true) // nothing would be left
	l.step(s, "", "same", "a", "b", "c")
	l.step(s, "a d", "a b c d / a b c / ", "b", "c")
	f("a d", true)
	l.step(s, "a d", "a b d / a b / c", "b")
	f("a b d", false)
	f("a b e", true) // c has gone a moment ago, and d would be the second of four: more than a third
	l = newLife(t)   // those who are held do not go unasked because few of them are left
	l.step(0, "a b c d e f g h i", "a b c d e f g h i /  / ")
	l.step(s, "a b c d e j", "a b c d e f g i j / a b c d e f g i / h", "f", "g", "i")
	l.now = l.now.Add(2 * time.Minute)
	f("a b c d e g i j", true)
	f("b c d e f g i j", false)
	l = newLife(t)
	l.step(0, "a b c d e f", "a b c d e f /  / ")
	l.step(s, "a b c d e", "a b c d e /  / f")
	f("a b c d", false)
	l.step(s, "a b c d", "a b c d /  / e")
	f("a b c", true) // one after the other adds up
	l.now = l.now.Add(2 * time.Minute)
	f("a b c", false)
}

func TestNextEpoch(t *testing.T) {
	at := time.UnixMilli(5000)
	for _, c := range []struct{ seen, want uint64 }{{0, 5000}, {4999, 5000}, {5000, 5001}, {9000, 9001}} {
		if got := nextEpoch(at, 0, c.seen); got != c.want {
			t.Errorf("after %d: %d, want %d", c.seen, got, c.want)
		}
	}
	if nextEpoch(time.Unix(-5, 0)) == 0 {
		t.Error("no epoch is 0, whatever the clock says")
	}
}

// TestPlanNeverStale plays random lives of a pool with leaves that keep what they hold and keys that are written and read as a warming proxy does
// it: a write goes to the owner and as a delete to the previous one, a read that misses asks the previous owner and fills. A leaf forgets a key
// when it is neither its owner nor its previous one. No read may give anything but the last value written, or nothing.
func TestPlanNeverStale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := planOptions()
		now, d := t0, document{Snapshot: topo.Snapshot{Pool: "p"}}
		held := map[string]map[string]int{} // by leaf and key, the value
		last := map[string]int{}
		all := []string{"a", "b", "c", "d", "e"}
		alive := map[string]topo.Member{}
		version := 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * s)
			switch name := rapid.SampledFrom(all).Draw(t, "leaf"); rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1: // it comes, or comes back from draining; a new process holds nothing
				if _, ok := alive[name]; !ok {
					held[name] = map[string]int{}
				}
				alive[name] = topo.Member{Name: name, Addr: "h:1"}
			case 2:
				if m, ok := alive[name]; ok {
					m.State = topo.Draining
					alive[name] = m
				}
			case 3:
				delete(alive, name)
			case 4:
				if m, ok := alive[name]; ok {
					m.Weight = float64(rapid.IntRange(1, 4).Draw(t, "weight"))
					alive[name] = m
				}
			}
			if next, changed := plan(&d, alive, nil, nil, now, o); changed {
				next.Epoch = nextEpoch(now, d.Epoch)
				d = next
			}
			for name, keys := range held {
				for k := range keys {
					if owner(d.Members, k) != name && (!d.Warms(now) || owner(d.Previous, k) != name) {
						delete(keys, k)
					}
				}
			}
			key := fmt.Sprint("key", rapid.IntRange(0, 9).Draw(t, "key"))
			at, was := owner(d.Members, key), ""
			if d.Warms(now) {
				was = owner(d.Previous, key)
			}
			if at == "" {
				continue
			}
			if rapid.Bool().Draw(t, "write") {
				version++
				last[key], held[at][key] = version, version
				if was != "" && was != at {
					delete(held[was], key)
				}
				continue
			}
			got, ok := held[at][key]
			if !ok && was != "" {
				if got, ok = held[was][key]; ok {
					held[at][key] = got
				}
			}
			if ok && got != last[key] {
				t.Fatalf("%s is %d at %s (before: %s), the last written is %d\n%+v", key, got, at, was, last[key], d)
			}
		}
	})
}

// owner is who owns the key among those members.
func owner(ms []topo.Member, key string) string {
	if len(ms) == 0 {
		return ""
	}
	nodes := make([]hash.Node, len(ms))
	for i, m := range ms {
		nodes[i] = hash.Node{Name: m.Name, Weight: weight(&ms[i])}
	}
	r, err := hash.NewRendezvous(nodes)
	if err != nil {
		panic(err)
	}
	return ms[r.Pick(hash.XXH3([]byte(key), 0))].Name
}

// Pipelines: what one client sends for one key is done in the order in which it was sent, also while the key moves.

package warm

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

var pipeKinds = []string{"get", "get", "get", "gets", "set", "set", "append", "incr", "delete", "add"}

// pipeline is a client with keys of its own, of which it knows what they may hold. It belongs to one goroutine.
type pipeline struct {
	c      *Client
	r      *rand.Rand
	name   string
	n      int
	states map[string][]string
	counts map[string]int // answers
}

// batch sends many requests at once, and gives a story if there is no order in which they were done one after the other as they were sent. An
// item may get lost, and a request refused.
func (l *pipeline) batch() (story string) {
	var ops []op
	var requests []string
	for range 16 {
		l.n++
		o := op{kind: pipeKinds[l.r.IntN(len(pipeKinds))], key: fmt.Sprint(l.name, "-", l.r.IntN(3)), delta: uint64(1 + l.r.IntN(9))}
		o.value = strconv.Itoa(1000000 + 10*l.n)
		switch {
		case o.kind == "append":
			o.value = strconv.Itoa(l.r.IntN(10))
		case l.r.IntN(8) == 0: // of several parts, and no number
			o.value += strings.Repeat("x", 8000*l.r.IntN(4))
		}
		ops, requests = append(ops, o), append(requests, o.request())
	}
	for i, a := range l.c.All(requests) {
		o := ops[i]
		res, _ := o.read(a.Text, a.Err)
		said := res.result
		if a.Err != nil {
			said = a.Err.Error()
		}
		s := l.states[o.key]
		if s == nil {
			s = []string{""}
		}
		story += fmt.Sprintf("%.40q: %.40q -> %.40q %.40q\n", s, requests[i], said, res.value)
		l.counts[said]++
		if a.Err != nil && !res.unknown {
			continue
		}
		var next []string
		for _, state := range s {
			for _, to := range step(state, o, res) {
				next = append(next, to.(string))
			}
		}
		if len(next) == 0 {
			return story
		}
		l.states[o.key] = next
	}
	return ""
}

// TestPipelines: clients send a dozen requests at once for keys of their own, while memberships change all the time and proxies hear of it sooner or
// later than leaves.
func TestPipelines(t *testing.T) {
	const clients, changes = 6, 100
	w, one := newWorld(t, Options{Warm: time.Minute, MaxPayload: 16 << 10, Timeout: 30 * time.Second})
	two, err := w.NewProxy()
	if err != nil {
		t.Fatal(err)
	}
	tell(t, w)
	seed := rand.Uint64() >> 16
	var work sync.WaitGroup
	var over atomic.Bool
	batches := make(chan struct{}, 1000) // as many as were done, or enough
	wrong := make(chan struct{})
	stop := sync.OnceFunc(func() {
		over.Store(true)
		close(wrong)
	})
	all := make([]*pipeline, clients)
	for i := range all {
		l := &pipeline{
			c: []*Proxy{one, two}[i%2].Client(i), r: rand.New(rand.NewPCG(seed, uint64(i))), name: fmt.Sprint("client-", i),
			states: map[string][]string{}, counts: map[string]int{},
		}
		all[i] = l
		work.Go(func() {
			for !over.Load() {
				if story := l.batch(); story != "" {
					t.Errorf("seed %d: these were not done in their order:\n%s", seed, story)
					stop()
					return
				}
				select {
				case batches <- struct{}{}:
				default:
				}
			}
		})
	}
	for i := range 4 { // who read everybody's keys have them brought, too
		c, r := []*Proxy{one, two}[i%2].Client(clients+i), rand.New(rand.NewPCG(seed, uint64(clients+i)))
		work.Go(func() {
			for !over.Load() {
				c.All([]string{fmt.Sprintf("incr client-%d-%d 0\r\n", r.IntN(clients), r.IntN(3)), fmt.Sprintf("get client-%d-%d\r\n", r.IntN(clients), r.IntN(3))})
			}
		})
	}
	r := rand.New(rand.NewPCG(seed, 1000))
	for n := 0; n < changes && !over.Load(); n++ {
		change(t, w, one, two, r)
		for range clients / 2 { // a busy machine may have no time for them
			select {
			case <-batches:
			case <-wrong:
			}
		}
	}
	over.Store(true)
	work.Wait()
	counts := map[string]int{}
	for _, l := range all {
		for said, n := range l.counts {
			counts[said] += n
		}
	}
	refused := uint64(0)
	for _, name := range leafNames {
		refused += w.Leaf(name).Stats().Refused[frame.ReasonEpoch]
	}
	t.Logf("seed %d: %v; %d frames were refused", seed, counts, refused)
	if !t.Failed() && (counts["hit"] < counts["miss"] || refused < changes/10) {
		t.Error("little was seen")
	}
}

// change has leaves come and go. Often one proxy goes by the old membership for a while, and is refused.
func change(t *testing.T, w *World, one, two *Proxy, r *rand.Rand) {
	t.Helper()
	var members []string
	for len(members) == 0 {
		for _, name := range leafNames {
			if r.IntN(4) > 0 {
				members = append(members, name)
			}
		}
	}
	if r.IntN(2) == 0 {
		one, two = two, one
	}
	w.Keep(r.IntN(3) > 0)
	w.Decide(nil, members...)
	two.Deafen(r.IntN(2) == 0)
	for _, p := range []*Proxy{one, two} {
		if err := p.Learn(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond)
	}
	two.Deafen(false)
	if err := two.Learn(); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Duration(r.IntN(6)) * time.Millisecond)
}

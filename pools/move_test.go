package pools

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// script is a leaf that answers what it is told to, and notes what it is asked.
type script struct {
	name  string
	epoch atomic.Uint64
	say   func(line string, mode uint8) string
	asked []string
}

func (s *script) Name() string           { return s.name }
func (s *script) Status() backend.Status { return backend.Status{Name: s.name} }
func (s *script) Close() error           { return nil }
func (s *script) Fenced() uint64         { return s.epoch.Load() }
func (s *script) Send(r *mc.Request, p *backend.Pending) {
	s.epoch.Store(p.Term.Number())
	if r.Cmd == mc.CmdMN {
		backend.Refuse(p, nil)
		return
	}
	s.asked = append(s.asked, string(rune('0'+p.Mode))+" "+string(r.Line))
	p.Buf = append(p.Buf[:0], s.say(string(r.Line), p.Mode)...)
	if _, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil {
		panic(err)
	}
	if w := p.Waiter; w.Done(p) {
		w.Wake()
	}
}

// movedPool is a pool whose keys have all moved from one leaf to another.
func movedPool(t testing.TB, from, to *script) *Pool {
	t.Helper()
	p := mustPool(t, Options{Dist: DistRendezvous}, nil)
	settled := func() bool { return true }
	for _, ms := range []Membership{
		{Epoch: now, Members: []Member{{Backend: from}}, Settled: settled},
		{Epoch: now + 1, After: now, Members: []Member{{Backend: to}}, Previous: []Member{{Backend: from}}, WarmUntil: time.Now().Add(time.Hour), Settled: settled},
	} {
		if err := p.SetMembership(ms); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// TestMove: what new and previous owners are asked, and that the client is told what the new one says in the end.
func TestMove(t *testing.T) {
	held := "VA 1 f7 c9 t-1 O0.1.0.0\r\nv\r\n"
	f := func(line, first, previous, then, want string, asked ...string) {
		t.Helper()
		n := 0
		to := &script{name: "to", say: func(line string, mode uint8) string {
			if mode == 3 {
				return "HD\r\n"
			}
			if n++; n > 1 {
				return then
			}
			return first
		}}
		from := &script{name: "from", say: func(string, uint8) string { return previous }}
		p := movedPool(t, from, to)
		done := make(chan *backend.Pending, 1)
		pe := backend.NewPending()
		pe.Waiter = whole(done)
		p.Send(request(t, line), pe)
		if got := string((<-done).Resp.Raw); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
		var got []string
		for _, s := range from.asked {
			got = append(got, "from "+s)
		}
		for _, s := range to.asked {
			got = append(got, "to "+s)
		}
		if len(got) != len(asked) {
			t.Fatalf("%q: asked %q, want %q", line, got, asked)
		}
		for i := range got {
			if got[i] != asked[i] {
				t.Errorf("%q: asked %q, want %q", line, got[i], asked[i])
			}
		}
		if p.moving.n.Load() != 0 {
			t.Errorf("%q: its key is held for ever", line)
		}
	}
	f("get k\r\n", "END\r\n", "", "", "END\r\n", "to 1 get k") // it knows
	f("get k\r\n", "NF W5\r\n", held, "VALUE k 7 1\r\nv\r\nEND\r\n", "VALUE k 7 1\r\nv\r\nEND\r\n",
		"from 2 mg k O5", "to 1 get k", "to 3 ms k 1 E9 F7 O0.1.0.0", "to 0 get k")
	f("mg aw== v b\r\n", "NF W5\r\n", held, "VA 1\r\nv\r\n", "VA 1\r\nv\r\n",
		"from 2 mg aw== O5 b", "to 1 mg aw== v b", "to 3 ms aw== 1 E9 F7 O0.1.0.0 b", "to 0 mg aw== v b")
	f("incr k 1\r\n", "NF W5\r\n", "EN\r\n", "NOT_FOUND\r\n", "NOT_FOUND\r\n", "from 2 mg k O5", "to 1 incr k 1", "to 3 md k", "to 0 incr k 1")
	f("incr k 1\r\n", "NF W5\r\n", "SERVER_ERROR no\r\n", "NOT_FOUND\r\n", "NOT_FOUND\r\n", "from 2 mg k O5", "to 1 incr k 1", "to 0 incr k 1")
	f("delete k\r\n", "NF W5\r\n", "HD\r\n", "", "DELETED\r\n", "from 2 md k", "to 1 delete k")
	f("md k Ox q\r\n", "NF W5\r\n", "NF\r\n", "", "NF Ox\r\n", "from 2 md k", "to 1 md k Ox q")
	f("ma k k\r\n", "NF kk\r\n", "", "", "NF kk\r\n", "to 1 ma k k") // its own NF
}

// whole is a Waiter that hands over Pendings.
type whole chan *backend.Pending

func (w whole) Done(p *backend.Pending) bool { w <- p; return false }
func (w whole) Wake()                        {}

// TestMoveAllocs: a request for a moved key that its new owner answers costs nothing more than any other.
func TestMoveAllocs(t *testing.T) {
	p := movedPool(t, &script{name: "from"}, &script{name: "to"})
	to := &counts{}
	m := p.m.Load()
	m.members[0].Backend = to
	pe := backend.NewPending()
	r := request(t, "set k 0 0 1\r\nv\r\n")
	if n := testing.AllocsPerRun(100, func() {
		pe.Waiter = ignore{}
		p.Send(r, pe)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if to.n != 101 {
		t.Errorf("%d sent", to.n)
	}
}

// counts is a leaf that stores everything.
type counts struct {
	script
	n int
}

func (c *counts) Fenced() uint64 { return now + 1 }
func (c *counts) Send(_ *mc.Request, p *backend.Pending) {
	c.n++
	p.Resp = mc.Response{Code: mc.CodeStored}
	if w := p.Waiter; w.Done(p) {
		w.Wake()
	}
}

type ignore struct{}

func (ignore) Done(*backend.Pending) bool { return true }
func (ignore) Wake()                      {}

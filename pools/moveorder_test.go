// The order of what is done to keys that move.

package pools

import (
	"slices"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// later is a leaf that answers when it is told to.
type later struct {
	script
	waits []*backend.Pending
	on    func(line string) // called with each request; nil: nothing is
}

func (l *later) Send(r *mc.Request, p *backend.Pending) {
	if r.Cmd == mc.CmdMN {
		l.script.Send(r, p)
		return
	}
	l.asked = append(l.asked, string(r.Line))
	l.waits = append(l.waits, p)
	if l.on != nil {
		l.on(string(r.Line))
	}
}

// answer answers the oldest request.
func (l *later) answer(t *testing.T, text string) {
	t.Helper()
	if len(l.waits) == 0 {
		t.Fatalf("nothing waits for %q; was asked %q", text, l.asked)
	}
	p := l.waits[0]
	l.waits = l.waits[1:]
	p.Buf = append(p.Buf[:0], text...)
	if _, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil {
		t.Fatal(err)
	}
	if w := p.Waiter; w.Done(p) {
		w.Wake()
	}
}

// TestMovedDeleteIsDoneOnce: one that the new owner has done is not done again because what came after it, and holds the key, was not answered yet.
func TestMovedDeleteIsDoneOnce(t *testing.T) {
	to := &later{script: script{name: "to"}}
	from := &script{name: "from", say: func(string, uint8) string { return "HD\r\n" }}
	p := movedPool(t, from, &to.script)
	p.m.Load().members[0].Backend = to
	done := make(chan *backend.Pending, 2)
	for _, line := range []string{"delete k\r\n", "ma k N0 J1 v\r\n"} {
		pe := backend.NewPending()
		pe.Waiter = whole(done)
		p.Send(request(t, line), pe)
	}
	to.answer(t, "NF W5\r\n")
	to.answer(t, "VA 1\r\n1\r\n")
	for _, want := range []string{"DELETED\r\n", "VA 1\r\n1\r\n"} {
		select {
		case pe := <-done:
			if got := string(pe.Resp.Raw); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		default:
			t.Errorf("there is no %q", want)
		}
	}
	if want := []string{"delete k", "ma k N0 J1 v"}; !slices.Equal(to.asked, want) {
		t.Errorf("the new owner was asked %q, want %q", to.asked, want)
	}
	if want := []string{"2 md k"}; !slices.Equal(from.asked, want) {
		t.Errorf("the previous owner was asked %q, want %q", from.asked, want)
	}
	if p.moving.n.Load() != 0 {
		t.Error("the key is held for ever")
	}
}

// TestMovedTurns: who waited for a key goes on in order, and before who comes at that moment.
func TestMovedTurns(t *testing.T) {
	to, from := &later{script: script{name: "to"}}, &later{script: script{name: "from"}}
	p := movedPool(t, &from.script, &to.script)
	p.m.Load().members[0].Backend, p.m.Load().previous.members[0].Backend = to, from
	done := make(chan *backend.Pending, 4)
	send := func(line string) {
		pe := backend.NewPending()
		pe.Waiter = whole(done)
		p.Send(request(t, line), pe)
	}
	send("get k\r\n")
	to.answer(t, "NF W5\r\n") // it holds the key until the previous owner has answered
	send("set k 0 0 1\r\nv\r\n")
	send("ma k N0 J1 v\r\n")
	to.on = func(line string) {
		if line == "set k 0 0 1" {
			to.on = nil
			send("get k\r\n")
		}
	}
	from.answer(t, "EN\r\n")
	for _, text := range []string{"NS\r\n", "END\r\n", "STORED\r\n", "VA 1\r\n2\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n"} {
		to.answer(t, text)
	}
	if want := []string{"get k", "md k", "get k", "set k 0 0 1", "ma k N0 J1 v", "get k"}; !slices.Equal(to.asked, want) {
		t.Errorf("the new owner was asked %q, want %q", to.asked, want)
	}
	if len(done) != 4 || p.moving.n.Load() != 0 {
		t.Errorf("%d answers, %d keys are held", len(done), p.moving.n.Load())
	}
}

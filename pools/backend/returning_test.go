// A backend that was away and missed a write is emptied before it is asked again.

package backend

import (
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// scripted answers each request with the next of its errors, and keeps what it was sent.
type scripted struct {
	stub
	errs []error // nil: answered OK
	got  []string
	held *Pending // flush_all, if it is not to be answered yet
	hold bool
}

func (s *scripted) Send(r *mc.Request, p *Pending) {
	s.got = append(s.got, strings.TrimSpace(string(r.Line)))
	if s.hold && r.Cmd == mc.CmdFlushAll {
		s.held = p
		return
	}
	err := s.errs[0]
	s.errs = s.errs[1:]
	s.answer(p, err)
}

func (s *scripted) answer(p *Pending, err error) {
	if err != nil {
		Refuse(p, err)
		return
	}
	p.Buf = append(p.Buf[:0], "OK\r\n"...)
	if _, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil {
		panic(err)
	}
	p.Err = nil
	if p.Waiter.Done(p) {
		p.Waiter.Wake()
	}
}

func TestWithFlush(t *testing.T) {
	const (
		get = "get a\r\n"
		del = "delete a\r\n"
	)
	for name, c := range map[string]struct {
		requests []string
		errs     []error
		want     []string // what the backend was sent
		failed   string   // of each request: x, or . if it was answered
		flushes  int
	}{
		"a write while it was marked bad": {
			[]string{del, get, get}, []error{ErrDown, nil, nil}, []string{"delete a", "flush_all", "get a"}, "xx.", 1,
		},
		"a write before it was": {
			[]string{del, get, get, get}, []error{ErrTimeout, ErrDown, nil, nil}, []string{"delete a", "get a", "flush_all", "get a"}, "xxx.", 1,
		},
		"a write that failed alone": {[]string{del, get}, []error{ErrTimeout, nil}, []string{"delete a", "get a"}, "x.", 0},
		"reads alone":               {[]string{get, get, del}, []error{ErrDown, nil, ErrTimeout}, []string{"get a", "get a", "delete a"}, "x.x", 0},
		"still away": {
			[]string{del, get, get, get}, []error{ErrDown, ErrDown, nil, nil}, []string{"delete a", "flush_all", "flush_all", "get a"}, "xxx.", 1,
		},
		"a write that was refused": {[]string{get, del, get}, []error{ErrDown, ErrOverloaded, nil}, []string{"get a", "delete a", "get a"}, "xx.", 0},
		"away again": {
			[]string{del, get, get, del, get, get}, []error{ErrDown, nil, nil, ErrDown, nil, nil},
			[]string{"delete a", "flush_all", "get a", "delete a", "flush_all", "get a"}, "xx.xx.", 2,
		},
	} {
		in, flushes := &scripted{errs: c.errs}, 0
		b := WithFlush(in, func() { flushes++ })
		failed := ""
		for _, line := range c.requests {
			if p := sendTo(t, b, line); p.Err == nil {
				failed += "."
			} else {
				failed += "x"
			}
		}
		if got := strings.Join(in.got, ", "); got != strings.Join(c.want, ", ") || failed != c.failed || flushes != c.flushes {
			t.Errorf("%s: sent %s; failed %s; %d flushes; want %s; %s; %d", name, got, failed, flushes, strings.Join(c.want, ", "), c.failed, c.flushes)
		}
	}
}

// While flush_all has no answer nothing else is sent, and no other flush_all.
func TestWithFlushWaits(t *testing.T) {
	in := &scripted{errs: []error{ErrDown, nil}, hold: true}
	b := WithFlush(in, func() {})
	sendTo(t, b, "set a 0 0 1\r\nx\r\n")
	for range 3 {
		if p := sendTo(t, b, "get a\r\n"); p.Err != ErrDown {
			t.Errorf("answered before it was flushed: %v", p.Err)
		}
	}
	in.answer(in.held, nil)
	if p := sendTo(t, b, "get a\r\n"); p.Err != nil {
		t.Errorf("afterwards: %v", p.Err)
	}
	if got := strings.Join(in.got, ", "); got != "set a 0 0 1, flush_all, get a" {
		t.Errorf("sent %s", got)
	}
}

func sendTo(t *testing.T, b Backend, wire string) *Pending {
	t.Helper()
	var parser mc.Parser
	var r mc.Request
	if _, _, err := parser.Next([]byte(wire), &mc.Rules{MaxValue: 100}, &r); err != nil {
		t.Fatal(err)
	}
	w := &counter{}
	p := &Pending{Waiter: w}
	b.Send(&r, p)
	if w.done != 1 || p.Waiter != Waiter(w) {
		t.Fatalf("%q: told %d times, and comes back with waiter %T", wire, w.done, p.Waiter)
	}
	return p
}

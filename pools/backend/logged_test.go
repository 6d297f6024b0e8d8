package backend

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

func TestLogRule(t *testing.T) {
	parsed := func(answer string) *Pending {
		p := &Pending{Buf: []byte(answer)}
		if _, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil {
			t.Fatal(err)
		}
		return p
	}
	ok := func(took time.Duration) *Pending {
		p := parsed("END\r\n")
		p.Start, p.End = 1e9, 1e9+int64(took)
		return p
	}
	f := func(r LogRule, p *Pending, chance int, want bool) {
		t.Helper()
		if got := r.wants(p, func(n int) int { return chance % n }); got != want {
			t.Errorf("%+v wants %q (%v): %v, want %v", r, p.Buf, p.Err, got, want)
		}
	}
	f(LogRule{Rate: 1}, ok(0), 5, true)
	f(LogRule{Rate: 10}, ok(0), 5, false)
	f(LogRule{Rate: 10}, ok(0), 0, true)
	f(LogRule{Deadline: time.Second}, ok(time.Second), 0, false)
	f(LogRule{Deadline: time.Second}, ok(time.Second+1), 0, true)
	f(LogRule{Deadline: time.Second}, &Pending{Err: ErrDown}, 0, false)
	f(LogRule{Errors: true}, &Pending{Err: ErrDown}, 0, true)
	f(LogRule{Errors: true}, parsed("SERVER_ERROR no\r\n"), 0, true)
	f(LogRule{Errors: true}, ok(time.Hour), 0, false)
	f(LogRule{Errors: true, Deadline: time.Second}, ok(time.Hour), 0, true)
	f(LogRule{Errors: true, Rate: 3}, ok(0), 3, true)
}

// stub answers every request, and keeps what must be woken until it is told.
type stub struct {
	flushed string
	err     error
	held    Wakes
}

func (s *stub) Name() string   { return "stub" }
func (s *stub) Status() Status { return Status{Addr: "h:1"} }
func (s *stub) Close() error   { return nil }
func (s *stub) Send(_ *mc.Request, p *Pending) {
	p.Backend = s
	s.held.Fail(p, s.err)
}

type flushingStub struct{ *stub }

func (s flushingStub) FlushPrefix(_ context.Context, p []byte) error {
	s.flushed = string(p)
	return nil
}

func TestWithLog(t *testing.T) {
	in := &stub{err: ErrTimeout}
	var got []string
	b := WithLog(in, LogRule{Errors: true, Tag: "slow"}, func(e LogEntry) {
		got = append(got, fmt.Sprintf("%s %s %s lane %d %v", e.Tag, e.Addr, e.Line, e.Pending.Lane, e.Pending.Err))
	})
	send := func(w Waiter, line string) *Pending {
		p := &Pending{Waiter: w, Lane: 7}
		b.Send(&mc.Request{Line: []byte(line)}, p)
		if p.Waiter != w {
			t.Errorf("%q: the Pending comes back with another waiter", line)
		}
		return p
	}
	one, two := &counter{}, &counter{}
	for i, w := range []Waiter{one, two, one} {
		send(w, fmt.Sprintf("get k%d", i))
	}
	if one.done != 2 || two.done != 1 || one.wakes+two.wakes != 0 {
		t.Errorf("before waking: %+v, %+v", one, two)
	}
	in.held.Wake()
	if one.wakes != 1 || two.wakes != 1 {
		t.Errorf("woken %d and %d times, want once each", one.wakes, two.wakes)
	}
	send(one, "get "+strings.Repeat("x", 500))
	in.held.Wake()
	want := []string{
		"slow h:1 get k0 lane 7 backend timed out", "slow h:1 get k1 lane 7 backend timed out", "slow h:1 get k2 lane 7 backend timed out",
		"slow h:1 get " + strings.Repeat("x", 296) + " lane 7 backend timed out",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if one.wakes != 2 || b.Name() != "stub" {
		t.Errorf("%+v, name %q", one, b.Name())
	}
	if _, ok := As[PrefixFlusher](b); ok {
		t.Error("a backend that cannot flush can now")
	}
	f, ok := As[PrefixFlusher](WithFlush(WithLog(flushingStub{in}, LogRule{Rate: 1}, func(LogEntry) {}), func() {}))
	if !ok || f.FlushPrefix(t.Context(), []byte("a")) != nil || in.flushed != "a" {
		t.Errorf("a backend that can flush cannot any more, or flushed %q", in.flushed)
	}
}

package backend

import (
	"errors"
	"slices"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// tags pops everything.
func tags(l *List) []int {
	var got []int
	for p := l.Pop(); p != nil; p = l.Pop() {
		if p.Next != nil {
			panic("a popped Pending is still linked")
		}
		got = append(got, p.Tag)
	}
	return got
}

func listOf(tags ...int) *List {
	l := new(List)
	for _, n := range tags {
		l.Push(&Pending{Tag: n})
	}
	return l
}

func TestList(t *testing.T) {
	f := func(into, from, want []int) {
		t.Helper()
		a, b := listOf(into...), listOf(from...)
		a.Move(b)
		if b.Len() != 0 || b.Pop() != nil {
			t.Errorf("Move(%v) left something", from)
		}
		a.Push(&Pending{Tag: 99})
		if a.Len() != len(want)+1 {
			t.Errorf("Len %d, want %d", a.Len(), len(want)+1)
		}
		if got := tags(a); !slices.Equal(got, append(want, 99)) {
			t.Errorf("%v and %v: %v, want %v", into, from, got, want)
		}
		if a.Len() != 0 || a.Head() != nil {
			t.Errorf("not empty at the end")
		}
	}
	f(nil, nil, nil)
	f([]int{1, 2}, nil, []int{1, 2})
	f(nil, []int{3}, []int{3})
	f([]int{1, 2}, []int{3, 4}, []int{1, 2, 3, 4})
}

// counter wants a wake only for its first Pending since the last wake.
type counter struct{ done, wakes, promised int }

func (c *counter) Done(p *Pending) bool {
	c.done++
	c.promised++
	return c.promised == 1
}
func (c *counter) Wake() { c.wakes++; c.promised = 0 }

func TestWakes(t *testing.T) {
	var a, b counter
	var w Wakes
	w.Answer(&Pending{Waiter: &a})
	w.Answer(&Pending{Waiter: &b})
	w.Answer(&Pending{Waiter: &a})
	if a.wakes+b.wakes != 0 {
		t.Error("woken before the batch was whole")
	}
	w.Wake()
	w.Wake()
	if a != (counter{done: 2, wakes: 1}) || b != (counter{done: 1, wakes: 1}) {
		t.Errorf("a %+v, b %+v; want one wake each", a, b)
	}

	l := &List{}
	one := &Pending{Waiter: &a, Resp: mc.Response{Raw: []byte("stale")}}
	l.Push(one)
	w.FailAll(l, ErrTimeout)
	w.Wake()
	if !errors.Is(one.Err, ErrTimeout) || one.Resp.Raw != nil || one.End == 0 || a.wakes != 2 {
		t.Errorf("%+v, %+v", one, a)
	}
	two := &Pending{Waiter: &b}
	Refuse(two, ErrDown)
	if !errors.Is(two.Err, ErrDown) || b != (counter{done: 2, wakes: 2}) {
		t.Errorf("%+v, %+v", two, b)
	}
}

package leaf

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	now := time.Unix(1, 0)
	const work, rests = 50 * time.Microsecond, 16
	p := pace{work: work, rests: rests}
	p.resume(now)
	for _, c := range []struct{ worked, rest time.Duration }{
		{0, 0}, {work - 1, 0}, {work, rests * work}, {2 * time.Millisecond, rests * 2 * time.Millisecond},
		{time.Hour, paceMost},
	} {
		if got := p.rest(now.Add(c.worked)); got != c.rest {
			t.Errorf("after %v: %v, want %v", c.worked, got, c.rest)
		}
	}
	p.resume(now.Add(time.Second))
	if got := p.rest(now.Add(time.Second + work - 1)); got != 0 {
		t.Errorf("straight after a rest: %v", got)
	}
}

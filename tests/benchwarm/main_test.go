package main

import (
	"strings"
	"testing"
	"time"
)

// A short run works; what it measures is worth nothing.
func TestRun(t *testing.T) {
	s := settings{
		keys: 30_000, zipf: 1.05, memory: 4 << 20, clients: 4, value: 100, warm: time.Minute,
		steady: 200 * time.Millisecond, after: 200 * time.Millisecond, window: 100 * time.Millisecond, aim: 1e6,
	}
	var out strings.Builder
	if err := run(&s, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"without warming", "with warming", "leaf-4: 0 requests had to wait"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// A short drain works, and what is handed over is counted: of one of three leaves that hold little, all.
func TestDrain(t *testing.T) {
	s := settings{keys: 5_000, zipf: 1.05, memory: 4 << 20, clients: 4, value: 100, warm: time.Minute, steady: 100 * time.Millisecond, window: 50 * time.Millisecond}
	d, err := drain(&s, 3)
	if err != nil || d.left > 0 || d.held < 1000 || d.kept != d.held || d.hits < 0.99 || d.stayed < 0.99 {
		t.Errorf("%+v, %v", d, err)
	}
}

// What flags mean beyond their types.

package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
)

func TestReadToken(t *testing.T) {
	file := write(t, "token", "  s3cret\n")
	empty := write(t, "empty", "\n")
	f := func(s, want, wantErr string) {
		t.Helper()
		got, err := readToken(s)
		if got != want || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%q: got %q, %v; want %q, %q", s, got, err, want, wantErr)
		}
	}
	f("", "", "")
	f("s3cret", "s3cret", "")
	f("@"+file, "s3cret", "")
	f("@"+empty, "", "is empty")
	f("@"+file+".none", "", "cannot read the admin token: ")
}

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	log, err := (&logFlags{format: "json", level: "warn"}).logger(&b)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("too quiet")
	log.Warn("heard")
	var line map[string]any
	if err := json.Unmarshal(b.Bytes(), &line); err != nil || line["msg"] != "heard" {
		t.Errorf("got %q, %v; want one line of JSON", b.String(), err)
	}
	b.Reset()
	if log, err = (&logFlags{format: "text", level: "debug"}).logger(&b); err != nil {
		t.Fatal(err)
	}
	log.Debug("heard")
	if !strings.Contains(b.String(), "level=DEBUG msg=heard") {
		t.Errorf("got %q, want a line of text", b.String())
	}
}

// TestLimitHeap changes what the whole test process may use, and puts it back.
func TestLimitHeap(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	quiet := slog.New(slog.DiscardHandler)
	const items = 1 << 30

	debug.SetMemoryLimit(math.MaxInt64)
	t.Setenv("GOMEMLIMIT", "off")
	limitHeap(items, quiet)
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("GOMEMLIMIT is set, and yet the limit became %d", got)
	}
	t.Setenv("GOMEMLIMIT", "")
	limitHeap(items, quiet)
	if got := debug.SetMemoryLimit(-1); got <= items || got > items*3/2 {
		t.Errorf("limit %d for %d bytes of items", got, items)
	}
}

// A leaf's heap may grow by some megabytes before it is collected, however little lives in it.
func TestSpareCollector(t *testing.T) {
	_ = spareCollector()
	runtime.GC()
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	if got := goal[0].Value.Uint64(); got < 2*heapSlack {
		t.Errorf("the next collection is at %d bytes, want %d and more", got, 2*heapSlack)
	}
}

package main

import (
	"errors"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// built is what is measured.
var built string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "benchroutes")
	if err != nil {
		log.Fatal(err)
	}
	built = filepath.Join(dir, "tidepool")
	if out, err := exec.Command("go", "build", "-o", built, "github.com/tidepool-proxy/tidepool/cmd/tidepool").CombinedOutput(); err != nil {
		log.Fatalf("%v\n%s", err, out)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// A short run of every part works, and no answer of it is wrong; what it measures is worth nothing.
func TestRun(t *testing.T) {
	s := settings{tidepool: built, parts: []string{"crowd", "set", "gutter"}, rounds: 1, duration: 150 * time.Millisecond, rate: 500, conns: 20,
		query: 5 * time.Millisecond}
	var out strings.Builder
	if err := run(t.Context(), &s, &out); err != nil && !errors.Is(err, errMissed) {
		t.Fatalf("%v\n%s", err, out.String())
	}
	want := []string{direct.name, coalesce.name, lease.name, stale.name, fill.name}
	for _, g := range guards {
		want = append(want, g.name)
	}
	for _, f := range faults {
		want = append(want, f.what)
	}
	for _, text := range append(want, phases...) {
		if !strings.Contains(out.String(), text) {
			t.Errorf("%q is not in\n%s", text, out.String())
		}
	}
}

// Reads are counted, an old value is noticed, and a wrong one is an error.
func TestApp(t *testing.T) {
	backends, err := startTier(t.Context(), built, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer backends.stop()
	a := newApp(backends[0].addr, 1, time.Millisecond, 60, 1)
	c, err := dial(a.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.c.Close()
	read := func() {
		t.Helper()
		if err := a.read(c, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	read() // a miss, and a fill
	read() // a hit
	if err := a.update(t.Context(), c, 0); err != nil {
		t.Fatal(err)
	}
	if err := c.set(key(0), value(key(0), 0), 60); err != nil { // by somebody who had asked the database before
		t.Fatal(err)
	}
	read()
	n := &a.tally[0]
	if got := [...]int64{n.reads.Load(), n.misses.Load(), n.queries.Load(), n.stale.Load(), n.deletes.Load(), n.refused.Load(), n.errors.Load()}; got !=
		[...]int64{3, 1, 1, 1, 1, 0, 0} {
		t.Errorf("reads, misses, queries, stale, deletes, refused, errors are %v", got)
	}
	if sum, err := backends.gets(); sum != 3 || err != nil {
		t.Errorf("%d gets, %v", sum, err)
	}
	if err := c.set(key(0), "anything", 60); err != nil {
		t.Fatal(err)
	}
	if err := a.read(c, time.Now()); !errors.Is(err, errWrong) {
		t.Errorf("what nobody has stored is taken: %v", err)
	}
}

// A value is of its key, whole.
func TestValues(t *testing.T) {
	if v, err := version("row7", value("row7", 12)); v != 12 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
	for _, bad := range []string{"", "row7", value("row8", 12), value("row7", 12) + "x", strings.Replace(value("row7", 12), "@", "@x", 1)} {
		if _, err := version("row7", bad); !errors.Is(err, errWrong) {
			t.Errorf("%q is taken: %v", bad, err)
		}
	}
}

// Whole runs: with real processes where they are, and rows that cannot be measured.

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/peer"
)

// A closed row, one over leaves, one of the open loop and one of idle connections, with every peer that is here.
func TestRun(t *testing.T) {
	peer.Need(t, "memcached")
	s := settings{
		tidepool: filepath.Join(t.TempDir(), "tidepool"), peer: os.Getenv("PEER_MEMCACHED"), rounds: 2, seed: 1,
		duration: 50 * time.Millisecond, settle: 10 * time.Millisecond,
	}
	if out, err := exec.Command("go", "build", "-o", s.tidepool, "github.com/tidepool-proxy/tidepool/cmd/tidepool").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, r := range rows {
		switch r.name {
		case "idle1000":
			r.idle = 20
			fallthrough
		case "depth16", "leaves1", "open", "pool":
			r.shape.keys = 100
			s.rows = append(s.rows, r)
		}
	}
	var out strings.Builder
	if err := run(t.Context(), &s, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	_, table, _ := strings.Cut(out.String(), "|---|")
	if n := strings.Count(table, "\n"); n != 1+5*2-1 {
		t.Errorf("%d lines in the last table:\n%s", n, out.String())
	}
	for _, want := range []string{"processors", "tidepool ", "2 rounds, 50ms a turn, seed 1", "tidepool, pool without Lua", "no proxy, one memcached", " kB"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if (s.peer == "") != strings.Contains(out.String(), "PEER_MEMCACHED") {
		t.Errorf("with peer %q:\n%s", s.peer, out.String())
	}
}

// fake is a contender without a process.
func fake(name string, err error) kind {
	return kind{name, func(*bench, context.Context, *procs) (contender, error) { return contender{}, err }}
}

// A row that fails ends the run with an error, after the rows behind it; one that cannot run here is named and fails nothing.
func TestRowsThatAreNotMeasured(t *testing.T) {
	works := func(context.Context, *bench, *row, contender, int) (result, error) { return result{PerSecond: 1}, nil }
	fails := func(_ context.Context, _ *bench, _ *row, c contender, round int) (result, error) {
		if c.kind.name == "theirs" && round == 1 {
			return result{}, errors.New("of 100 answers 1 is wrong")
		}
		return result{PerSecond: 1}, nil
	}
	absent := fake("theirs", errMissing)
	r := func(name string, subject, other kind, turn turn) row {
		return row{name: name, title: name, subject: subject, peers: []kind{other}, instead: []kind{fake("third", nil)}, measures: []measure{perSecond(1)}, turn: turn}
	}
	s := settings{tidepool: "/bin/true", rounds: 2, rows: []row{
		r("bad", fake("ours", nil), fake("theirs", nil), fails),
		r("unstarted", fake("ours", errors.New("no port")), fake("theirs", nil), works),
		r("nothing", fake("ours", errMissing), fake("theirs", nil), works),
		r("alone", fake("ours", nil), absent, works),
		r("good", fake("ours", nil), fake("theirs", nil), works),
	}}
	var out strings.Builder
	err := run(t.Context(), &s, &out)
	if err == nil || err.Error() != "2 rows failed" {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{
		"| bad | | | | | | | FAILED: cannot measure theirs: of 100 answers 1 is wrong |",
		"| unstarted | | | | | | | FAILED: cannot start ours: no port |",
		"| nothing | | | | | | | not measured: is not there |",
		"| alone | requests/s | 1.00 or more | 1.000 | 1.00–1.00 | 1.00 | 1.00 (third) | not compared: the peer is missing |",
		"| good | requests/s | 1.00 or more | 1.000 | 1.00–1.00 | 1.00 | 1.00 (theirs) | yes |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// A contender that answers wrongly, or not at all, is no measurement.
func TestLoadFails(t *testing.T) {
	dir := t.TempDir()
	b := &bench{s: &settings{tidepool: filepath.Join(dir, "bench")}}
	for says, want := range map[string]string{
		`echo '{"requests": 10, "misses": 1}'`: "of 10 answers 0 are errors, 0 wrong and 1 misses",
		`echo '{"requests": 10, "wrong": 2}'`:  "of 10 answers 0 are errors, 2 wrong and 0 misses",
		`echo '{"requests": 10, "errors": 3}'`: "of 10 answers 3 are errors, 0 wrong and 0 misses",
		`echo '{}'`:                            "of 0 answers",
		`echo '{'`:                             "cannot read what bench says",
		`echo why >&2; exit 3`:                 "exit status 3\nwhy",
	} {
		if err := os.WriteFile(b.s.tidepool, []byte("#!/bin/sh\n"+says+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := b.load(t.Context(), common(1), contender{addr: "127.0.0.1:1"}, 0, time.Millisecond); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", says, err, want)
		}
	}
}

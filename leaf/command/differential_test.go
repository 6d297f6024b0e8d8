// Random commands to a memcached and to us, answers compared. tests/differ makes the requests, compares, and lists the
// differences that are on purpose.

package command

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/leaf/store"
	"github.com/tidepool-proxy/tidepool/tests/differ"
)

func TestMalformedAsMemcached(t *testing.T) {
	p := startPeer(t)
	b := newBench(t, Options{})
	for _, c := range differ.Malformed {
		if c.Old != "" && p.old() {
			continue
		}
		request := wire(c.Request)
		if request == "" {
			request = "\r\n"
		}
		want := p.send(request)
		if got := b.send(request); got != want {
			t.Errorf("%.60q\n got %q\nwant %q", c.Request, got, want)
		}
	}
}

// setting reads a number from the environment.
func setting(t testing.TB, name string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// realTime is an executor by the real clock, as a peer's is.
func realTime(t testing.TB) *bench {
	t.Helper()
	s, err := store.Open(store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	e, err := New(Options{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, e: e}
}

// TestRandomAsMemcached: for any sequence of commands we answer what memcached answers. TIDEPOOL_SEED and TIDEPOOL_STEPS
// repeat or lengthen a run, TIDEPOOL_MEMCACHED names another memcached.
func TestRandomAsMemcached(t *testing.T) {
	p := startPeer(t)
	seed, steps := setting(t, "TIDEPOOL_SEED", uint64(time.Now().UnixNano())), setting(t, "TIDEPOOL_STEPS", 20_000)
	t.Logf("TIDEPOOL_SEED=%d TIDEPOOL_STEPS=%d", seed, steps)
	b := realTime(t)
	g := differ.New(seed, time.Now().Unix(), p.old())
	skipped := map[string]int{}
	var seen differ.Coverage
	var log recent
	for step := uint64(0); step < steps; {
		var ours, theirs strings.Builder
		n := 0
		for _, r := range g.Batch() {
			step++
			if why := differ.WhyNot(r.Theirs(), p.old()); why != "" {
				skipped[why]++
				continue
			}
			ours.WriteString(g.Ours(r))
			theirs.WriteString(r.Theirs())
			n++
		}
		if n == 0 {
			continue
		}
		got, want := b.send(ours.String()), p.send(theirs.String())
		log.add(ours.String(), got)
		if d := g.Differ(got, want); d != "" {
			t.Fatalf("step %d: %s\nours   %q -> %q\ntheirs %q -> %q\nbefore it:\n%s", step, d, ours.String(), got, theirs.String(), want, log.String())
		}
		if n == 1 {
			seen.Note(theirs.String(), want)
		}
	}
	for why, n := range skipped {
		t.Logf("not compared with %s: %d requests: %s", p.version, n, why)
	}
	if missing := seen.Missing(p.old()); steps >= 20_000 && len(missing) > 0 {
		t.Errorf("never seen: %q", missing)
	}
}

// TestTimeAsMemcached: what a TTL, a Unix time, a touch and a delayed flush_all end, ends for both, to the second. memcached
// counts ticks of its own second, and takes one off flush_all's delay.
func TestTimeAsMemcached(t *testing.T) {
	t.Parallel()
	p := startPeer(t)
	b := realTime(t)
	began := time.Now()
	ask := fmt.Sprintf("set ttl 0 1 1|x|set unix 0 %d 1|x|ms meta 1 T1|x|set flushed 0 0 1|x|set touched 0 0 1|x|touch touched 1|flush_all 3", began.Unix()+2)
	if got, want := b.send(wire(ask)), p.send(wire(ask)); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	type ends struct{ ours, theirs time.Duration }
	open := map[string]*ends{"ttl": {}, "unix": {}, "meta": {}, "touched": {}, "flushed": {}}
	for len(open) > 0 {
		time.Sleep(5 * time.Millisecond) // another process's clock: there is nothing to wait on
		for key, e := range open {
			now, request := time.Since(began), "get "+key+"\r\n"
			if e.ours == 0 && b.send(request) == "END\r\n" {
				e.ours = now
			}
			if e.theirs == 0 && p.send(request) == "END\r\n" {
				e.theirs = now
			}
			most := 1500 * time.Millisecond
			if key == "flushed" {
				most += time.Second
			}
			if late := time.Since(began); e.ours > 0 && e.theirs > 0 {
				if d := (e.ours - e.theirs).Abs(); d > most {
					t.Errorf("%s: ours ended after %v, theirs after %v", key, e.ours, e.theirs)
				}
				delete(open, key)
			} else if late > 30*time.Second {
				t.Fatalf("%s never ends: ours after %v, theirs after %v (0: it is there)", key, e.ours, e.theirs)
			}
		}
	}
	// memcached would lose what is set in the second of its flush. Ours does not.
	if got, want := b.send(wire("set flushed 0 0 1|y|get flushed")), wire("STORED|VALUE flushed 0 1|y|END"); got != want {
		t.Errorf("after the flush: got %q, want %q", got, want)
	}
}

// recent keeps the last exchanges for a message.
type recent []string

func (l *recent) add(request, answer string) {
	*l = append(*l, strconv.Quote(request)+" -> "+strconv.Quote(answer))
	*l = (*l)[max(0, len(*l)-25):]
}

func (l recent) String() string { return strings.Join(l, "\n") }

// transcriptFile has what a memcached of today answered.
const transcriptFile = "testdata/memcached-1.6.45.txt"

// TestTranscript: what a 1.6.45 answered to random requests, its newest flags among them, we answer too. The clock stands
// at the time of the recording. TIDEPOOL_RECORD=1 with TIDEPOOL_MEMCACHED records anew.
func TestTranscript(t *testing.T) {
	if os.Getenv("TIDEPOOL_RECORD") != "" {
		record(t, transcriptFile, setting(t, "TIDEPOOL_STEPS", 4000), (*differ.Generator).Next)
	}
	var seen differ.Coverage
	for _, x := range replay(t, transcriptFile) {
		seen.Note(x.Request.Theirs(), x.Answer)
	}
	if missing := seen.Missing(false); len(missing) > 0 {
		t.Errorf("never seen: %q", missing)
	}
}

// replay sends the requests of a transcript and wants its answers.
func replay(t *testing.T, name string) []differ.Exchange {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tr, err := differ.ReadTranscript(f)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, Options{})
	b.now = tr.Time * 1000
	g := differ.New(tr.Seed, tr.Time, false)
	var log recent
	for i, x := range tr.List {
		got := b.send(g.Ours(x.Request))
		log.add(g.Ours(x.Request), got)
		if d := g.Differ(got, x.Answer); d != "" {
			t.Fatalf("exchange %d: %s\n%q: got %q, memcached %s said %q\nbefore it:\n%s", i, d, x.Request, got, tr.Version, x.Answer, log.String())
		}
	}
	return tr.List
}

// record writes the transcript of the memcached at hand: of so many requests made by next, and before them those of first.
func record(t *testing.T, name string, steps uint64, next func(*differ.Generator) differ.Request, first ...differ.Request) {
	p := startPeer(t)
	if p.old() {
		t.Fatalf("%s is too old to be recorded", p.version)
	}
	tr := &differ.Transcript{Version: p.version, Time: time.Now().Unix(), Seed: setting(t, "TIDEPOOL_SEED", 1)}
	g := differ.New(tr.Seed, tr.Time, false)
	for i := range steps + uint64(len(first)) {
		var r differ.Request
		if i < uint64(len(first)) {
			r = first[i]
		} else if r = next(g); differ.WhyNot(r.Theirs(), false) != "" {
			continue
		}
		answer := p.send(r.Theirs())
		g.Differ(answer, answer) // learns CAS numbers
		tr.List = append(tr.List, differ.Exchange{Request: r, Answer: answer})
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

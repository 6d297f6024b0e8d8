// Allocation, concurrency, and the fuzz target.

package command

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/leaf/store"
	"github.com/tidepool-proxy/tidepool/tests/differ"
)

func open(t testing.TB) *Executor {
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
	return e
}

func parse(t testing.TB, e *Executor, request string) *mc.Request {
	t.Helper()
	var p mc.Parser
	r := new(mc.Request)
	if _, _, err := p.Next([]byte(request), &e.rules, r); err != nil || r.Bad != mc.BadNone {
		t.Fatalf("%q: %v, bad %d", request, err, r.Bad)
	}
	return r
}

func TestNewWithoutStore(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("want an error")
	}
}

// hot are the requests that must not allocate in this package.
var hot = []string{
	"get key", "gets key", "get key key nokey", "gat 0 key", "mg key v", "mg key v k f t c s h l Oq", "mg key T0 R1", "mg a2V5 b v k",
	"mg nokey v q", "mg nokey k", "touch key 0", "delete nokey", "md nokey q", "mn", "ma nokey", "me nokey",
}

func TestNoAllocation(t *testing.T) {
	e := open(t)
	dst := e.Exec(parse(t, e, wire("set key 1 0 5|value")), make([]byte, 0, 4096))
	for _, request := range hot {
		r := parse(t, e, wire(request))
		if n := testing.AllocsPerRun(200, func() { dst = e.Exec(r, dst[:0]) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", request, n)
		}
	}
}

// Writes cost what the store costs, and nothing on top.
func TestWritesAllocateOnlyInTheStore(t *testing.T) {
	e := open(t)
	key, value := []byte("key"), []byte("value")
	want := testing.AllocsPerRun(1000, func() {
		tx := e.store.Begin(key)
		tx.Get()
		tx.PutParts(value, nil, 0, 0, 0, 0)
		tx.End()
	})
	dst := make([]byte, 0, 4096)
	for _, request := range []string{"set key 1 0 5|value", "ms key 5 c k T100 q|value", "ms a2V5 5 b k|value", "replace key 0 0 5|value"} {
		r := parse(t, e, wire(request))
		if n := testing.AllocsPerRun(1000, func() { dst = e.Exec(r, dst[:0]) }); n > want {
			t.Errorf("%s: %v allocations, the store alone makes %v", request, n, want)
		}
	}
}

func BenchmarkExec(b *testing.B) {
	for _, request := range []string{"get key", "mg key v", "mg key v k f t c", "set key 0 0 5|value", "ms key 5 T100|value", "incr n 1"} {
		b.Run(strings.ReplaceAll(request, " ", "_"), func(b *testing.B) {
			e := open(b)
			dst := e.Exec(parse(b, e, wire("set key 1 0 5|value")), make([]byte, 0, 4096))
			dst = e.Exec(parse(b, e, wire("set n 1 0 6|100000")), dst[:0])
			r := parse(b, e, wire(request))
			b.ReportAllocs()
			for b.Loop() {
				dst = e.Exec(r, dst[:0])
			}
		})
	}
}

// Each command is atomic for its key: of many at once, additions all count, and one add, one lease and one compare-and-swap
// win.
func TestAtomicPerKey(t *testing.T) {
	const workers, rounds = 8, 200
	e := open(t)
	e.Exec(parse(t, e, wire("set n 0 0 1|0")), nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := map[string]int{}
	for range workers {
		wg.Go(func() {
			for i := range rounds {
				for name, request := range map[string]string{
					"incr": "incr n 1", "ma": "ma n", "append": "ms log 1 MA N0|x",
					"add": fmt.Sprintf("add a%d 0 0 1|x", i), "lease": fmt.Sprintf("mg l%d N0", i), "cas": fmt.Sprintf("ms c%d 1 E%d|x", i, i+1),
				} {
					var p mc.Parser
					var r mc.Request
					if _, _, err := p.Next([]byte(wire(request)), &e.rules, &r); err != nil {
						t.Error(err)
						return
					}
					answer := string(e.Exec(&r, nil))
					if answer == "STORED\r\n" || strings.HasSuffix(answer, " W\r\n") {
						mu.Lock()
						won[name]++
						mu.Unlock()
					}
				}
			}
		})
	}
	wg.Wait()
	if won["add"] != rounds || won["lease"] != rounds {
		t.Errorf("winners of add and lease: %v, want %d each", won, rounds)
	}
	if got := string(e.Exec(parse(t, e, wire("get n")), nil)); !strings.Contains(got, fmt.Sprintf("\r\n%d\r\n", 2*workers*rounds)) {
		t.Errorf("sum: %q, want %d", got, 2*workers*rounds)
	}
	if got := string(e.Exec(parse(t, e, wire("mg log s")), nil)); got != fmt.Sprintf("HD s%d\r\n", workers*rounds) {
		t.Errorf("appended: %q", got)
	}
	s := e.Snapshot()
	if s.IncrHits != 2*workers*rounds || s.Sets != 3*workers*rounds+1 {
		t.Errorf("counted %d additions and %d sets", s.IncrHits, s.Sets)
	}
}

// FuzzExec: whatever is parsed is answered by one whole answer, or by nothing where the client asked for silence.
func FuzzExec(f *testing.F) {
	for _, c := range differ.Malformed {
		if len(c.Request) < 1000 {
			f.Add([]byte(wire(c.Request)))
		}
	}
	for _, s := range hot {
		f.Add([]byte(wire(s)))
	}
	g := differ.New(1, startTime/1000, false)
	for range 100 {
		f.Add([]byte(g.Next().Theirs()))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		b := newBench(t, Options{MaxItem: 1 << 16})
		b.send(wire("set a 1 0 2|10|ms Ymlu 3 b|bin"))
		var r mc.Request
		for len(in) > 0 {
			n, _, err := b.p.Next(in, &b.e.rules, &r)
			in = in[n:]
			if err != nil || r.Bad.Closes() {
				return
			}
			checkAnswer(t, &r, b.e.Exec(&r, nil))
		}
	})
}

// checkAnswer fails t unless answer is one that a connection can carry after r.
func checkAnswer(t *testing.T, r *mc.Request, answer []byte) {
	t.Helper()
	if len(answer) == 0 {
		silent := r.NoReply || r.Quiet && r.Cmd.IsMeta() || r.Cmd == mc.CmdQuit
		if !silent {
			t.Fatalf("%q: no answer", r.Line)
		}
		return
	}
	rest := answer
	if r.Cmd.IsGet() {
		for bytes.HasPrefix(rest, []byte("VALUE ")) { // a get of many keys: take the values off
			eol := bytes.IndexByte(rest, '\n')
			size, err := strconv.Atoi(string(bytes.Fields(rest[:eol])[3]))
			if err != nil || len(rest) < eol+1+size+2 {
				t.Fatalf("%q: %q", r.Line, answer)
			}
			rest = rest[eol+1+size+2:]
		}
	}
	if r.Cmd == mc.CmdStats && bytes.HasPrefix(rest, []byte("STAT ")) {
		rest = rest[bytes.LastIndex(rest[:len(rest)-2], []byte("\r\n"))+2:]
	}
	if !r.Cmd.HasKey() && r.Cmd != mc.CmdMN { // RESET, MEMLIMIT_...: words that no backend is asked for
		if bytes.Count(rest, []byte("\r\n")) != 1 || !bytes.HasSuffix(rest, []byte("\r\n")) {
			t.Fatalf("%q: %q is not one line", r.Line, rest)
		}
		return
	}
	var a mc.Response
	if n, _, err := mc.ParseResponse(rest, &a); err != nil || n != len(rest) {
		t.Fatalf("%q: answer %q: %d bytes taken, %v", r.Line, answer, n, err)
	}
}

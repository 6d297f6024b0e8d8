// What the tests share: an executor on a clock of its own, and a client that talks to it in protocol bytes.

package command

import (
	"errors"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/leaf/store"
	"github.com/tidepool-proxy/tidepool/tests/differ"
)

// bench is an executor whose clock the test moves.
type bench struct {
	t   testing.TB
	e   *Executor
	now int64 // Unix milliseconds
	p   mc.Parser
}

const startTime = 1_700_000_000_500 // half a second after a full one, so that rounding shows

func newBench(t testing.TB, o Options) *bench {
	t.Helper()
	b := &bench{t: t, now: startTime}
	clock := func() int64 { return b.now }
	s, err := store.Open(store.Options{Now: clock, MaxItem: o.MaxItem, FirstCAS: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	o.Store, o.Now = s, clock
	if b.e, err = New(o); err != nil {
		t.Fatal(err)
	}
	return b
}

// send gives the answers to the requests in the bytes of in, one after another.
func (b *bench) send(in string) string {
	b.t.Helper()
	buf, out := []byte(in), []byte(nil)
	var r mc.Request
	for len(buf) > 0 {
		n, _, err := b.p.Next(buf, &b.e.rules, &r)
		buf = buf[n:]
		if errors.Is(err, mc.ErrMore) {
			break
		}
		if err != nil {
			b.t.Fatalf("parsing %q: %v", in, err)
		}
		out = b.e.Exec(&r, out)
	}
	return string(out)
}

// wire turns the tests' way of writing into bytes: lines are joined by |.
func wire(s string) string { return differ.Wire(s) }

// unwire is the other way round.
func unwire(s string) string { return strings.TrimSuffix(strings.ReplaceAll(s, "\r\n", "|"), "|") }

// dialogue runs a script: "> client|lines", "< answer|lines" (or "<" for silence), "+ seconds" to wait.
func (b *bench) dialogue(script string) {
	b.t.Helper()
	said := ""
	for _, line := range strings.Split(strings.TrimSpace(script), "\n") {
		line = strings.TrimLeft(line, "\t ")
		kind, rest := line[0], strings.TrimPrefix(line[1:], " ")
		switch kind {
		case '>':
			said = rest
		case '<':
			if got := unwire(b.send(wire(said))); got != rest {
				b.t.Errorf("%s\n got %q\nwant %q", said, got, rest)
			}
		case '+':
			b.now += seconds(rest)
		case '#':
		default:
			b.t.Fatalf("bad script line %q", line)
		}
	}
}

// seconds reads "1.5" as milliseconds.
func seconds(s string) int64 {
	whole, frac, _ := strings.Cut(s, ".")
	n := int64(0)
	for _, c := range whole + (frac + "000")[:3] {
		n = n*10 + int64(c-'0')
	}
	return n
}

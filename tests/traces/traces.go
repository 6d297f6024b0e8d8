// Package traces makes the sequences of keys on which caches are compared: popular keys, scans, hot sets that move.
// The same seed gives the same trace.
package traces

import (
	"fmt"
	"math/rand/v2"

	"github.com/tidepool-proxy/tidepool/client/load"
)

// Trace is a kind of trace.
type Trace struct {
	Name, What string
	start      func(r *rand.Rand, n, total int) func() uint64
}

// All are the traces, the plain ones first.
var All = []Trace{
	{"uniform", "every key alike", func(r *rand.Rand, n, _ int) func() uint64 {
		return func() uint64 { return r.Uint64N(uint64(n)) }
	}},
	{"zipf0.9", "Zipf 0.9", func(r *rand.Rand, n, _ int) func() uint64 { return zipf(r, n, 0.9) }},
	{"zipf1.1", "Zipf 1.1", func(r *rand.Rand, n, _ int) func() uint64 { return zipf(r, n, 1.1) }},
	{"scan", "Zipf 0.9, three in ten of keys never seen before", func(r *rand.Rand, n, _ int) func() uint64 {
		hot, scanned := zipf(r, n, 0.9), uint64(1<<40)
		return func() uint64 {
			if r.IntN(10) < 3 {
				scanned++
				return scanned
			}
			return hot()
		}
	}},
	{"jump", "Zipf 0.9, the hot set is another twenty times", func(r *rand.Rand, n, total int) func() uint64 {
		hot, i := zipf(r, n, 0.9), 0
		return func() uint64 {
			i++
			return (hot() + uint64(i/(total/20))*uint64(n/3)) % uint64(n)
		}
	}},
	{"drift", "Zipf 0.9, the hot set moves by half the keys in all", func(r *rand.Rand, n, total int) func() uint64 {
		hot, i := zipf(r, n, 0.9), 0
		return func() uint64 {
			i++
			return hot() + uint64(float64(i)/float64(total)*float64(n)/2)
		}
	}},
}

func zipf(r *rand.Rand, n int, s float64) func() uint64 {
	z := load.NewZipf(n, s)
	return func() uint64 { return uint64(z.Draw(r)) }
}

// Find gives the trace of that name.
func Find(name string) (Trace, error) {
	for _, t := range All {
		if t.Name == name {
			return t, nil
		}
	}
	return Trace{}, fmt.Errorf("no trace %q", name)
}

// Start gives a function that draws the next key's number: of a trace of total requests over n keys.
func (t Trace) Start(seed uint64, n, total int) func() uint64 {
	return t.start(rand.New(rand.NewPCG(seed, 1)), n, total)
}

// KeySize is the length of a key in bytes.
const KeySize = 16

// AppendKey appends the key of a number.
func AppendKey(b []byte, n uint64) []byte {
	n *= 0x9e3779b97f4a7c15
	return fmt.Appendf(b, "key:%012x", (n^n>>29)&(1<<48-1))
}

// The parts: sizes, histogram, reader, queue.

package load

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func mustSizes(s string) Sizes {
	z, err := ParseSizes(s)
	if err != nil {
		panic(err)
	}
	return z
}

func TestSizes(t *testing.T) {
	const draws = 20_000
	for s, want := range map[string]map[[2]int]float64{ // the share that lies in a span
		"100":                  {{100, 100}: 1},
		"50-1000":              {{50, 1000}: 1, {50, 524}: 0.5, {50, 50}: 1.0 / 951},
		"100:9,8000:1":         {{100, 100}: 0.9, {8000, 8000}: 0.1},
		"60,100-199:2,8000":    {{60, 60}: 0.25, {100, 199}: 0.5, {150, 199}: 0.25, {8000, 8000}: 0.25},
		"1073741824,100:65535": {{100, 100}: 1},
	} {
		z := mustSizes(s)
		for span, share := range want {
			n := 0.0
			for v := range uint64(draws) {
				if size := z.of(seed([]byte("key:7"), v)); size >= span[0] && size <= span[1] {
					n++
				}
			}
			if math.Abs(n/draws-share) > 0.02 {
				t.Errorf("%q: %v of the sizes from %d to %d, want %v", s, n/draws, span[0], span[1], share)
			}
		}
	}
	for s, want := range map[string]string{
		"": `"": want bytes`, "x": `"x": want bytes`, "100-": `"100-": want bytes`, "200-100": `"200-100": want bytes`, "0": "want bytes",
		"100:0": "want a weight", "100:x": "want a weight", "100,": `"": want bytes`, "2000000000": "up to 1073741824", "-5": "want bytes",
	} {
		if _, err := ParseSizes(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", s, err, want)
		}
	}
}

// A value is as long as its sizes say of its key and version, and another length is wrong even if every byte is what it should be.
func TestLengthIsVerified(t *testing.T) {
	z, key := mustSizes("50-5000"), []byte("key:7")
	for version := range uint64(300) {
		s := seed(key, version)
		size := z.of(s)
		value := appendValue([]byte("before"), key, version, s, size)[6:]
		if len(value) != size {
			t.Fatalf("version %d: %d bytes, want %d", version, len(value), size)
		}
		if v, ok := checkValue(value, key, &z); !ok || v != version {
			t.Errorf("version %d is taken for wrong: %q", version, value)
		}
		longer := appendValue(nil, key, version, s, size+period)
		if _, ok := checkValue(longer, key, &z); ok {
			t.Errorf("version %d: %d bytes are taken for right, want %d", version, len(longer), size)
		}
		i := int(version) % size
		value[i] ^= 1
		if _, ok := checkValue(value, key, &z); ok {
			t.Errorf("version %d: byte %d of %d is changed and taken for right", version, i, size)
		}
	}
}

func TestHistogram(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var all []int64
	hs := [3]histogram{}
	for i := range 30_000 {
		v := int64(math.Exp(r.Float64() * 30)) // 1 ns to hours
		all = append(all, v)
		hs[i%3].observe(v)
	}
	hs[0].observe(-5)
	all = append(all, 0)
	slices.Sort(all)
	var h histogram
	for i := range hs {
		h.add(&hs[i])
	}
	qs := h.percentiles()
	for i, got := range h.quantiles(qs) {
		want := all[h.rank(qs[i])-1]
		if d := math.Abs(float64(got - want)); d > float64(want)/500+0.5 {
			t.Errorf("quantile %v: %d, want %d", qs[i], got, want)
		}
		if i > 0 && qs[i] <= qs[i-1] {
			t.Errorf("%v comes after %v", qs[i], qs[i-1])
		}
	}
	if n := len(qs); n < 60 || n > 100 || qs[0] != 0 || qs[n-1] != 1 || 1-qs[n-2] > 1.0/15_000 {
		t.Errorf("%d percentiles: %v", n, qs)
	}
	if got := h.quantiles([]float64{1})[0]; got != all[len(all)-1] {
		t.Errorf("the greatest is %d, want %d", got, all[len(all)-1])
	}
	var none histogram
	if none.mean() != 0 || none.quantiles([]float64{0.5})[0] != 0 {
		t.Error("without observations there is something")
	}
}

// source is a connection that reads from a reader.
type source struct {
	net.Conn
	r io.Reader
}

func (s source) Read(p []byte) (int, error) { return s.r.Read(p) }

// However bytes arrive, lines and blocks are the same.
func TestReader(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcde\n"), 5*firstBuffer/16)
	text := "VALUE a 0 5\r\n\r\nb\r\n\r\nEND\r\n" + string(big) + strings.Repeat("x", 3*firstBuffer) + "\nlast\n"
	for name, in := range map[string]io.Reader{
		"at once":      strings.NewReader(text),
		"byte by byte": iotest.OneByteReader(strings.NewReader(text)),
		"by halves":    iotest.HalfReader(strings.NewReader(text)),
	} {
		now := time.Duration(0)
		r := newReader(source{r: in}, func() time.Duration { now++; return now }, nil)
		line := func(want string) {
			t.Helper()
			if got, err := r.line(); err != nil || string(got) != want {
				t.Fatalf("%s: %.40q, %v, want %.40q", name, got, err, want)
			}
		}
		block := func(want string) {
			t.Helper()
			if got, err := r.block(len(want)); err != nil || string(got) != want {
				t.Fatalf("%s: %.40q, %v, want %.40q", name, got, err, want)
			}
		}
		line("VALUE a 0 5")
		block("\r\nb\r\n\r\n")
		line("END")
		block(string(big))
		line(strings.Repeat("x", 3*firstBuffer))
		line("last")
		if !r.empty() || r.at != now {
			t.Errorf("%s: empty %v, read at %d of %d", name, r.empty(), r.at, now)
		}
		if _, err := r.line(); err != io.EOF {
			t.Errorf("%s: %v at the end", name, err)
		}
	}
	r := newReader(source{r: iotest.ErrReader(errors.New("torn"))}, func() time.Duration { return 0 }, nil)
	if _, err := r.block(1); err == nil || err.Error() != "torn" {
		t.Errorf("got %v", err)
	}
}

func TestRing(t *testing.T) {
	var q ring
	for i := range 3 * most {
		if i%2 == 0 { // half full
			continue
		}
		q.slot().key = i
		q.put()
		if q.slot().key = -1; q.front().key < 0 {
			t.Fatal("the next slot is one in use")
		}
		if i > most {
			if got := q.front().key; got != i-most+1 && got != i-most {
				t.Fatalf("front is %d at %d", got, i)
			}
			q.drop()
		}
	}
	for !q.empty() {
		q.drop()
	}
	for range most {
		q.slot()
		q.put()
	}
	if q.slot() != nil || q.front() == nil {
		t.Error("a full ring has room")
	}
	q.drop()
	if q.slot() == nil {
		t.Error("a ring has no room again")
	}
}

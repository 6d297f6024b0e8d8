// The process's memory, where the system tells it and the race detector does not inflate it.

//go:build !race

package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// rss is the memory that the process holds, in bytes.
func rss(t testing.TB) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, after, _ := bytes.Cut(status, []byte("VmRSS:"))
	kib, err := strconv.ParseInt(string(bytes.Fields(after)[0]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// The process stays within 1.5 times the limit and 64 MiB through small items, large items, small ones again.
func TestResidentMemory(t *testing.T) {
	const memory = 64 << 20
	before := rss(t)
	s := openTest(t, Options{Memory: memory})
	r := rand.New(rand.NewPCG(1, 1))
	for round, size := range []func() int{
		func() int { return 100 },
		func() int { return 20_000 + r.IntN(80_000) },
		func() int { return 100 },
		func() int { return 1 << r.IntN(19) },
	} {
		most := int64(0)
		for written, i := 0, 0; written < 2*memory; i++ {
			n := size()
			put(s, fmt.Appendf(nil, "%d:%d", round, i), make([]byte, n))
			if written += n; i%1000 == 0 {
				most = max(most, rss(t)-before)
			}
		}
		t.Logf("round %d: at most %d MiB more than before", round, most>>20)
		if most > memory*3/2+32<<20 {
			t.Errorf("round %d: %d bytes", round, most)
		}
	}
	verify(t, s)
}

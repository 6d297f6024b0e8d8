// Random histories.

package warm

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

var (
	histories = flag.Int("histories", 12, "how many random histories to make")
	seed      = flag.Uint64("seed", 0, "the first one's seed; 0: by chance")
)

// TestHistories: no answer says what cannot be, whatever happens to leaves, links and memberships. Each history has a seed, but time is chance:
// one that failed may take several runs to fail again.
func TestHistories(t *testing.T) {
	first := *seed
	if first == 0 {
		first = rand.Uint64() >> 16
	}
	var hits, misses, errs, ops, undecided int
	for i := range *histories {
		h, err := Run(first+uint64(i), 120)
		if err != nil {
			t.Fatalf("seed %d: %v", first+uint64(i), err)
		}
		ops, hits, misses, errs = ops+len(h.Ops), hits+h.Hits, misses+h.Misses, errs+h.Errors
		if i > 0 && i%100 == 0 {
			t.Logf("%d histories so far", i)
		}
		switch res, info := h.Check(20 * time.Second); res {
		case porcupine.Unknown:
			undecided++
		case porcupine.Illegal:
			t.Fatalf("seed %d: what clients were told cannot be: %s\n%s", h.Seed, draw(t, info), strings.Join(h.Events, "\n"))
		}
	}
	t.Logf("%d histories from seed %d: %d operations, %d hits, %d misses, %d errors; %d not decided", *histories, first, ops, hits, misses, errs, undecided)
	if hits < ops/20 {
		t.Errorf("%d hits of %d operations: nothing was seen", hits, ops)
	}
}

// draw puts a history into a file to look at.
func draw(t *testing.T, info porcupine.LinearizationInfo) string {
	t.Helper()
	f, err := os.CreateTemp(os.TempDir(), "warm-*.html")
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if err := porcupine.Visualize(model.ToModel(), info, f); err != nil {
		return err.Error()
	}
	return filepath.Clean(f.Name())
}

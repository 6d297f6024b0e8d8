// Malformed requests to a memcached of today and to us, answers compared.

package command

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/differ"
)

// spoiltFile has what a memcached of today answered to requests with something wrong in them: Debian's has other words for many.
const spoiltFile = "testdata/memcached-1.6.45-spoilt.txt"

// spoilt makes requests of which two in three have something wrong in them.
func spoilt(g *differ.Generator) differ.Request {
	if g.IntN(3) == 0 {
		return g.Next()
	}
	return g.Spoilt()
}

// TestSpoiltTranscript: as TestTranscript, for the list of malformed requests and for random ones.
func TestSpoiltTranscript(t *testing.T) {
	if os.Getenv("TIDEPOOL_RECORD") != "" {
		var first []differ.Request
		for _, c := range differ.Malformed {
			if r := differ.Wire(c.Request); len(r) > 5000 {
				continue
			} else if r == "" {
				first = append(first, "\r\n")
			} else {
				first = append(first, differ.Request(r))
			}
		}
		record(t, spoiltFile, setting(t, "TIDEPOOL_STEPS", 4000), spoilt, first...)
	}
	refused := map[string]int{}
	for _, x := range replay(t, spoiltFile) {
		if strings.HasPrefix(x.Answer, "CLIENT_ERROR") || strings.HasPrefix(x.Answer, "ERROR") {
			refused[strings.Fields(x.Request.Theirs() + " -")[0]]++
		}
	}
	for _, cmd := range strings.Fields("mg ms md ma me get gets gat gats set add replace append prepend cas incr decr touch delete verbosity") {
		if refused[cmd] == 0 {
			t.Errorf("no %s was refused", cmd)
		}
	}
}

// TestSpoiltAsMemcached is the same beside a memcached of today, where there is one, with another seed each time.
func TestSpoiltAsMemcached(t *testing.T) {
	p := startPeer(t)
	if p.old() {
		t.Skipf("SKIPPED: memcached %s words errors otherwise; TestSpoiltTranscript has those of 1.6.45", p.version)
	}
	seed, steps := setting(t, "TIDEPOOL_SEED", uint64(time.Now().UnixNano())), setting(t, "TIDEPOOL_STEPS", 20_000)
	t.Logf("TIDEPOOL_SEED=%d TIDEPOOL_STEPS=%d", seed, steps)
	b, g := realTime(t), differ.New(seed, time.Now().Unix(), false)
	var log recent
	for range steps {
		r := spoilt(g)
		if differ.WhyNot(r.Theirs(), false) != "" {
			continue
		}
		ours := g.Ours(r)
		got, want := b.send(ours), p.send(r.Theirs())
		log.add(ours, got)
		if d := g.Differ(got, want); d != "" {
			t.Fatalf("%s\nours   %q -> %q\ntheirs %q -> %q\nbefore it:\n%s", d, ours, got, r.Theirs(), want, log.String())
		}
	}
}

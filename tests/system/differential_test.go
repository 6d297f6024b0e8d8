// Random requests to a memcached and to Tidepool, answers compared: through a proxy's Lua route to a leaf, and at a leaf's own
// listener. leaf/command does the same with the commands alone; here everything between the socket and the store is in
// the way.

package system_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/differ"
)

// proxied lists what a proxy does otherwise than a memcached that is asked directly, on purpose and as memcached's own proxy does.
var proxied = []differ.Difference{
	{When: says("noreply"), Why: "noreply hides what went well; memcached alone hides errors, too"},
	{When: begins("verbosity"), Why: "verbosity is not allowed where routes are attached"},
	{When: begins("stats"), Why: "stats are the proxy's own"},
}

func says(word string) func(string) bool {
	return func(r string) bool {
		line, _, _ := strings.Cut(r, "\r\n")
		return strings.Contains(line, " "+word)
	}
}

func begins(word string) func(string) bool {
	return func(r string) bool { return strings.HasPrefix(r, word) }
}

const differConfig = `
function mcp_config_pools()
  return mcp.pool({ mcp.backend(%q) }, { name = "p" })
end
function mcp_config_routes(p)
  mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return p(r) end)
end`

func TestRandomAsMemcached(t *testing.T) {
	_, urls := startLeaves(t, 1) // CAS numbers of two leaves have no order, but ms with I asks which is older
	p := startProxy(t, fmt.Sprintf(differConfig, urls[0]), "--allow-flush")
	p.ready()
	own := startLeaf(t, "own", "127.0.0.1:0", "--memcached", "127.0.0.1:0")
	t.Run("proxy", func(t *testing.T) { differs(t, p.addr, proxied) })
	addr := own.logged(0, "leaf ready")["memcached"].(string)
	t.Run("leaf", func(t *testing.T) { differs(t, addr, nil) })
	t.Run("leaf, malformed", func(t *testing.T) {
		a, b := dial(t, addr), dial(t, startMemcached(t))
		old := isOld(b)
		answer(a, "flush_all\r\n") // as empty as the other
		for _, c := range differ.Malformed {
			if c.Old != "" && old {
				continue
			}
			request := differ.Wire(c.Request)
			if request == "" {
				request = "\r\n"
			}
			if got, want := answer(a, request), answer(b, request); got != want {
				t.Errorf("%.60q\n got %q\nwant %q", request, got, want)
			}
		}
	})
}

// isOld: the memcached is older than what we follow.
func isOld(c *client) bool { return strings.TrimSpace(answer(c, "version\r\n")) != "VERSION 1.6.45" }

// differs compares addr with a memcached; TIDEPOOL_SEED repeats a run.
func differs(t *testing.T, addr string, apart []differ.Difference) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("TIDEPOOL_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("TIDEPOOL_SEED=%d", seed)
	// Without the LRU's own thread: it holds items for a moment, and a number in a held item is not padded.
	ours, theirs := dial(t, addr), dial(t, startMemcached(t, "-o", "no_lru_maintainer"))
	old := isOld(theirs)
	g := differ.New(seed, time.Now().Unix(), old)
	skipped := map[string]int{}
	var log []string
	for step := 0; step < 5000; {
		var a, b strings.Builder
		for _, r := range g.Batch() {
			step++
			why := differ.WhyNot(r.Theirs(), old)
			for _, d := range apart {
				if d.When(r.Theirs()) {
					why = d.Why
				}
			}
			if why != "" {
				skipped[why]++
				continue
			}
			a.WriteString(g.Ours(r))
			b.WriteString(r.Theirs())
		}
		if a.Len() == 0 {
			continue
		}
		got, want := answer(ours, a.String()), answer(theirs, b.String())
		log = append(log, fmt.Sprintf("%q -> %q", a.String(), got))
		log = log[max(0, len(log)-25):]
		if d := g.Differ(got, want); d != "" {
			t.Fatalf("step %d: %s\nours   %q -> %q\ntheirs %q -> %q\nbefore it:\n%s", step, d, a.String(), got, b.String(), want, strings.Join(log, "\n"))
		}
	}
	for why, n := range skipped {
		t.Logf("not compared: %d requests: %s", n, why)
	}
}

// answer gives all that comes for a request. What ends it is a miss of its own: mn is among the requests.
func answer(c *client, request string) string {
	c.t.Helper()
	c.says(request + "mg no-such-key k Oend\r\n")
	var got strings.Builder
	for {
		_ = c.c.SetReadDeadline(time.Now().Add(patience))
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("%q: got %q, then %v", request, got.String()+line, err)
		}
		if line == "EN kno-such-key Oend\r\n" {
			return got.String()
		}
		got.WriteString(line)
	}
}

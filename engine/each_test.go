package engine

import (
	"io"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
)

// TestEach: answers are told as they come, each once, those of the proxy itself among them.
func TestEach(t *testing.T) {
	slow, fast := newFakeBackend(t), newFakeBackend(t)
	p := startProxy(t, writeConfig(t, `
pool{ name = "slow", backends = { "$1" } }
pool{ name = "fast", backends = { "$2" } }
router{ prefix_trim = false }`, slow.addr(), fast.addr()))
	s := p.Open(server.ConnInfo{ID: 7})
	defer s.Close()
	b := server.NewBatch(io.Discard)
	b.Rules = s.Rules()
	lines := []string{"mg /slow/1 v\r\n", "mg /fast/1 v\r\n", "mg /none/1 v\r\n", "mg /slow/2 v\r\n", "mg /fast/2 v\r\n", "mg\r\n"}
	b.Reqs = make([]mc.Request, len(lines))
	for i, line := range lines {
		var parser mc.Parser
		if _, _, err := parser.Next([]byte(line), &b.Rules, &b.Reqs[i]); err != nil {
			t.Fatal(err)
		}
	}
	type told struct {
		i    int
		text string
	}
	answers, done := make(chan told, 10), make(chan error, 1)
	b.Each = func(i int, answer []byte) { answers <- told{i, string(answer)} }
	go func() { done <- s.Serve(b) }()
	hears := func(want ...told) {
		t.Helper()
		open := map[told]bool{}
		for _, w := range want {
			open[w] = true
		}
		for range want {
			select {
			case got := <-answers:
				if !open[got] {
					t.Fatalf("told %v, want one of %v", got, open)
				}
				delete(open, got)
			case <-time.After(patience):
				t.Fatalf("never told %v", open)
			}
		}
	}
	hears(told{2, "SERVER_ERROR no route\r\n"}, told{5, "CLIENT_ERROR parsing request\r\n"})
	slow.sees("mg /slow/1 v\r\nmg /slow/2 v\r\n")
	fast.sees("mg /fast/1 v\r\nmg /fast/2 v\r\n")
	fast.says("VA 1\r\na\r\nEN\r\n")
	hears(told{1, "VA 1\r\na\r\n"}, told{4, "EN\r\n"})
	slow.says("EN\r\n")
	hears(told{0, "EN\r\n"})
	slow.says("VA 2\r\nbb\r\n")
	hears(told{3, "VA 2\r\nbb\r\n"})
	if err := <-done; err != nil || len(answers) > 0 || len(b.Out) > 0 {
		t.Errorf("%v; %d answers more, %q left over", err, len(answers), b.Out)
	}
	if hits, misses := p.stats.requestsOf(mc.CmdMG, resultHit), p.stats.requestsOf(mc.CmdMG, resultMiss); hits != 2 || misses != 2 {
		t.Errorf("%d hits and %d misses are counted", hits, misses)
	}
}

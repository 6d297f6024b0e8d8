// Gets of very many keys, and of large values many times: their answers are whole and in order, and they cost little memory.

package engine

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/leaf"
)

// many is what a client asks and hears for n keys, all of which but every tenth are there.
func many(n int) (stored, keys, want string) {
	var s, k, w strings.Builder
	for i := range n {
		fmt.Fprintf(&k, " k%d", i)
		if i%10 > 0 {
			fmt.Fprintf(&s, "set k%d 0 0 5\r\n%05d\r\n", i, i)
			fmt.Fprintf(&w, "VALUE k%d 0 5\r\n%05d\r\n", i, i)
		}
	}
	return s.String(), k.String(), w.String() + endLine
}

// A client that asks for more keys than may be under way in all gets them, in pieces, and the other requests of its batch are answered in
// their places.
func TestGetOfVeryManyKeys(t *testing.T) {
	for _, n := range []int{2, maxSlots - 1, maxSlots, maxSlots + 1, 2*maxSlots - 1, 2 * maxSlots, 5000} {
		for name, route := range map[string]string{
			"routed": "mcp.attach(mcp.CMD_GET, function(r) return mcp.internal(r) end)",
			"local":  "mcp.attach(mcp.CMD_MG, function(r) return mcp.internal(r) end)",
			"none":   "",
		} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				p := startProxy(t, writeConfig(t, "function mcp_config_pools() end function mcp_config_routes() "+route+" end"),
					func(o *Options) { o.MaxInFlight = maxSlots })
				c := dial(t, p)
				stored, keys, want := many(n)
				c.writes(stored + "mn\r\n")
				c.sees(strings.Repeat("STORED\r\n", n-(n+9)/10) + "MN\r\n")
				c.writes("mn\r\nget" + keys + "\r\nget k1\r\nget k0" + keys + " \r\nmn\r\n")
				c.sees("MN\r\n" + want + "VALUE k1 0 5\r\n00001\r\nEND\r\n" + want + "MN\r\n")
			})
		}
	}
}

// writes says what is more than sockets hold, while its answer is read.
func (c *client) writes(s string) {
	go func() {
		if _, err := io.WriteString(c.c, s); err != nil {
			c.t.Error(err)
		}
	}()
}

// watchedWriter notes how much a session holds whenever it writes.
type watchedWriter struct {
	s       *session
	most    int
	written int
}

func (w *watchedWriter) Write(b []byte) (int, error) {
	w.most = max(w.most, cap(w.s.local))
	w.written += len(b)
	return len(b), nil
}

// serve serves lines as one batch.
func (w *watchedWriter) serve(t *testing.T, lines ...string) {
	t.Helper()
	b := server.NewBatch(w)
	b.Rules = w.s.Rules()
	for _, line := range lines {
		var parser mc.Parser
		b.Reqs = append(b.Reqs, mc.Request{})
		if n, _, err := parser.Next([]byte(line), &b.Rules, &b.Reqs[len(b.Reqs)-1]); n != len(line) || err != nil {
			t.Fatal(line, n, err)
		}
	}
	if err := w.s.Serve(b); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestLargeAnswersOfTheLocalStoreDoNotPileUp(t *testing.T) {
	const size = 1_000_000
	local, err := leaf.NewLocal(leaf.Options{Memory: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, writeConfig(t, "function mcp_config_pools() end function mcp_config_routes() end"), func(o *Options) { o.Local = local })
	w := &watchedWriter{s: p.Open(server.ConnInfo{ID: 1, Network: "tcp"}).(*session)}
	defer w.s.Close()
	w.serve(t, fmt.Sprintf("set k 0 0 %d\r\n%s\r\n", size, strings.Repeat("x", size)))
	for _, lines := range [][]string{
		{"get" + strings.Repeat(" k", 100) + "\r\n"},
		strings.Split(strings.Repeat("get k\r\n", 99)+"get k\r", "\n"),
		strings.Split(strings.Repeat("mg k v\r\n", 99)+"mg k v\r", "\n"),
	} {
		for i := range lines {
			lines[i] = strings.TrimSuffix(lines[i], "\n") + "\n"
		}
		w.most, w.written = 0, 0
		w.serve(t, lines...)
		if w.written < 100*size || w.most > 2*window*size {
			t.Errorf("%.20q: %d bytes written, %d held", lines[0], w.written, w.most)
		}
	}
	if w.s.slots != nil || w.s.subs != nil || w.s.lines != nil {
		t.Error("a session that waits for its client keeps the room of its last batch")
	}
	if n := p.held.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}

// Answers that wait for one before them count, and find no room some time.
func TestLargeAnswersThatWaitAreLimited(t *testing.T) {
	const size = 900_000
	c, b, p := routed(t, "mcp.attach(mcp.CMD_MG, p)", func(o *Options) { o.MaxBuffered = 8 << 20 })
	c.writes(fmt.Sprintf("set k 0 0 %d\r\n%s\r\n", size, strings.Repeat("x", size)))
	c.sees("STORED\r\n")
	value := fmt.Sprintf("VALUE k 0 %d\r\n%s\r\n", size, strings.Repeat("x", size))
	for what, want := range map[string]string{
		"get" + strings.Repeat(" k", 50) + "\r\n": lineNoMemory,
		strings.Repeat("get k\r\n", 12):           strings.Repeat(value+endLine, 9) + strings.Repeat(lineNoMemory, 3),
		"get" + strings.Repeat(" k", 8) + "\r\n":  strings.Repeat(value, 8) + endLine,
	} {
		c.says("mg a\r\n" + what + "mn\r\n")
		b.sees("mg a\r\n")
		b.says("EN\r\n")
		c.sees("EN\r\n" + want + "MN\r\n")
		if n := p.held.Load(); n != 0 {
			t.Errorf("%d bytes are still counted", n)
		}
	}
}

// A leaf's own memcached clients: what one line may ask of it.

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/leaf"
)

// largest notes the most that is written at once.
type largest struct {
	strings.Builder
	most int
}

func (w *largest) Write(b []byte) (int, error) {
	w.most = max(w.most, len(b))
	return w.Builder.Write(b)
}

// TestLeafGetOfManyLargeValues: a line asks for one value a hundred times; the leaf never holds them all.
func TestLeafGetOfManyLargeValues(t *testing.T) {
	const size = 500_000
	local, err := leaf.NewLocal(leaf.Options{Memory: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s := leafSession{local: local, rules: mc.Rules{MaxValue: 1 << 20}}
	var w largest
	b := server.NewBatch(&w)
	for _, line := range []string{
		fmt.Sprintf("set k 0 0 %d\r\n%s\r\n", size, strings.Repeat("x", size)),
		"get" + strings.Repeat(" k", 100) + " none\r\n", "gat x k k\r\n", "get none nor\r\n", "mn\r\n",
	} {
		var parser mc.Parser
		b.Reqs = append(b.Reqs, mc.Request{})
		if n, _, err := parser.Next([]byte(line), &s.rules, &b.Reqs[len(b.Reqs)-1]); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := s.Serve(b); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	value := fmt.Sprintf("VALUE k 0 %d\r\n%s\r\n", size, strings.Repeat("x", size))
	want := "STORED\r\n" + strings.Repeat(value, 100) + "END\r\nCLIENT_ERROR invalid exptime argument\r\nEND\r\nMN\r\n"
	if w.String() != want {
		t.Errorf("%d bytes, want %d: ends in %q", w.Len(), len(want), w.String()[max(0, w.Len()-100):])
	}
	if w.most > 20*size {
		t.Errorf("%d bytes at once", w.most)
	}
}

// What a full store refuses.

package command

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// Without eviction a full store refuses. What a refused command was to change is there as it was; what set was to replace is not, as in memcached.
func TestRefusedForWantOfMemory(t *testing.T) {
	const items, number = 500, "99999999999999999"
	longer := "0 0 200\r\n" + strings.Repeat("x", 200) + "\r\n"
	for _, d := range []struct {
		command string
		keeps   bool
	}{
		{"incr %s 1\r\n", true}, {"append %s " + longer, true}, {"prepend %s " + longer, true}, {"replace %s " + longer, true}, {"md %s x\r\n", true},
		{"ma %s\r\n", true}, {"set %s " + longer, false}, {"ms %s 200\r\n" + strings.Repeat("x", 200) + "\r\n", false},
	} {
		t.Run(d.command[:6], func(t *testing.T) {
			s, err := store.Open(store.Options{Memory: 4 << 20, NoEvict: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			e, err := New(Options{Store: s})
			if err != nil {
				t.Fatal(err)
			}
			b := &bench{t: t, e: e}
			for i := range items {
				b.send(fmt.Sprintf("set n%d 0 0 %d\r\n%s\r\n", i, len(number), number))
			}
			for refused, i := 0, 0; refused < 50; i++ { // in a row: all shards are full
				if refused++; b.send(fmt.Sprintf("set fill-%d 0 0 20\r\n%020d\r\n", i, 0)) == "STORED\r\n" {
					refused = 0
				}
			}
			refused := 0
			for i := range items {
				key := fmt.Sprint("n", i)
				if got := b.send(fmt.Sprintf(d.command, key)); !strings.HasPrefix(got, "SERVER_ERROR") && got != "NOT_STORED\r\n" {
					continue // there was room among what it replaced
				}
				refused++
				want := "END\r\n"
				if d.keeps {
					want = fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", key, len(number), number)
				}
				if got := b.send("get " + key + "\r\n"); got != want {
					t.Fatalf("%s: %q, want %q", key, got, want)
				}
			}
			if refused == 0 {
				t.Error("none is refused")
			}
		})
	}
}

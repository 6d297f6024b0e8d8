// A multiget in pieces.

package mc

import (
	"slices"
	"testing"
)

func TestWindow(t *testing.T) {
	f := func(in string, n int, want ...string) {
		t.Helper()
		r := parse(t, in)
		var got []string
		for pos, more := 0, true; more; {
			var some Request
			pos, more = r.Window(pos, n, &some)
			line := string(some.Line[:some.tok[some.Cmd.info().key].from])
			count := 0
			for key, at, ok := some.NextKey(0); ok; key, at, ok = some.NextKey(at) {
				line += string(key) + ","
				count++
			}
			if count != some.NKeys() || string(some.Key) != string(some.Token(some.NToken()-1)) {
				t.Errorf("%q: %d keys, NKeys %d, key %q of %q", in, count, some.NKeys(), some.Key, some.Line)
			}
			got = append(got, line)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q by %d: %q, want %q", in, n, got, want)
		}
	}
	f("get a\r\n", 2, "get a,")
	f("get a b\r\n", 2, "get a,b,")
	f("get a b  \r\n", 1, "get a,", "get a b,")
	f("gat  7 a  bb c d e \r\n", 2, "gat  7 a,bb,", "gat  7 a  bb c,d,", "gat  7 a  bb c d e,")
}

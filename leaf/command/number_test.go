// Numbers as they are stored.

package command

import (
	"strconv"
	"testing"
)

// What a stored number may look like: strtoull's view of it.
func TestStoredNumbers(t *testing.T) {
	for s, want := range map[string]string{
		"5": "5", " 5": "5", "\t5 ": "5", "+5": "5", "0005": "5", "5 x": "5", "5\x00": "5", "5\x00x": "5", "5\r\n": "5",
		"18446744073709551615": "18446744073709551615",
		"18446744073709551616": "", "": "", " ": "", "\x00": "", "\x005": "", "x": "", "5x": "", "5.0": "", "-5": "", "+": "", "- 5": "", "0x5": "",
	} {
		b := newBench(t, Options{})
		b.send("set n 0 0 " + strconv.Itoa(len(s)) + "\r\n" + s + "\r\n")
		if want == "" {
			want = "CLIENT_ERROR cannot increment or decrement non-numeric value"
		}
		if got := b.send(wire("incr n 0")); got != want+"\r\n" {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// Spoilt requests: what the generator makes, with something in the line that should not be there, or not there what should.

package differ

import (
	"slices"
	"strings"
)

// odd are words that belong nowhere, or not just anywhere. None is a time that ends within minutes, and none has so long an opaque that it
// is one of the differences.
var odd = []string{
	"0", "-1", "+1000", "1x", "0x1", "1.5", "18446744073709551615", "18446744073709551616", "4294967296", "2147483648", "-2147483649",
	"99999999999999999999999", "noreply", "q", "k", "b", "t", "S", "S1", "T", "Tx", "T-1", "T2147483648", "N", "Nx", "N-1", "R", "Rx", "C", "Cx",
	"C-1", "C18446744073709551616", "E", "Ex", "F", "F-1", "F4294967296", "M", "Mx", "MADD", "Ma", "J", "J-1", "Jx", "D", "D-1", "Dx", "I", "I1",
	"Oopaque", "O", "v", "v9", "x", "X", "W", "Z", "mg",
}

// Spoilt gives one request with one thing or two changed in its line, so that it is mostly refused. A value and the length that the line says of
// it stay as they were: what follows would be taken for other requests.
func (g *Generator) Spoilt() Request {
	for {
		line, rest, more := strings.Cut(g.request(), "|")
		w := strings.Fields(line)
		for range 1 + g.IntN(2) {
			w = g.spoil(w)
		}
		switch {
		case w[0] == "", w[0] == "flush_all", w[0] == "stats": // may flush now, which memcached does for whole seconds; stats are its own
			continue
		case len(w) > 1 && (strings.Contains(w[1], "{") || w[0] == "delete" && w[1] == "noreply"): // a CAS number for a key; there it is silent
			continue
		case slices.ContainsFunc(w, func(s string) bool { return strings.HasPrefix(s, "O") && len(s) > 32 }): // an opaque that is too long
			continue
		}
		s := strings.Join(w, " ")
		if more {
			s += "|" + rest
		}
		g.made++
		return Request(Wire(s))
	}
}

// spoil changes one thing. Words before from are there to stay.
func (g *Generator) spoil(w []string) []string {
	from := 1
	switch {
	case slices.Contains([]string{"set", "add", "replace", "append", "prepend", "cas"}, w[0]):
		from = 5
	case w[0] == "ms":
		from = 3
	case slices.Contains(w, "b"): // what is no base64 is one of the differences
		from = 2
	}
	at := from + g.IntN(max(1, len(w)-from))
	switch kind := g.IntN(8); {
	case kind == 0 && at < len(w):
		return slices.Delete(w, at, at+1)
	case kind == 1 && at < len(w):
		return append(w, w[at])
	case kind == 2 && at < len(w):
		w[at] = g.pick(odd...)
	case kind == 3 && at < len(w):
		w[at] += g.pick("x", "=")
	case kind == 4 && from == 5:
		w[2+g.IntN(2)] = g.pick(odd...) // flags and time
	case kind == 5:
		w[0] = g.pick(strings.ToUpper(w[0]), w[0]+"x", w[0][:len(w[0])-1])
	default:
		return slices.Insert(w, min(at, len(w)), g.pick(odd...))
	}
	return w
}

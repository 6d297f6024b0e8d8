// Comparing answers.

package differ

import (
	"fmt"
	"strconv"
	"strings"
)

// Differ says how our answer differs from theirs; "" when it does not. CAS numbers must map one to one; what it learns of
// them Ours uses. Times may be a tick or two apart.
func (g *Generator) Differ(ours, theirs string) string {
	for ours != "" || theirs != "" {
		a, restA, okA := strings.Cut(ours, "\r\n")
		b, restB, okB := strings.Cut(theirs, "\r\n")
		if !okA || !okB {
			return "another number of lines"
		}
		if d := g.line(a, b); d != "" {
			return d
		}
		ours, theirs = restA, restB
		n := blockSize(a)
		if n < 0 {
			continue
		}
		if len(ours) < n+2 || len(theirs) < n+2 || ours[:n+2] != theirs[:n+2] {
			return "another value"
		}
		ours, theirs = ours[n+2:], theirs[n+2:]
	}
	return ""
}

// blockSize is the length of the data block that follows a line; -1: none does.
func blockSize(line string) int {
	at := 0
	switch w := strings.Fields(line); {
	case len(w) > 1 && w[0] == "VA":
		at = 1
	case len(w) > 3 && w[0] == "VALUE":
		at = 3
	default:
		return -1
	}
	n, err := strconv.Atoi(strings.Fields(line)[at])
	if err != nil {
		return -1
	}
	return n
}

func (g *Generator) line(got, want string) string {
	a, b := strings.Split(got, " "), strings.Split(want, " ")
	if a[0] == "VERSION" && b[0] == "VERSION" {
		return ""
	}
	if len(a) != len(b) {
		return "another line"
	}
	for i := range a {
		if g.old && a[0] == "ME" && b[i] != "exp=-1" {
			b[i] = strings.Replace(b[i], "exp=-", "exp=", 1) // 1.6.18 has the sign wrong
		}
		if a[i] == b[i] && !isCAS(a, i) {
			continue
		}
		switch {
		case isCAS(a, i):
			if !g.sameCAS(strings.TrimLeft(a[i], "cas="), strings.TrimLeft(b[i], "cas=")) {
				return "CAS " + a[i] + " is not " + b[i]
			}
		case a[0] == "ME" && (strings.HasPrefix(a[i], "size=") || strings.HasPrefix(a[i], "cls=")): // of memory, not of the item
		case a[0] == "ME" && (strings.HasPrefix(a[i], "exp=") || strings.HasPrefix(a[i], "la=")):
			if !near(a[i][strings.IndexByte(a[i], '=')+1:], b[i][strings.IndexByte(b[i], '=')+1:]) {
				return a[i] + " is not " + b[i]
			}
		case i > 0 && len(a[0]) == 2 && len(a[i]) > 1 && len(b[i]) > 1 && a[i][0] == b[i][0] && (a[i][0] == 't' || a[i][0] == 'l'):
			if !near(a[i][1:], b[i][1:]) {
				return a[i] + " is not " + b[i]
			}
		default:
			return fmt.Sprintf("%q is not %q", a[i], b[i])
		}
	}
	return ""
}

// isCAS: does word i of an answer line hold a CAS number?
func isCAS(w []string, i int) bool {
	switch {
	case w[0] == "VALUE":
		return i == 4
	case w[0] == "ME":
		return strings.HasPrefix(w[i], "cas=")
	case i > 0 && (w[0] == "HD" || w[0] == "VA" || w[0] == "NS" || w[0] == "EX" || w[0] == "NF"):
		return len(w[i]) > 1 && w[i][0] == 'c'
	}
	return false
}

func (g *Generator) sameCAS(ours, theirs string) bool {
	a, okA := g.theirs[ours]
	b, okB := g.ours[theirs]
	if okA || okB {
		return a == theirs && b == ours
	}
	g.theirs[ours], g.ours[theirs] = theirs, ours
	g.known = append(g.known, theirs)
	return true
}

// near: equal to a second or two: memcached's clock ticks by itself, and a slow machine may tick between the two.
func near(a, b string) bool {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	return errX == nil && errY == nil && max(x-y, y-x) <= 2
}

// Package differ makes random memcached requests and says how two servers' answers to them differ.
//
// Tests use it to hold what answers as memcached does (leaf/command, and a proxy with leaves) against a memcached: every
// command and every flag, over a few keys, so that requests meet what others left. A Generator makes requests; Differ compares
// answers byte by byte, save CAS numbers, which must map one to one, and remaining and last-access seconds, which may be
// a tick apart. Coverage says what was not seen, so that a test cannot pass by asking nothing. What memcached does otherwise,
// on purpose or in older releases, is a line with its reason in differences.go; malformed requests are in malformed.go. A
// transcript is a memcached's part recorded, for machines that have only an older one.
//
// A Generator belongs to one goroutine.
package differ

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Generator makes requests, and knows which of our CAS numbers is which of theirs.
type Generator struct {
	*rand.Rand
	old          bool
	absolute     string            // an expiry as a Unix time that is far ahead
	ours, theirs map[string]string // a CAS number on one side to that of the other
	known        []string          // theirs, in the order in which they were seen
	nextE        uint64
	made         int // requests
}

// Wild is a CAS number above all that a server made by itself and below all that E gave.
const Wild = "4611686018427387904"

// New makes a Generator. now is the servers' time in Unix seconds; old says that they are older than what we follow, and are
// spared what they are known to get wrong.
func New(seed uint64, now int64, old bool) *Generator {
	return &Generator{
		Rand: rand.New(rand.NewPCG(seed, 1)), old: old, absolute: strconv.FormatInt(now+5000, 10), nextE: 1 << 63,
		ours: map[string]string{"0": "0", Wild: Wild}, theirs: map[string]string{"0": "0", Wild: Wild},
	}
}

// Request is a request in which each CAS number stands in braces, in their terms.
type Request string

var braced = regexp.MustCompile(`\{(\d*)\}`)

// Theirs is the request as they get it.
func (r Request) Theirs() string { return braced.ReplaceAllString(string(r), "$1") }

// Ours is the request as we get it: with our number for each of theirs.
func (g *Generator) Ours(r Request) string {
	return braced.ReplaceAllStringFunc(string(r), func(s string) string {
		n := strings.Trim(s, "{}")
		if o, ok := g.ours[n]; ok {
			return o
		}
		return n
	})
}

// Wire turns the tests' way of writing into bytes: lines are joined by |.
func Wire(s string) string {
	if s == "" {
		return ""
	}
	return strings.ReplaceAll(s, "|", "\r\n") + "\r\n"
}

func (g *Generator) pick(of ...string) string { return of[g.IntN(len(of))] }

// maybe gives s one time in n.
func (g *Generator) maybe(n int, s string) string {
	if g.IntN(n) == 0 {
		return s
	}
	return ""
}

// cas gives a CAS number in their terms: mostly a recent one, sometimes an old or a wild one.
func (g *Generator) cas() string {
	n := len(g.known)
	switch kind := g.IntN(8); {
	case kind == 0 || n == 0:
		return "{0}"
	case kind == 1:
		return "{" + Wild + "}"
	case kind == 2:
		return "{" + g.known[g.IntN(n)] + "}"
	}
	return "{" + g.known[n-1-g.IntN(min(n, 4))] + "}"
}

// big gives a number near the end of the range. 1.6.18 looked for a minus sign in whatever memory follows a stored number
// above 2^63, and at times found one; so it gets neither such numbers nor values with a minus sign.
func (g *Generator) big() string {
	if g.old {
		return "4611686018427387903"
	}
	return "18446744073709551615"
}

// value gives a data block: numbers mostly, since they have the most rules.
func (g *Generator) value() string {
	v := g.pick("5", "9", "99", "1000", g.big(), "18446744073709551616", " 7", "12 x", "abc", "", "-1", "+3", "0005", "8\x00", "9\x00x", "two\r\nlines",
		"END\r\n", strings.Repeat("long", 30))
	if v == "-1" && g.old {
		v = "x1"
	}
	return fmt.Sprintf("%d|%s", len(v), v)
}

// ttl gives an expiry time. All but those that have ended at once leave a margin of many seconds around what a run takes.
func (g *Generator) ttl() string {
	return g.pick("0", "0", "100", "200", "2000", "2592000", "-1", "2592001", g.absolute)
}

// Next gives one request.
func (g *Generator) Next() Request {
	g.made++
	s := g.request()
	if g.IntN(30) == 0 {
		line, rest, more := strings.Cut(s, "|")
		s = strings.Replace(line, " ", "  ", 1+g.IntN(2)) // spaces mean nothing
		if more {
			s += "|" + rest
		}
	}
	return Request(Wire(s))
}

// Batch gives mostly one request, sometimes a few to be sent at once, as clients pipeline them. What a difference of
// pipelining is known of (see differences.go) comes alone.
func (g *Generator) Batch() (out []Request) {
	if g.IntN(8) > 0 {
		return []Request{g.Next()}
	}
	for range 2 + g.IntN(6) {
		if r := g.Next(); !slices.Contains([]string{"incr", "decr", "ma"}, words(string(r))[0]) {
			out = append(out, r)
		}
	}
	return out
}

func (g *Generator) request() string {
	k := g.pick("a", "b", "c", "n")
	noreply := g.maybe(10, " noreply")
	switch g.IntN(22) {
	case 0:
		return g.pick("get ", "gets ") + k + g.maybe(2, " "+g.pick("a", "b", "bin", "x"))
	case 1:
		return g.pick("gat ", "gats ") + g.ttl() + " " + k + g.maybe(3, " b")
	case 2, 3:
		return g.pick("set ", "set ", "add ", "replace ", "append ", "prepend ") + k + " " + g.pick("0", "7", "4294967295") + " " + g.ttl() + " " + splice(g.value(), noreply)
	case 4:
		return "cas " + k + " 3 " + g.ttl() + " " + splice(g.value(), " "+g.cas()+noreply)
	case 5:
		return g.pick("incr ", "decr ") + k + " " + g.pick("0", "1", "9", "1000", g.big()) + noreply
	case 6:
		return "delete " + k + noreply
	case 7:
		return "touch " + k + " " + g.ttl() + noreply
	case 8:
		if g.IntN(4) == 0 {
			return g.whole()
		}
		return g.pick("me "+k, "mn", "mg "+k)
	case 9, 10, 11, 12:
		return "mg " + k + g.flags("k", "v", "v", "s", "f", "c", "h", "l", "t", "u", "q", "C", "N", "R", "T", "E", "O", "P", "L")
	case 13, 14, 15:
		return "ms " + k + " " + splice(g.value(), g.flags("k", "c", "s", "q", "C", "E", "F", "I", "T", "M", "M", "N", "O", "P"))
	case 16:
		return "md " + k + g.flags("k", "q", "C", "E", "I", "T", "x", "O", "F")
	case 17, 18:
		return "ma " + k + g.arithFlags()
	}
	return g.binary()
}

// delayed is how many requests come before the first flush_all without a delay.
const delayed = 3000

// whole gives a command that is about no key.
func (g *Generator) whole() string {
	if g.IntN(3) == 0 {
		return g.pick("version", "verbosity "+g.pick("0", "1")+g.pick("", " noreply"), "stats reset")
	}
	noreply := g.pick("", "", " noreply")
	if g.made < delayed {
		return "flush_all " + g.pick("1000", "86400", g.absolute) + noreply // nothing is gone yet
	}
	return "flush_all" + g.pick("", " 0", " -1") + noreply
}

// splice puts s after the length of a value.
func splice(value, s string) string { return strings.Replace(value, "|", s+"|", 1) }

// binary works on one key that is given in base64 or raw.
func (g *Generator) binary() string {
	switch g.IntN(8) {
	case 0:
		return g.pick("get bin", "me bin", "me Ymlu b")
	case 1, 2:
		return "ms Ymlu " + splice(g.value(), " b"+g.flags("k", "c", "s", "C", "E", "F", "I", "q", "T", "O"))
	case 3:
		return "md Ymlu" + g.flagsWith("b", "k", "q", "C", "E", "I", "T", "O", "x")
	case 4:
		return "ma Ymlu D0" + g.flagsWith("b", "v", "t", "c", "k", "q", "O", "C", "T", "E", "N")
	case 5:
		return "mg bin" + g.flags("k", "v", "c", "q", "s", "h", "t")
	}
	return "mg Ymlu" + g.flagsWith("b", "k", "v", "c", "t", "s", "f", "h", "l", "O", "q", "T", "R", "u", "C", "N")
}

// flagsWith gives some of the flags named, and in a place among them one that must be there.
func (g *Generator) flagsWith(must string, of ...string) string {
	f := strings.Fields(g.flags(of...))
	at := g.IntN(len(f) + 1)
	f = append(f[:at:at], append([]string{must}, f[at:]...)...)
	return " " + strings.Join(f, " ")
}

// flags gives some of the flags named, with tokens.
func (g *Generator) flags(of ...string) string {
	var b strings.Builder
	have := map[string]bool{}
	for range g.IntN(6) {
		f := g.pick(of...)
		if have[f] {
			continue
		}
		have[f] = true
		switch f {
		case "C":
			f += g.cas()
		case "E":
			g.nextE++
			f += strconv.FormatUint(g.nextE, 10)
		case "N", "T":
			f += g.pick("0", "100", "200", "2000", "2592000", "-1", g.absolute)
		case "R":
			f += g.pick("0", "50", "150", "1000", "-1", "2592001", g.absolute)
		case "F":
			f += g.pick("0", "5", "4294967295")
		case "M":
			f += g.pick("E", "A", "P", "R", "S", "E", "A", "P", "R", "S", "SET", "APPEND", "PREPEND", "REPLACE", "EXISTS")
		case "O":
			f += g.pick("", "1", "opaque", "123456789012345678901234567890")
		case "P", "L":
			f += "path/"
		}
		b.WriteString(" " + f)
	}
	return b.String()
}

// arithFlags gives ma's flags. T and E come mostly with a delta of 0, which makes no number longer.
func (g *Generator) arithFlags() string {
	if g.IntN(4) == 0 {
		return " D0" + g.flags("v", "t", "c", "k", "q", "T", "E", "O")
	}
	d := g.maybe(2, " D"+g.pick("1", "9", "1000", g.big()))
	j := g.maybe(3, " J"+g.pick("0", "7", g.big()))
	m := g.maybe(2, " M"+g.pick("I", "D", "+", "-", "INCR", "DECR"))
	return d + j + m + g.flags("v", "t", "c", "k", "q", "C", "N", "N", "O", g.pick("O", "O", "O", "T", "E"))
}

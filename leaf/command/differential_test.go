// Random commands to a memcached and to us, answers compared.
//
// Where we differ on purpose from every memcached (found in the source of 1.6.45), and the random requests keep away:
//
//   - ma with T or E on a number that gets longer: memcached changes the old item, so TTL and CAS of the new one are not
//     what was asked for. Ours are.
//   - mg N, ma N, md x, append and a longer number on a key given in base64: memcached forgets that the key is binary and
//     then prints it raw, line ends and all. We keep the mark.
//   - t for an item that is past its end (mg k T-1 t): memcached prints the difference as an unsigned number, 4294967295
//     and so on. We print 0.
//   - me k b: memcached 1.6.45 takes the key literally unless another token follows. We decode it, as 1.6.18 does.
//   - a too long opaque: memcached notices while it writes the answer, when the command is half done. We do nothing.
//   - l and me's la: memcached moves the access time only now and then. We always do.
//   - get with a key over 250 bytes: memcached 1.6.45 ends its error with two line ends, and the second is an answer too
//     many. We give one.
//   - base64 keys: memcached passes over bytes that are no base64. We refuse them.
//   - TTLs end after whole seconds from now, not at a tick of the server's second.

package command

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// newer lists what memcached 1.6.18 (Debian's) does otherwise than today's; such requests are not sent to an old peer.
var newer = []struct {
	when func(request string) bool
	why  string
}{
	{hasFlag("E", "mg", "ms", "md", "ma"), "no E yet"},
	{hasFlag("C", "mg"), "mg read C but did not leave the value out"},
	{hasFlag("x", "md"), "no x yet"},
	{hasFlag("s", "ms"), "ms did not give s back"},
	{func(r string) bool {
		return hasFlag("N", "ms")(r) && (hasFlag("MA", "ms")(r) || hasFlag("MP", "ms")(r))
	}, "ms with N did not make a missing item in modes A and P"},
	{func(r string) bool { return hasFlag("N", "ma")(r) && hasFlag("q", "ma")(r) }, "ma with q told when it made the item"},
}

func hasFlag(prefix string, commands ...string) func(string) bool {
	return func(r string) bool {
		line, _, _ := strings.Cut(r, "\r\n")
		words := strings.Fields(line)
		for _, c := range commands {
			if words[0] != c {
				continue
			}
			for _, w := range words[2:] {
				if strings.HasPrefix(w, prefix) {
					return true
				}
			}
		}
		return false
	}
}

// malformed are requests that are refused, or that are at the edge of it. old: what 1.6.18 does otherwise; "" when it agrees.
var malformed = []struct{ request, old string }{
	{"mg a k k", ""}, {"mg a X", ""}, {"mg a S1", ""}, {"mg a 5", ""}, {"mg a T", ""}, {"mg a Tx", ""}, {"mg a Nx", ""},
	{"mg a R", ""}, {"mg a Cx", ""}, {"mg a Fx", ""}, {"mg a Jx", ""}, {"mg a Dx", ""}, {"mg a Tx Fx", ""}, {"mg a Tx X", ""},
	{"mg a q k q", ""}, {"mg YWJ b", ""}, {"mg YWJ b X", ""}, {"mg YWJ b Tx", ""},
	{"mg nokey O1234567890123456789012345678901", ""}, {"mg nokey q O12345678901234567890123456789012", ""},
	{"md nokey O12345678901234567890123456789012", ""}, {"ma nokey O12345678901234567890123456789012", ""},
	{"ms a 1 q O12345678901234567890123456789012|x", ""},
	{"mg a E", "no E yet"}, {"mg a !", "'invalid flag'"}, {"ma a !", "'invalid or duplicate flag'"},
	{"mg a T4294967296", "cut to 32 bits"}, {"ms a 1 F4294967296|x", "cut to 32 bits"},
	{"mg a" + strings.Repeat(" k", 18), "one token less was allowed"}, {"mg a" + strings.Repeat(" k", 19), ""}, {"ma a" + strings.Repeat(" k", 19), "other words"},
	{"mg", "'ERROR'"}, {"mg ", "'ERROR'"}, {"ma", "'ERROR'"}, {"md", "'ERROR'"}, {"me", ""}, {"mn x", ""}, {"me nokey", ""},
	{"ms a", ""}, {"ms a x", ""}, {"ms a -1", ""}, {"ms a 1 MX|x", ""}, {"ms a 1 Mq q|x", ""}, {"ms a 1 X|x", ""},
	{"ms a 1 MADD|x", "'incorrect length for M token'"}, {"ms a 1 M|x", "'incorrect length for M token'"},
	{"ma a MX", ""}, {"ma a Mi", ""}, {"ma a k k", ""}, {"ma a Dx", ""}, {"ma a D", ""}, {"ma a MINCR", "refused"}, {"ma a M", "another word"},
	{"get", "'ERROR'"}, {"gets", "'ERROR'"}, {"gat 1", "END"}, {"gat x a", ""}, {"gats x a", ""}, {"touch a", "'ERROR'"}, {"touch a x", ""},
	{"touch a 0 x y", "'ERROR'"}, {"incr a", "'ERROR'"}, {"incr nokey x", ""}, {"incr nokey -1", ""}, {"incr nokey 18446744073709551616", ""},
	{"incr nokey 18446744073709551615", ""}, {"incr nokey +1", "allowed"}, {"decr nokey", "'ERROR'"}, {"delete", "'ERROR'"},
	{"delete nokey", ""}, {"delete nokey 0", ""}, {"delete nokey 5", "a usage line"}, {"delete nokey 0 noreply", ""},
	{"set a 4294967296 0 1|x", ""}, {"get a", ""}, {"set a 4294967299 4294967297 1|x", ""}, {"set a +7 +0 1|x", ""}, {"get a", ""},
	{"set a 0 -1 1|x", ""}, {"get a", ""}, {"set a 0 0 0|", ""}, {"get a", ""},
	{"set a -1 0 1|x", "the value is taken for a command"}, {"set a 0 x 1|x", "the value is taken for a command"},
	{"set a 0 0 -1", ""}, {"set a 0 0 x", ""}, {"set a 0 0", "'ERROR'"}, {"set", "'ERROR'"},
	{"cas a 0 0 1|x", "'ERROR'"}, {"cas a 0 0 1 noreply|x", "'ERROR'"}, {"cas a 0 0 1 x|x", "the value is taken for a command"},
	{"mg " + strings.Repeat("k", 251), ""},
	{"set " + strings.Repeat("k", 251) + " 0 0 1|x", "the value is taken for a command"},
	{"ms " + strings.Repeat("k", 251) + " 1|x", "the value is taken for a command"}, {"ma " + strings.Repeat("k", 251), "other words"},
	{"md " + strings.Repeat("k", 251), ""}, {"delete " + strings.Repeat("k", 251), ""}, {"incr " + strings.Repeat("k", 251) + " 1", ""},
	{"touch " + strings.Repeat("k", 251) + " 1", ""}, {"me " + strings.Repeat("k", 251), ""},
	{"set a 0 0 2000000|" + strings.Repeat("v", 2000000), ""}, {"get a", ""}, {"ms a 2000000 q|" + strings.Repeat("v", 2000000), ""},
	{"set a 0 0 2000000 noreply|" + strings.Repeat("v", 2000000), ""},
	{"verbosity", "'ERROR'"}, {"verbosity 1", ""}, {"verbosity x", ""}, {"verbosity 0 noreply", ""}, {"verbosity 1 2 3", "'ERROR'"},
	{"flush_all x", ""}, {"flush_all noreply", ""}, {"flush_all -1", ""}, {"flush_all 0", ""}, {"flush_all 0 noreply", ""},
	{"cache_memlimit", ""}, {"cache_memlimit 1", ""}, {"cache_memlimit x", ""}, {"cache_memlimit 4000000000", ""},
	{"slabs", ""}, {"lru", ""}, {"lru tune 1 2", ""}, {"lru_crawler foo", ""}, {"extstore", ""},
	{"shutdown", "'ERROR: ...'"}, {"bogus", ""}, {"bogus noreply", "answered"}, {"", "'ERROR'"}, {"m", "'ERROR'"}, {"mq x", ""},
	{"stats foo", ""}, {"stats reset", ""}, {"stats sizes", ""},
}

func TestMalformedAsMemcached(t *testing.T) {
	p := startPeer(t)
	b := newBench(t, Options{})
	for _, c := range malformed {
		if c.old != "" && oldPeer(p) {
			continue
		}
		request := wire(c.request)
		if request == "" {
			request = "\r\n"
		}
		want := p.send(request)
		if got := b.send(request); got != want {
			t.Errorf("%.60q\n got %q\nwant %q", c.request, got, want)
		}
	}
}

func oldPeer(p *peer) bool {
	patch, err := strconv.Atoi(strings.TrimPrefix(p.version, "1.6."))
	if err != nil {
		p.t.Fatalf("cannot read version %q", p.version)
	}
	return patch < 45
}

func TestRandomAsMemcached(t *testing.T) {
	p := startPeer(t)
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("TIDEPOOL_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	steps := 20000
	if s := os.Getenv("TIDEPOOL_STEPS"); s != "" {
		steps, _ = strconv.Atoi(s)
	}
	t.Logf("TIDEPOOL_SEED=%d TIDEPOOL_STEPS=%d", seed, steps)
	s, err := store.Open(store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	e, err := New(Options{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, e: e}
	g := newGenerator(seed)
	g.old = oldPeer(p)
	skipped := map[string]int{}
	var log []string
	for i := range steps {
		ours, theirs := g.next()
		if why := tooNew(p, theirs); why != "" {
			skipped[why]++
			continue
		}
		got, want := b.send(ours), p.send(theirs)
		log = append(log, fmt.Sprintf("%q -> %q", ours, got))
		if d := g.differ(ours, got, want); d != "" {
			log = log[max(0, len(log)-25):]
			t.Fatalf("step %d: %s\nours   %q -> %q\ntheirs %q -> %q\nbefore it:\n%s", i, d, ours, got, theirs, want, strings.Join(log, "\n"))
		}
	}
	for why, n := range skipped {
		t.Logf("not compared with %s: %d requests: %s", p.version, n, why)
	}
}

// tooNew says why request is not for an old peer.
func tooNew(p *peer, request string) string {
	if !oldPeer(p) {
		return ""
	}
	for _, n := range newer {
		if n.when(request) {
			return n.why
		}
	}
	return ""
}

// generator makes requests, and knows which of our CAS numbers is which of theirs.
type generator struct {
	*rand.Rand
	ours, theirs map[string]string // a CAS number on one side to that of the other
	known        [][2]string       // pairs of CAS numbers: ours, theirs
	nextE        uint64
	old          bool // they are older than what we follow
}

func newGenerator(seed uint64) *generator {
	return &generator{
		Rand: rand.New(rand.NewPCG(seed, 1)), ours: map[string]string{"0": "0"}, theirs: map[string]string{"0": "0"}, nextE: 1 << 63,
	}
}

func (g *generator) pick(of ...string) string { return of[g.IntN(len(of))] }

// maybe gives s one time in n.
func (g *generator) maybe(n int, s string) string {
	if g.IntN(n) == 0 {
		return s
	}
	return ""
}

// casPair gives the same CAS number in our and in their terms: mostly a recent one, sometimes an old or a wild one.
func (g *generator) casPair() (ours, theirs string) {
	n := len(g.known)
	switch g.IntN(8) {
	case 0:
		return "0", "0"
	case 1:
		return "4611686018427387904", "4611686018427387904" // above all that a server made, below all that E gave
	case 2:
		if n > 0 {
			p := g.known[g.IntN(n)]
			return p[0], p[1]
		}
	}
	if n == 0 {
		return "0", "0"
	}
	p := g.known[n-1-g.IntN(min(n, 4))]
	return p[0], p[1]
}

// big gives a number near the end of the range. 1.6.18 looked for a minus sign in whatever memory follows a stored number
// above 2^63, and at times found one; so it gets neither such numbers nor values with a minus sign.
func (g *generator) big() string {
	if g.old {
		return "4611686018427387903"
	}
	return "18446744073709551615"
}

// value gives a data block: numbers mostly, since they have the most rules.
func (g *generator) value() string {
	v := g.pick("5", "9", "99", "1000", g.big(), "18446744073709551616", " 7", "12 x", "abc", "", "-1", "+3", "0005",
		strings.Repeat("long", 30))
	if v == "-1" && g.old {
		v = "x1"
	}
	return fmt.Sprintf("%d|%s", len(v), v)
}

// next gives one request, as we and as they are to get it. {c} in the making stands for a CAS number.
func (g *generator) next() (ours, theirs string) {
	s := g.request()
	for strings.Contains(s, "{c}") {
		a, b := g.casPair()
		s = strings.Replace(s, "{c}", "{"+a+"/"+b+"}", 1)
	}
	var o, th strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "{")
		o.WriteString(before)
		th.WriteString(before)
		if !ok {
			return wire(o.String()), wire(th.String())
		}
		pair, after, _ := strings.Cut(rest, "}")
		a, b, _ := strings.Cut(pair, "/")
		o.WriteString(a)
		th.WriteString(b)
		s = after
	}
}

func (g *generator) request() string {
	k := g.pick("a", "b", "c", "n")
	noreply := g.maybe(10, " noreply")
	// TTLs leave a margin of many seconds around what a run takes, but for those that have ended at once.
	ttl := g.pick("0", "0", "100", "200", "2000", "-1", "2592001")
	switch g.IntN(20) {
	case 0:
		return g.pick("get ", "gets ") + k + g.maybe(2, " "+g.pick("a", "b", "bin", "x"))
	case 1:
		return g.pick("gat ", "gats ") + ttl + " " + k + g.maybe(3, " b")
	case 2, 3:
		return g.pick("set ", "set ", "add ", "replace ", "append ", "prepend ") + k + " " + g.pick("0", "7", "4294967295") + " " + ttl + " " + splice(g.value(), noreply)
	case 4:
		return "cas " + k + " 3 " + ttl + " " + splice(g.value(), " {c}"+noreply)
	case 5:
		return g.pick("incr ", "decr ") + k + " " + g.pick("0", "1", "9", "1000", g.big()) + noreply
	case 6:
		return "delete " + k + noreply
	case 7:
		return "touch " + k + " " + ttl + noreply
	case 8:
		if g.IntN(20) == 0 {
			return g.pick("flush_all", "flush_all 0", "flush_all noreply")
		}
		return g.pick("me "+k, "mn", "mg "+k)
	case 9, 10, 11, 12:
		return "mg " + k + g.flags("k", "v", "v", "s", "f", "c", "h", "l", "t", "u", "q", "C", "N", "R", "T", "E", "O", "P")
	case 13, 14, 15:
		return "ms " + k + " " + splice(g.value(), g.flags("k", "c", "s", "q", "C", "E", "F", "I", "T", "M", "N", "O", "P"))
	case 16:
		return "md " + k + g.flags("k", "q", "C", "E", "I", "T", "x", "O", "F")
	case 17, 18:
		return "ma " + k + g.arithFlags()
	}
	return g.binary()
}

// splice puts s after the length of a value.
func splice(value, s string) string { return strings.Replace(value, "|", s+"|", 1) }

// binary works on one key that is given in base64 or raw, with nothing after which memcached would print it wrongly.
func (g *generator) binary() string {
	switch g.IntN(6) {
	case 0:
		return "get bin"
	case 1:
		return "ms Ymlu " + splice(g.value(), " b"+g.flags("k", "c", "C", "T", "F", "q"))
	case 2:
		return "md Ymlu b" + g.flags("k", "q", "O", "I")
	case 3:
		return "mg bin" + g.flags("k", "v", "c", "q")
	case 4:
		return "me bin"
	}
	return "mg Ymlu b" + g.flags("k", "v", "c", "t", "O", "q", "T")
}

// flags gives some of the flags named, with tokens.
func (g *generator) flags(of ...string) string {
	var b strings.Builder
	have := map[string]bool{}
	for range g.IntN(5) {
		f := g.pick(of...)
		if have[f] {
			continue
		}
		have[f] = true
		switch f {
		case "C":
			f += "{c}"
		case "E":
			g.nextE++
			f += strconv.FormatUint(g.nextE, 10)
		case "N", "T":
			f += g.pick("0", "100", "200", "2000")
		case "R":
			f += g.pick("0", "50", "150", "1000", "-1", "2592001")
		case "F":
			f += g.pick("0", "5", "4294967295")
		case "M":
			f += g.pick("E", "A", "P", "R", "S")
		case "O":
			f += g.pick("", "1", "opaque")
		case "P":
			f += "path/"
		}
		b.WriteString(" " + f)
	}
	return b.String()
}

// arithFlags gives ma's flags. T and E come only with a delta of 0, which makes no number longer.
func (g *generator) arithFlags() string {
	if g.IntN(4) == 0 {
		return " D0" + g.flags("v", "t", "c", "k", "q", "T", "E", "O")
	}
	d := g.maybe(2, " D"+g.pick("1", "9", "1000", g.big()))
	j := g.maybe(3, " J"+g.pick("0", "7", g.big()))
	m := g.maybe(2, " M"+g.pick("I", "D", "+", "-"))
	return d + j + m + g.flags("v", "t", "c", "k", "q", "C", "N", "O")
}

// differ says how two answers differ; "" when they do not. CAS numbers must map one to one, times may be a second apart.
func (g *generator) differ(request, got, want string) string {
	a, b := strings.Split(got, "\r\n"), strings.Split(want, "\r\n")
	if len(a) != len(b) {
		return "another number of lines"
	}
	for i := 0; i < len(a); i++ {
		if d := g.differLine(a[i], b[i]); d != "" {
			return d
		}
		size := -1 // of the data block that follows: compared as bytes
		switch w := strings.Fields(a[i]); {
		case len(w) > 1 && w[0] == "VA":
			size, _ = strconv.Atoi(w[1])
		case len(w) > 3 && w[0] == "VALUE":
			size, _ = strconv.Atoi(w[3])
		}
		if i++; size >= 0 && a[i] != b[i] {
			return "another value"
		} else if size < 0 {
			i--
		}
	}
	return ""
}

func (g *generator) differLine(got, want string) string {
	a, b := strings.Split(got, " "), strings.Split(want, " ")
	if len(a) != len(b) {
		return "another line"
	}
	for i := range a {
		if g.old && a[0] == "ME" && b[i] != "exp=-1" {
			b[i] = strings.Replace(b[i], "exp=-", "exp=", 1) // 1.6.18 has the sign wrong
		}
		if a[i] == b[i] && !g.isCAS(a, i) {
			continue
		}
		switch {
		case g.isCAS(a, i):
			if !g.sameCAS(strings.TrimLeft(a[i], "cas="), strings.TrimLeft(b[i], "cas=")) {
				return "CAS " + a[i] + " is not " + b[i]
			}
		case a[0] == "ME" && (strings.HasPrefix(a[i], "size=") || strings.HasPrefix(a[i], "cls=")):
		case a[0] == "ME" && (strings.HasPrefix(a[i], "exp=") || strings.HasPrefix(a[i], "la=")):
			if !near(a[i][strings.IndexByte(a[i], '=')+1:], b[i][strings.IndexByte(b[i], '=')+1:]) {
				return a[i] + " is not " + b[i]
			}
		case i > 0 && len(a[0]) == 2 && len(a[i]) > 1 && a[i][0] == b[i][0] && (a[i][0] == 't' || a[i][0] == 'l'):
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
func (g *generator) isCAS(w []string, i int) bool {
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

func (g *generator) sameCAS(ours, theirs string) bool {
	a, okA := g.ours[ours]
	b, okB := g.theirs[theirs]
	if okA || okB {
		return a == theirs && b == ours
	}
	g.ours[ours], g.theirs[theirs] = theirs, ours
	g.known = append(g.known, [2]string{ours, theirs})
	return true
}

// near: equal to a second or two: memcached's clock ticks by itself, and a slow machine may tick between the two.
func near(a, b string) bool {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	return errX == nil && errY == nil && max(x-y, y-x) <= 2
}

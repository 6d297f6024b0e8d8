package lualib

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/peer"
)

// chunks are what TestDifferSyntax spoils.
var chunks = []string{
	"local x <const>, y <close> = 1, nil; x.y = 2", "for i = 1, 2 do local a = i if a then break end goto c ::c:: end", "a, b.c[1] = b, (f(a))",
	"local f = function(a, ...) return a, ... end", "while x do break; y() end", "x = [==[\n]==] --[[ ]] y = 'a\\x41\\z  b'", "t = {1; [2] = 3, x = 'y', f()}",
	"f\n(g)()", "return function() ::a:: goto a end", "repeat local x = 1 until x == 1", "x = 1 // 2 & 3 | 4 ~ ~5 << 6 >> 7", "function a.b.c:d(x, y) return self end",
	"if a then b() elseif c then d() else e() end return", "for k, v in pairs(t) do print(k, v) end", "local function r() return r() end", "x = not a == - b ^ 2 .. #c",
	"x = 0x1p4 + 1e5 + .5 + 3. + 0xA", "do ::l1:: end ::l1:: ;;; goto l1", "do local a goto e; local b ::e:: end", "x = f{1}'s'[[t]]:m().n", "::a:: do goto a end", "x = a and b or c < d",
	"local x <const> = 1 local function f() x = 2 end", "do goto e local b ::e:: print(b) end", "repeat goto c local z ::c:: until z", "x = (a)(b)\n(c)", "return 1, 2;", "local a <close> = f() return a",
}

var piece = regexp.MustCompile(`\w+|"[^"]*"|'[^']*'|[<>=~]=|//|::|\.\.\.?|<<|>>|\s+|.`)

// spoil makes one to three changes to a chunk: a token gone, doubled, moved, or another one.
func spoil(r *rand.Rand, chunk string) string {
	toks := piece.FindAllString(chunk, -1)
	others := []string{"end", "do", "local", "function", "=", "(", ")", "{", "}", "[", "]", ",", ";", "~", "//", "...", "<const>", "<close>", "goto a", "::a::", "break", "return", "1", "x", "'s'", "not", "-",
		".", ":", "..", "then", "until", "in", "nil", "\n", "@", "\\", "'", "[[", "--", "0x", "1e", "3..2", "\xff", "elseif", "x = 1", "<foo>", "goto"}
	for range 1 + r.IntN(3) {
		i, j := r.IntN(len(toks)), r.IntN(len(toks))
		switch r.IntN(4) {
		case 0:
			toks[i] = ""
		case 1:
			toks[i] += " " + toks[j]
		case 2:
			toks[i], toks[j] = toks[j], toks[i]
		case 3:
			toks[i] = " " + others[r.IntN(len(others))] + " "
		}
	}
	return strings.Join(toks, "")
}

// TestDifferSyntax gives spoilt chunks to load, here and in Lua 5.4: both refuse the same, with the same words, mostly.
func TestDifferSyntax(t *testing.T) {
	lua := peer.Need(t, "lua5.4")
	seed := *differSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (-differ.seed)", seed)
	r := rand.New(rand.NewPCG(seed, 2))
	const n = 3000
	var program strings.Builder
	sources := make([]string, n)
	for i := range n {
		sources[i] = spoil(r, chunks[r.IntN(len(chunks))])
		fmt.Fprintf(&program, "print((string.format('%%q', (select(2, load(%s, '=c')))):gsub('\\n', ' ')))\n", luaString(sources[i]))
	}
	cmd := exec.Command(lua, "-")
	cmd.Stdin = strings.NewReader(program.String())
	theirs, err := cmd.Output()
	if err != nil {
		t.Fatalf("lua5.4: %v", err)
	}
	ours, err := run(t, Options{}, program.String())
	if err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(ours, "\n"), strings.Split(string(theirs), "\n")
	words, accepted := 0, 0
	for i := range n {
		switch {
		case a[i] == b[i]:
		case (a[i] == "nil") != (b[i] == "nil"):
			t.Errorf("%q\nours   %s\ntheirs %s", sources[i], a[i], b[i])
		default:
			words++
			if words <= 10 {
				t.Logf("in other words: %q\nours   %s\ntheirs %s", sources[i], a[i], b[i])
			}
		}
		if b[i] == "nil" {
			accepted++
		}
	}
	t.Logf("%d chunks: %d accepted, %d refused in other words", n, accepted, words)
	if accepted == 0 || accepted > n/2 || words > n/50 {
		t.Error("too many of one kind")
	}
}

func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		fmt.Fprintf(&b, "\\%03d", s[i])
	}
	return b.String() + "\""
}

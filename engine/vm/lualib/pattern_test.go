package lualib

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/tests/peer"
)

// pieces are what random patterns are made of: every construct, and broken ones.
var pieces = []string{
	"a", "b", ".", "%a", "%d", "%s", "%w", "%p", "%x", "%l", "%u", "%c", "%g", "%z", "%A", "%W", "%S", "%.", "%%", "[ab]", "[^ab]", "[a-c]",
	"[%a_]", "[^%s]", "[]]", "[^]]", "[a-]", "[%-a]", "[0-9a-f]", "[", "[^", "[%", "%", "(", ")", "()", "(a)", "(.)", "(a*)", "(.-)", "*", "+", "-", "?",
	"^", "$", "%1", "%2", "%b()", "%bab", "%b", "%f[a]", "%f[%w]", "%f[^a]", "%f", "\x00", "\xff", "[\x80-\xff]", "x", "-", ".-", ".*",
}

var bytesOf = "aaabbbcx01 ()%.-_A\x00\xff\n"

func randomPattern(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(6) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

func randomSubject(r *rand.Rand) string {
	b := make([]byte, r.IntN(12))
	for i := range b {
		b[i] = bytesOf[r.IntN(len(bytesOf))]
	}
	return string(b)
}

// literal writes s as Lua source.
func literal(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		fmt.Fprintf(&b, "\\%03d", s[i])
	}
	return b.String() + `"`
}

// patternDriver prints all that the four functions make of each case.
const patternDriver = `
local function show(...)
  local t = {}
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    t[i] = tostring(v):gsub("[^%w%p ]", function(c) return "\\" .. c:byte() end)
  end
  return table.concat(t, ",")
end
for i, c in ipairs(cases) do
  local s, p, init, repl = c[1], c[2], c[3], c[4]
  local all = {}
  local ok, e = pcall(function() for a, b in s:gmatch(p) do all[#all + 1] = show(a, b) if #all > 50 then break end end end)
  print(i, show(pcall(string.find, s, p, init)), show(pcall(string.match, s, p, init)), show(pcall(string.gsub, s, p, repl)),
    show(pcall(string.gsub, s, p, function(...) return select("#", ...) .. tostring((...)) end, 2)), table.concat(all, ";") .. tostring(ok) .. show(e))
end
`

// TestPatternsAsLua compares random patterns with lua5.4.
func TestPatternsAsLua(t *testing.T) {
	lua54 := peer.Need(t, "lua5.4")
	r := rand.New(rand.NewPCG(1, 2))
	var src strings.Builder
	src.WriteString("local cases = {\n")
	const n = 4000
	for range n {
		repl := []string{"<%0>", "%1", "", "%2%%", "x", "%x"}[r.IntN(6)]
		fmt.Fprintf(&src, "{%s, %s, %d, %s},\n", literal(randomSubject(r)), literal(randomPattern(r)), r.IntN(6)-2, literal(repl))
	}
	src.WriteString("}\n" + patternDriver)
	cmd := exec.Command(lua54, "-")
	cmd.Stdin = strings.NewReader(src.String())
	want, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("lua5.4: %v\n%s", err, want)
	}
	got, err := runNamed(t, Options{}, "stdin", src.String())
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(got, "\n"); lines != n {
		t.Fatalf("%d lines, want %d", lines, n)
	}
	compareLines(t, got, string(want))
}

// FuzzPattern looks for panics, hangs and captures out of place; TestPatternsAsLua says what is right.
func FuzzPattern(f *testing.F) {
	for _, c := range [][2]string{{"/foo/bar", "^/(%a+)/"}, {"key=value", "(%w+)=(%w+)"}, {"f(a(b)c)d", "%b()"}, {"THE (quick) fox", "%f[%a]%a+%f[%A]"},
		{"aaa", "(a*)%1-$"}, {"", "[^]]*"}, {"a\x00b", "()%z()"}, {"aaaaaaaa", ".-.-.-.-b"}, {"x", "[%a-z"}, {"x", "%"}} {
		f.Add(c[0], c[1])
	}
	L, h, _ := newState(f, Options{})
	fn, err := h.Load([]byte(`local s, p = ... local a, b, c = s:find(p) local n = select(2, s:gsub(p, "%0")) for _ in s:gmatch(p) do end return a, b, n`), "fuzz.lua")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s, p string) {
		h.Reset(100_000)
		vals, err := h.Call(L, fn, lua.LString(s), lua.LString(p))
		if err != nil {
			if strings.Contains(err.Error(), "internal error") {
				t.Fatal(err)
			}
			return
		}
		if a, ok := vals[0].(lua.LNumber); ok {
			b := vals[1].(lua.LNumber)
			if a < 1 || b > lua.LNumber(len(s)) || b < a-1 {
				t.Fatalf("found from %v to %v in %d bytes", a, b, len(s))
			}
			if n := vals[2].(lua.LNumber); n < 1 {
				t.Fatalf("find finds it, gsub does not: %v", n)
			}
		}
	})
}

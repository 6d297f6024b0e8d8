// Generated functions of what machines run.

package quick_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var (
	quickSeed     = flag.Uint64("quick.seed", 1, "seed of TestGenerated's functions; 0: the time, to look for what nobody has seen")
	quickPrograms = flag.Int("quick.programs", 300, "how many functions TestGenerated makes")
)

// TestGenerated is TestSame with functions that nobody has thought of, each left at some places.
func TestGenerated(t *testing.T) {
	seed := *quickSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (-quick.seed)", seed)
	x := newState(t)
	ended, failed, left := 0, 0, 0
	for i := range *quickPrograms {
		g := &generator{rand: rand.New(rand.NewPCG(seed, uint64(i)))}
		source := g.program()
		x.Host.Quick.Off = true
		want := x.serve(t, x.load(t, source))
		x.Host.Quick.Off = false
		if want.err == "" {
			ended++
		} else {
			failed++
		}
		for try := range 6 {
			fn := x.load(t, source)
			where := ""
			for range try { // not at first
				list := prototypes(x, "r.lua")
				n := g.rand.IntN(len(list))
				pc := g.rand.IntN(len(list[n].Code))
				x.Host.Quick.LeaveAt(list[n], pc)
				where += fmt.Sprintf(" function %d at %d", n, pc)
			}
			got := x.serve(t, fn)
			if try == 0 && x.left > 0 {
				left++
			}
			if got != want {
				t.Fatalf("program %d, left%s:\n%+v, want\n%+v\n%s", i, where, got, want, source)
			}
		}
	}
	t.Logf("%d functions: %d ended, %d failed, %d were left", *quickPrograms, ended, failed, left)
	if ended < failed || left > *quickPrograms/2 {
		t.Error("the generator tests little")
	}
}

type generator struct {
	rand  *rand.Rand
	out   strings.Builder
	names []string // variables in scope
	depth int
	loops int
}

func (g *generator) pick(list ...string) string { return list[g.rand.IntN(len(list))] }

func (g *generator) line(format string, args ...any) {
	fmt.Fprintf(&g.out, "%s%s\n", strings.Repeat("  ", g.depth), fmt.Sprintf(format, args...))
}

// program is a file with a function route. Numbers, strings and tables are apart, so that few functions fail.
func (g *generator) program() string {
	g.line("local num, str, list, map = 3, 'up', { 1, 2, 3 }, { a = 1, b = 2 }")
	g.line("local function two(x) return x, x + 1 end")
	g.line("local function twice(x) return wait(x) .. wait(x) end")
	g.line("local function count(...) return select('#', ...) end")
	for _, f := range []string{"first", "second"} {
		g.line("local function %s(x, s)", f)
		g.names = []string{"x"}
		g.block(3)
		g.line("  return %s, %s", g.number(2), g.text(2))
		g.line("end")
	}
	g.line("function route(r)")
	g.line("  local x, s = 1, r")
	g.names = []string{"x"}
	g.block(8)
	g.line("  local t = { x, s, num, str, #list, map.a, map.b, map.c }")
	g.line("  local all = ''")
	g.line("  for i = 1, 8 do if t[i] then all = all .. ' ' .. t[i] end end")
	g.line("  return all")
	g.line("end")
	return g.out.String()
}

func (g *generator) block(n int) {
	g.depth++
	had := len(g.names)
	for range 1 + g.rand.IntN(n) {
		g.statement()
	}
	g.names = g.names[:had]
	g.depth--
}

func (g *generator) statement() {
	if g.depth > 3 {
		g.line("x = %s", g.number(1))
		return
	}
	switch g.rand.IntN(14) {
	case 0:
		name := fmt.Sprintf("v%d", len(g.names))
		g.line("local %s = %s", name, g.number(3))
		g.names = append(g.names, name)
	case 1:
		g.line("%s = %s", g.pick(append(g.names, "num")...), g.number(3))
	case 2:
		g.line("%s = %s", g.pick("s", "str"), g.text(3))
	case 3:
		g.line("if %s then", g.condition(2))
		g.block(2)
		if g.rand.IntN(2) == 0 {
			g.line("else")
			g.block(2)
		}
		g.line("end")
	case 4:
		g.line("for i = %d, %d, %s do", g.rand.IntN(4), g.rand.IntN(6), g.pick("1", "2", "-1"))
		g.names = append(g.names, "i")
		g.block(2)
		g.names = g.names[:len(g.names)-1]
		g.line("end")
	case 5:
		g.line("for k, v in %s do", g.pick("ipairs(list)", "pairs(map)", "ipairs({ 4, 5 })"))
		g.names = append(g.names, "v")
		g.block(2)
		if g.rand.IntN(3) == 0 {
			g.line("  break")
		}
		g.names = g.names[:len(g.names)-1]
		g.line("end")
	case 6:
		g.loops++
		g.line("local n%d = 0", g.loops)
		n := g.loops
		g.line("while n%d < %d do", n, g.rand.IntN(4))
		g.line("  n%d = n%d + 1", n, n)
		g.block(2)
		g.line("end")
	case 7:
		g.line("list[%s] = %s", g.pick("1", "2", "#list", "#list + 1", "x % 3 + 1"), g.pick(g.number(2), "5"))
	case 8:
		g.line("map%s = %s", g.pick(".a", ".b", ".c", "['a']"), g.number(2))
	case 9:
		g.line("x, num = %s, %s", g.number(2), g.number(2))
	case 10:
		g.line("x = %s", g.pick("two(x)", "(two(x))", "#{ two(x), two(x) }", "count(two(x), two(x))", "select(2, two(x))"))
	case 11:
		if g.depth == 1 && strings.Contains(g.out.String(), "function route") {
			g.line("%s", g.pick("x, s = first(x, s)", "s = (select(2, second(x)))", "local p, q, z = first(x) x = q and p or 0", "s = s .. second(x)"))
		} else {
			g.line("num = num + 1")
		}
	case 12:
		g.line("s = %s", g.pick("wait(s)", "wait(x) .. s", "twice(x)", "(wait(num))", "s .. wait(x) .. wait(num)"))
	case 13:
		g.line("if #s > 60 then s = s:sub(1, %d) end", 5+g.rand.IntN(9))
	}
}

func (g *generator) number(depth int) string {
	if depth == 0 || g.rand.IntN(3) == 0 {
		return g.pick(append(g.names, "1", "2", "0.5", "300", "num", "#list", "(map.a or 1)")...)
	}
	a, b := g.number(depth-1), g.number(depth-1)
	switch g.rand.IntN(8) {
	case 0:
		return "(" + a + " + " + b + ")"
	case 1:
		return "(" + a + " - " + b + ")"
	case 2:
		return "(" + a + " * 2 % 1000)"
	case 3:
		return "(" + g.condition(depth-1) + " and " + a + " or " + b + ")"
	case 4:
		return "#" + g.pick("str", "list", "'abc'")
	case 5:
		return "(two(" + a + "))"
	case 6:
		return "(- " + a + ")"
	}
	return g.pick("math.max("+a+", "+b+")", "math.floor("+a+")", "(tonumber('7') or 1)", "(list[1] or 1)")
}

func (g *generator) text(depth int) string {
	if depth == 0 || g.rand.IntN(3) == 0 {
		return g.pick("'a'", "'text'", "str", "'' .. num", "type(s)")
	}
	return g.pick(
		g.text(depth-1)+" .. "+g.number(1),
		"("+g.text(depth-1)+"):"+g.pick("upper()", "sub(2)", "rep(2)", "reverse()"),
		"("+g.condition(1)+" and "+g.text(depth-1)+" or "+g.text(depth-1)+")",
	)
}

func (g *generator) condition(depth int) string {
	if depth == 0 {
		return g.pick("x", "num > 2", "map.c", "not map.c", "s == 'a'", "nil", "true")
	}
	return g.pick(
		g.number(depth-1)+" "+g.pick("<", "<=", ">", ">=", "==", "~=")+" "+g.number(depth-1),
		"("+g.condition(depth-1)+" "+g.pick("and", "or")+" "+g.condition(depth-1)+")",
		"not ("+g.condition(depth-1)+")",
		"str "+g.pick("==", "~=")+" "+g.text(0),
	)
}

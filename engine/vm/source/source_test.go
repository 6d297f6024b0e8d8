package source

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

func TestErrors(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"x = = 1", "f.lua:1: unexpected symbol near '='"},
		{"\n\nlocal function f()\n  if x then\n    y()\n  end\n", "f.lua:7: 'end' expected (to close 'function' at line 3) near <eof>"},
		{"if x then", "f.lua:1: 'end' expected near <eof>"},
		{"for i = 1, 2 do\n f(\nend", "f.lua:3: unexpected symbol near 'end'"},
		{"while x do repeat end", "f.lua:1: 'until' expected near 'end'"},
		{"x = 1 end", "f.lua:1: <eof> expected near 'end'"},
		{"t = {1, 2\n\nx = 3", "f.lua:3: '}' expected (to close '{' at line 1) near 'x'"},
		{"x = 'abc\ny = 1", "f.lua:1: unfinished string near ''abc'"},
		{"x = \"abc", "f.lua:1: unfinished string near <eof>"},
		{"\nx = [[abc\n\n", "f.lua:4: unfinished long string (starting at line 2) near <eof>"},
		{"--[[ abc\n", "f.lua:2: unfinished long comment (starting at line 1) near <eof>"},
		{"x = [=abc", "f.lua:1: invalid long string delimiter near '[='"},
		{"x = 3x", "f.lua:1: malformed number near '3x'"},
		{"x = 0x", "f.lua:1: malformed number near '0x'"},
		{"x = 1..2", "f.lua:1: malformed number near '1..2'"},
		{"x = 1e", "f.lua:1: malformed number near '1e'"},
		{`x = "\q"`, `f.lua:1: invalid escape sequence near '"\q'`},
		{`x = "\400"`, `f.lua:1: decimal escape too large near '"\400"'`},
		{`x = "\xg1"`, `f.lua:1: hexadecimal digit expected near '"\xg1'`},
		{`x = "\u{}"`, `f.lua:1: missing '{' or hexadecimal digit in \u{xxxx} near '"\u{}'`},
		{"x = @", "f.lua:1: unexpected symbol near '@'"},
		{"x = \x01", "f.lua:1: unexpected symbol near '<\\1>'"},
		{"x = y // ", "f.lua:1: unexpected symbol near <eof>"},
		{"x = 1 ~ ", "f.lua:1: unexpected symbol near <eof>"},
		{"local x <const> = 1; x = 2", "f.lua:1: attempt to assign to const variable 'x'"},
		{"local x <const> = 1\nfunction f()\n y, x = 2 end", "f.lua:3: attempt to assign to const variable 'x'"},
		{"local x <close> = nil\nx = 2", "f.lua:2: attempt to assign to const variable 'x'"},
		{"local x <const> = 1; function x() end", "f.lua:1: attempt to assign to const variable 'x'"},
		{"local a <close>, b <close> = 1", "f.lua:1: multiple to-be-closed variables in local list"},
		{"::a::\ndo ::a:: end", "f.lua:2: label 'a' already defined on line 1"},
		{"do local x <close> = nil goto a end", "f.lua:1: no visible label 'a' for <goto> at line 1"},
		{"local x <close> = nil; break", "f.lua:1: break outside loop at line 1"},
		{"x = a.1", "f.lua:1: unexpected symbol near '.1'"},
		{"x = a:b", "f.lua:1: function arguments expected near <eof>"},
		{"for x do end", "f.lua:1: '=' or 'in' expected near 'do'"},
		{"(a) = 1", "f.lua:1: syntax error near '='"},
		{"a, f() = 1", "f.lua:1: syntax error near '='"},
		{"local function f(a, ) end", "f.lua:1: <name> or '...' expected near ')'"},
		{"return _ENV.x", "f.lua:1: '_ENV' is not supported: use _G, or load with an environment"},
		{"local _ENV = {}", "f.lua:1: '_ENV' is not supported: use _G, or load with an environment"},
		{"function f(_ENV) end", "f.lua:1: '_ENV' is not supported: use _G, or load with an environment"},
		{"x = }\ny = 'abc", "f.lua:1: unexpected symbol near '}'"},
		{"local x <const", "f.lua:1: '>' expected near <eof>"},
		{"local x <other> = 1", "f.lua:1: unknown attribute 'other'"},
		{"\ngoto nowhere", "f.lua:2: no visible label 'nowhere' for <goto> at line 2"},
		{"do goto inner end do ::inner:: end", "f.lua:1: no visible label 'inner' for <goto> at line 1"},
		{"break", "f.lua:1: break outside loop at line 1"},
		{"function f() x = ... end", "f.lua:1: cannot use '...' outside a vararg function near '...'"},
		{"return 1 return 2", "f.lua:1: <eof> expected near 'return'"},
		{"f() = 1", "f.lua:1: syntax error near '='"},
		{"x", "f.lua:1: syntax error near <eof>"},
		{strings.Repeat("(", 300), "f.lua:1: chunk has too many syntax levels"},
		{"x = a" + strings.Repeat("+a", 2_000_000), "f.lua:1: chunk has too many syntax levels"},
		{"return " + strings.Repeat("not ", 20_000) + "a", "f.lua:1: chunk has too many syntax levels"},
		{"return f" + strings.Repeat("()", 20_000), "f.lua:1: chunk has too many syntax levels"},
		{"return a" + strings.Repeat(" .. a", 20_000), "f.lua:1: chunk has too many syntax levels"},
		{"if a then " + strings.Repeat("elseif a then ", 20_000) + "end", "f.lua:1: chunk has too many syntax levels"},
		{"x = {" + strings.Repeat("1,", maxItems+1) + "}", "f.lua:1: too many items in a table constructor (limit is 25550)"},
	} {
		_, err := Compile([]byte(c.src), "f.lua")
		if err == nil {
			t.Errorf("%q compiles", c.src)
			continue
		}
		var e *Error
		if err.Error() != c.want || !errors.As(err, &e) {
			t.Errorf("%.60q\n  got  %v\n  want %s", c.src, err, c.want)
		}
	}
}

func TestCompiles(t *testing.T) {
	for _, src := range []string{
		"", "\n", "#!/usr/bin/lua\nreturn 1", "return", "return;", ";;;", "local x <const> = 1", "local x <const>, y <const> = 1, 2",
		"local r <close> = mcp.internal(x)", "local a <const>", "local f = function() return f end", "while true do break end",
		"while true do break; end", "while true do break x() end", "goto a ::a::", "do ::a:: end ::a::", "f\n'x' f{}\n(g)()", "x = a.b.c:d(e)[f].g",
		"return function(...) local a, b = ... return a, (...) end", "for a, b, c, d, e in f do end", "for i = 1, 2, 3 do local i = i end",
		"x = -2 ^ 2", "x = t._ENV", "x = not not nil", "t = {f(), g(); h = 1, [2] = 3, ...}", "repeat local x = 1 until x", "a.b['c'], d = 1", "--", "--[[]]", "--[==[\n]==]",
		"x = 0x.8p1 + 0xA.p-1 + 1e+5 + .5 + 5.", "x = 'a\\\nb\\z  \n  c'", "x = [[\n]]", "local function f() return f() end",
	} {
		if _, err := Compile([]byte(src), "f.lua"); err != nil {
			t.Errorf("%q: %v", src, err)
		}
	}
}

// TestLimits: what gopher-lua's compiler cannot hold is an error, and the hidden names leave room for what is allowed.
func TestLimits(t *testing.T) {
	names := func(n int, format string) string {
		var s []string
		for i := range n {
			s = append(s, fmt.Sprintf(format, i))
		}
		return strings.Join(s, " ")
	}
	upvalues := func(n int) string {
		return names(150, "local a%d") + " function f() " + names(n-150, "local b%d") + " return function() return {" +
			names(150, "a%d,") + names(n-150, "b%d,") + "} end end"
	}
	for _, c := range []struct {
		name, src, want string
	}{
		{"190 locals", names(190, "local a%d = 1"), ""},
		{"250 locals", names(250, "local a%d = 1"), "too many local variables"},
		{"190 locals and a loop", names(185, "local a%d = 1") + " for k in f do x = k end", ""},
		{"250 upvalues", upvalues(250), ""},
		{"300 upvalues", upvalues(300), "too many upvalues (limit is 255)"},
		{"nested blocks", strings.Repeat("do ", 150) + strings.Repeat("end ", 150), ""},
		{"elseif chain", "if x then " + strings.Repeat("elseif y then ", 1000) + " end", ""},
		{"many functions", strings.Repeat("function f() end ", 2000), ""},
	} {
		_, err := Compile([]byte(c.src), "f.lua")
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

// TestLines: whatever comes before, a function is defined where it is written.
func TestLines(t *testing.T) {
	for _, before := range []string{
		"", "\n\n", "#!shebang\n", "-- comment\n", "--[[ a\nb\n]]", "local x <const> = 1\n", "x = 'a\\\nb'", "x = 'a\\z \n\n b'", "x = [[\n\n]]\n", "x = 'a\\x41\\u{48}'\n",
		"f()\n(g)()\n", "while x do break; y() end\n", "local f = function()\nend\n", "a, b = b, a\n", "x = 0x10 +\n 1e400\n", "\r\n\r\n", "\r", "for x in\n f do\n end\n",
		"x = a ..\n b\n .. c\n", "do\n goto l\n end\n ::l::", "t = {\n1,\n2}\n",
	} {
		want := 1 + strings.Count(strings.ReplaceAll(strings.ReplaceAll(before, "\r\n", "\n"), "\r", "\n"), "\n")
		proto, err := Compile([]byte(before+" function last()\n\n return 1 end"), "f.lua")
		if err != nil {
			t.Errorf("%q: %v", before, err)
			continue
		}
		last := proto.FunctionPrototypes[len(proto.FunctionPrototypes)-1]
		if last.LineDefined != want || last.LastLineDefined != want+2 {
			t.Errorf("%q: defined in lines %d to %d, want %d to %d", before, last.LineDefined, last.LastLineDefined, want, want+2)
		}
		if proto.LineDefined != 0 {
			t.Errorf("%q: the chunk is defined in line %d, want 0", before, proto.LineDefined)
		}
	}
}

func TestNumbers(t *testing.T) {
	for s, want := range map[string]float64{
		"0": 0, "007": 7, "10": 10, "1e2": 100, "1.5": 1.5, ".5": .5, "5.": 5, "0x10": 16, "0xA.8": 10.5, "0x.8p1": 1, "0x1p-2": .25,
		"0xffffffffffffffff": -1, "0x7fffffffffffffff": 1<<63 - 1, "9007199254740993": 9007199254740992, "3e-2": .03, "0x0": 0,
	} {
		got, ok := ParseNumber(s)
		if !ok || got != want {
			t.Errorf("%s: got %v %v, want %v", s, got, ok, want)
		}
	}
	for _, s := range []string{"", "x", "inf", "nan", "1_0", "0x", "0x_1", "1e", "e1", ".", "1..2", "0xp1", "0b1", "0o7", "1f"} {
		if v, ok := ParseNumber(s); ok {
			t.Errorf("%q is %v", s, v)
		}
	}
}

// TestUpvalues: a chunk gets its helpers only through upvalues with names that no script can write.
func TestUpvalues(t *testing.T) {
	proto, err := Compile([]byte("return x .. y"), "f.lua")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(proto.DbgUpvalues); got != "[(count) (tick) (concat)]" {
		t.Errorf("upvalues %s", got)
	}
	for _, c := range proto.Constants {
		if s, ok := c.(lua.LString); ok && strings.ContainsAny(string(s), "()") {
			t.Errorf("the chunk names %q as a global", s)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, src := range []string{"local x <const> = 'a\\u{41}' .. 0x1p4", "for a in f do if a then break end goto c ::c:: end", "a, b = b, (f(a))",
		"local f = function(...) return ... end", "while x do break; y() end", "x = [==[\n]==] --[[ ]]", "t = {1; [2] = 3, x = 'y'}", "f\n(g)()",
		"return function() ::a:: goto a end", "repeat local x until x", "#!x\n", "x = '\\z\n'"} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		_, err := Compile([]byte(src), "fuzz")
		var e *Error
		if err != nil && (!errors.As(err, &e) || strings.Contains(err.Error(), "cannot compile")) {
			t.Fatalf("%q: %v", src, err)
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	src := []byte(strings.Repeat("local function f(a, b) if a > b then return a .. b else for k, v in pairs(a) do b[k] = v end end end\n", 100))
	b.SetBytes(int64(len(src)))
	for range b.N {
		if _, err := Compile(src, "bench"); err != nil {
			b.Fatal(err)
		}
	}
}

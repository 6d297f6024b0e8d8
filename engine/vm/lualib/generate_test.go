package lualib

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// header is how programs of TestDiffer print: each line its own number, whether there was an error, and values that do not show
// whether a number is an integer.
const header = `local function text(v)
  if type(v) == "string" then return string.format("%q", v) end
  if type(v) == "table" or type(v) == "function" then return type(v) end
  if type(v) ~= "number" then return tostring(v) end
  if v ~= v then return "nan" end
  if v >= 2^63 or v <= -2^63 then return string.format("%.14g", v) end
  if v == math.floor(v) then return string.format("%d", v) end
  return string.format("%.14g", v)
end
local function show(line, ok, ...)
  local out = {}
  for i = 1, select("#", ...) do out[i] = text((select(i, ...))) end
  print(line, ok, table.concat(out, " "))
end
local function event(e) return function(a, b) return e .. (type(a) == "table" and "<" or ">") end end
local mt = {__index = function(_, k) return k end, __call = function(_, ...) return select("#", ...) end, __len = function() return 5 end,
  __lt = function() return true end, __le = function() return false end, __concat = event("cat")}
for _, e in ipairs{"add", "sub", "mul", "div", "mod", "pow", "unm", "idiv", "band", "bor", "bxor", "shl", "shr", "bnot"} do mt["__" .. e] = event(e) end
local t, u = setmetatable({}, mt), {10, 20, 30, x = 4}
local a, b, c, s, n, yes = 7, -3, 1023, "abc", nil, true
local function two() return 5, 6 end
local function id(...) return ... end
`

// The kinds of expressions. Integral floats print otherwise than integers, so where there are floats there is no text.
const (
	ints   = false
	floats = true
)

type generator struct {
	rand *rand.Rand
	kind bool
	out  strings.Builder
	next int
}

func (g *generator) pick(list ...string) string { return list[g.rand.IntN(len(list))] }

func (g *generator) expressions(kind bool) string {
	g.kind = kind
	var b strings.Builder
	b.WriteString(header)
	line := strings.Count(header, "\n") + 1
	for range 400 {
		e := g.expr(1 + g.rand.IntN(4))
		if g.rand.IntN(4) == 0 {
			e = g.library()
		}
		fmt.Fprintf(&b, "show(%d, pcall(function(...) return %s end, 1, 2))\n", line, e)
		line++
	}
	return b.String()
}

var integerLeaves = []string{"0", "1", "2", "3", "-1", "5", "8", "63", "64", "-64", "255", "0xff", "0x7fffffff", "4294967295", "-2147483648", "0xffffffffffffffff"}

func (g *generator) leaf() string {
	switch r := g.rand.IntN(20); {
	case r < 8:
		return g.pick(integerLeaves...)
	case r < 13:
		return g.pick("a", "b", "c", "u[1]", "u.x", "#u", "id(a)", "two()", "(two())", "select('#', ...)", "(...)")
	case r == 13:
		return g.pick("n", "yes", "t", "u", "nil", "false", "s", "{}")
	case r == 14:
		return g.pick("t", "t.k", "#t", "t(1, two())")
	case g.kind == floats:
		return g.pick("0.5", "2.25", "-1.5", "1e3", "0x.8p1", "3.0", "1e300", "math.huge", "-math.huge", "'0x10'", "'1e1'", "' 2 '")
	case r < 17:
		return g.pick("'10'", "' 7 '", "'0x1F'", "'abc'", "''", "'010'", "'-3'", "'\\x31\\z   2'", "[[5]]", "'1_0'", "'inf'")
	}
	return g.pick("a", "b", "c", "s", "#s", "#'xyz'")
}

func (g *generator) expr(depth int) string {
	if depth == 0 {
		return g.leaf()
	}
	sub := func() string { return g.expr(depth - 1 - g.rand.IntN(2)*g.rand.IntN(depth)) }
	switch r := g.rand.IntN(20); {
	case r < 10:
		ops := []string{"+", "-", "*", "//", "%", "&", "|", "~", "<<", ">>", "//", "&", "|", "~", "<<", ">>"}
		if g.kind == floats {
			ops = append(ops, "/", "/")
		} else {
			ops = append(ops, "..")
		}
		return sub() + " " + g.pick(ops...) + " " + sub()
	case r < 12:
		return g.pick("- ", "~", "not ", "- ", "#") + sub()
	case r < 14:
		return sub() + " " + g.pick("and", "or") + " " + sub()
	case r < 16:
		return g.comparable() + " " + g.pick("==", "~=", "<", "<=", ">", ">=") + " " + g.comparable()
	case r < 18:
		return "(" + sub() + ")"
	case r == 18 && g.kind == floats:
		return g.leaf() + " ^ 2" // other powers differ from C's by a bit
	}
	return "id(" + sub() + ", " + sub() + ")"
}

// comparable is what stays below 2^53: where rounding shows in a comparison, nothing tells so.
func (g *generator) comparable() string {
	if g.rand.IntN(2) == 0 {
		return g.leaf()
	}
	return g.leaf() + " " + g.pick("+", "-", "//", "%", "&", "|", "~", ">>") + " " + g.leaf()
}

// library is a call of the standard library with arguments that fit, mostly.
func (g *generator) library() string {
	e := func() string { return g.expr(g.rand.IntN(2)) }
	i := func() string { return g.pick("0", "1", "2", "3", "-1", "-2", "5", "10", "a", "b") }
	str := func() string {
		return g.pick("'hello world'", "s", "''", "'a,b,,c'", "'\\0\\1\\xff'", "'  x1  '", "'caf\\u{e9}'", "'key:123:abc'", "('ab'):rep(3)")
	}
	pattern := func() string {
		return g.pick("'l+'", "'(%a)(%d?)'", "'^%s*(.-)%s*$'", "'%f[%w]%w+'", "'()'", "'[^,]*'", "'%b()'", "'.'", "'$'", "'%w+$'", "'[%a_][%w_]*'", "'[%'", "'(a'", "'%g+'", "'x*'")
	}
	list := "table.concat({" + e() + ", " + i() + ", 'x'}, ',')"
	if g.kind == floats {
		return g.pick("math.floor("+e()+")", "math.ceil("+e()+")", "math.max("+e()+", "+e()+")", "math.min("+e()+", "+i()+")", "math.abs("+e()+")", "math.fmod("+e()+", "+i()+")",
			"math.modf("+e()+")", "math.tointeger("+e()+") ~= nil", "math.ult("+i()+", "+i()+")", "tonumber("+e()+")", "string.format('%.3f|%5.1f|%g|%e', "+e()+", 2.5, "+e()+", 1e10)",
			"string.format('%d', "+e()+")", "string.format('%a', 0.5)", "string.format('%x', "+i()+")", "tonumber('0x1p4') == 16", "math.sqrt(16) == 4", "2^53 == 2^53 + 1")
	}
	return g.pick(list, "string.rep("+str()+", "+i()+", ',')", "("+str()+"):sub("+i()+", "+i()+")", "("+str()+"):byte("+i()+", "+i()+")", "("+str()+"):find("+pattern()+", "+i()+")",
		"("+str()+"):find("+pattern()+", 1, true)", "("+str()+"):match("+pattern()+")", "("+str()+"):gsub("+pattern()+", "+g.pick("'<%0>'", "'%1%1'", "string.upper", "{l = 'L', a = false}", "'%'", "''")+")",
		"tostring("+e()+")", "tonumber("+str()+")", "tonumber("+g.pick("'ff'", "'zz'", "'77'", "'-1a'")+", "+g.pick("8", "10", "16", "36", "40")+")", "select("+i()+", 1, 2, 3)",
		"string.format('%5d|%-5d|%05d|%x|%s', "+i()+", "+i()+", "+i()+", "+i()+", "+str()+")", "string.format('%q', "+str()+")", "string.format('%10.2s|', "+str()+")", "string.char("+i()+", 65)",
		"table.unpack({1, 2, nil, 4}, "+i()+", "+i()+")", "select('#', table.unpack({1, nil, 3}, 1, "+i()+"))", "table.pack("+e()+", "+e()+").n", "rawlen({1, 2})", "#table.move({1, 2, 3}, 1, 3, "+g.pick("1", "2", "3")+")",
		"table.concat({1, 2, 3}, '-', "+i()+", "+i()+")", "utf8.char("+g.pick("65", "0x20AC", "0x10FFFF", "0x7FFFFFFF", "-1")+")", "utf8.len("+str()+")", "utf8.codepoint("+str()+", 1, -1)",
		"utf8.offset("+str()+", "+i()+")", "string.unpack('<i2', string.pack('<i2', "+i()+"))", "string.unpack('z', "+str()+" .. '\\0')", "string.pack('>I3', "+i()+")", "math.tointeger("+i()+")", "math.type("+i()+")",
		"load('return ' .. "+i()+" .. ' // 2 | 1')()", "pcall(error, "+e()+")", "next({})", "type("+e()+")", "rawequal("+e()+", "+e()+")", "string.len("+str()+")", "("+str()+"):upper():lower():reverse()",
		"select(2, load('x = ', '=c'))", "select(2, load("+g.pick("'caf\\u{e9}'", "'x y'", "'local x <const> = 1 x = 2'", "'x = 1 .. '", "'goto a'", "'for'", "'return 1 ~'", "'x = \\'a'", "'break'", "'x = 08x'", "'::a:: ::a::'")+", '=c'))", "("+str()+"):gmatch("+pattern()+")()", "table.remove({1, 2, 3}, "+i()+")", "os.time{year=2020,month=1,day=1,hour=0} > 0")
}

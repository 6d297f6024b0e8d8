package lualib

import (
	"fmt"
	"strings"
)

// statements is a program of loops, jumps, closures and variables to be closed. Everything it does is bounded, and it prints as it goes.
func (g *generator) statements() string {
	g.kind = ints
	g.out.Reset()
	g.out.WriteString(header)
	g.out.WriteString("local closed = {__close = function(v, e) print('close', v.n, e) end}\nlocal function closing(n) return setmetatable({n = n}, closed) end\n")
	g.out.WriteString("local function upto(n) local i = 0 return function() i = i + 1 if i <= n then return i, i * 10 end end end\nlocal fs = {}\n")
	for range 30 {
		g.next++
		line := strings.Count(g.out.String(), "\n") + 1
		fmt.Fprintf(&g.out, "show(%d, pcall(function(...) local x, y, z = 1, 2, 3 fs = {} ", line)
		g.block(4, "", &[]string{"x", "y", "z"})
		g.out.WriteString(" for i, f in ipairs(fs) do print('f', i, pcall(f)) end return x, y, z end, 8, 9))\n")
	}
	return g.out.String()
}

func (g *generator) name(vars *[]string) string { return (*vars)[g.rand.IntN(len(*vars))] }

// small is an expression whose value stays small.
func (g *generator) small(vars *[]string) string {
	v := func() string { return g.pick(g.name(vars), g.name(vars), "1", "2", "5", "(...)") }
	switch g.rand.IntN(9) {
	case 0:
		return v()
	case 1:
		return "(" + v() + " + " + v() + ") % 17"
	case 2:
		return v() + " // 2"
	case 3:
		return "(" + v() + " ~ " + v() + ") & 31"
	case 4:
		return v() + " > " + v() + " and " + v() + " or " + v()
	case 5:
		return "(id(" + v() + ", " + v() + "))"
	case 6:
		return "#{" + v() + ", id(" + v() + ", " + v() + ")}"
	case 7:
		return "(" + v() + " << 2 | " + v() + ") & 63"
	}
	return "(-" + v() + ") % 9"
}

// block writes statements. jump is what leaves the innermost loop's turn: "" outside of loops.
func (g *generator) block(depth int, jump string, vars *[]string) {
	had := len(*vars)
	w := func(format string, args ...any) { fmt.Fprintf(&g.out, format+" ", args...) }
	for range 1 + g.rand.IntN(4) {
		switch r := g.rand.IntN(16); {
		case r < 3:
			w("%s = %s", g.name(vars), g.small(vars))
		case r == 3:
			x, y := g.name(vars), g.name(vars)
			w("%s, %s = %s, %s", x, y, g.small(vars), g.small(vars))
		case r < 6:
			g.next++
			v := fmt.Sprintf("v%d", g.next)
			w("local %s = %s", v, g.small(vars))
			*vars = append(*vars, v)
		case r == 6:
			w("fs[#fs + 1] = function() %s = %s + 1 return %s end", g.name(vars), g.name(vars), g.name(vars))
		case r == 7:
			w("print(%s, %s)", g.small(vars), g.small(vars))
		case r == 8:
			g.next++
			w("local k%d <close> = closing(%d)", g.next, g.next)
		case r == 9 && jump != "":
			w("if %s > %s then %s end", g.name(vars), g.name(vars), g.pick("break", jump))
		case r == 10 && g.rand.IntN(3) == 0:
			w("if %s == 3 then return %s end", g.name(vars), g.pick("", "1", "nil, 2, nil", "id(...)", g.name(vars)))
		case depth > 0:
			g.compound(depth-1, jump, vars)
		}
	}
	*vars = (*vars)[:had]
}

func (g *generator) compound(depth int, jump string, vars *[]string) {
	w := func(format string, args ...any) { fmt.Fprintf(&g.out, format+" ", args...) }
	g.next++
	n := g.next
	label := fmt.Sprintf("c%d", n)
	loop := func(also ...string) {
		inner := append(append([]string{}, *vars...), also...)
		g.block(depth, "goto "+label, &inner)
	}
	switch g.rand.IntN(8) {
	case 0:
		w("do")
		g.block(depth, jump, vars)
		w("end")
	case 1:
		w("if %s > %s then", g.name(vars), g.name(vars))
		g.block(depth, jump, vars)
		w("else")
		g.block(depth, jump, vars)
		w("end")
	case 2:
		w("for i%d = 1, %d do", n, 1+g.rand.IntN(3))
		loop(fmt.Sprintf("i%d", n))
		w("::%s:: end", label)
	case 3:
		w("for i%d, j%d in upto(%d) do", n, n, g.rand.IntN(4))
		loop(fmt.Sprintf("i%d", n), fmt.Sprintf("j%d", n))
		w("::%s:: end", label)
	case 4:
		w("for i%d, j%d in ipairs{4, 5} do", n, n)
		loop(fmt.Sprintf("j%d", n))
		w("::%s:: end", label)
	case 5:
		w("local w%d = 0 while w%d < 3 do w%d = w%d + 1", n, n, n, n)
		loop()
		w("::%s:: end", label)
	case 6:
		w("local w%d = 0 repeat w%d = w%d + 1 do", n, n, n)
		loop()
		w("::%s:: end local done = w%d >= 2 until done", label, n)
	case 7:
		w("local function g%d(...)", n)
		inner := append([]string{}, *vars...)
		g.block(depth, "", &inner)
		w("return ... end print('g', g%d(%s))", n, g.small(vars))
	}
}

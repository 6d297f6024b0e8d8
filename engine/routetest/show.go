// How values are shown, and how two of them differ.

package routetest

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// show is a value on one line, as Lua would write it.
func show(v lua.LValue) string {
	return shown(v, 0)
}

func shown(v lua.LValue, depth int) string {
	switch v := v.(type) {
	case lua.LString:
		return quote(string(v))
	case lua.LNumber:
		return strconv.FormatFloat(float64(v), 'g', 14, 64)
	case *lua.LTable:
		if depth > maxDepth {
			return "{...}"
		}
		parts := fields(v, depth)
		if len(parts) == 0 {
			return "{}"
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	case *lua.LUserData:
		switch v.Value.(type) {
		case *Failure:
			return quote(v.Value.(*Failure).Error())
		case *host:
			return "a backend"
		}
	case *lua.LNilType, lua.LBool:
		return v.String()
	}
	return "a " + v.Type().String()
}

// quote writes s so that every byte of it can be seen: \r\n for a line's end.
func quote(s string) string {
	q := strconv.QuoteToASCII(s)
	if !isASCII(s) {
		q = strconv.Quote(s)
	}
	return q
}

func isASCII(s string) bool {
	for _, c := range []byte(s) {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// fields are a table's parts, the list first and then names in order.
func fields(t *lua.LTable, depth int) []string {
	var parts, named []string
	n := 0
	for v := t.RawGetInt(1); v != lua.LNil; v = t.RawGetInt(n + 1) { // Len counts holes
		n++
		parts = append(parts, shown(v, depth+1))
	}
	t.ForEach(func(k, v lua.LValue) {
		if i, ok := k.(lua.LNumber); ok && i >= 1 && int(i) <= n && lua.LNumber(int(i)) == i {
			return
		}
		name := "[" + shown(k, depth+1) + "]"
		if s, ok := k.(lua.LString); ok && isName(string(s)) {
			name = string(s)
		}
		named = append(named, name+" = "+shown(v, depth+1))
	})
	sort.Strings(named)
	return append(parts, named...)
}

// lines is a value on several lines: a text line by line, a table part by part.
func lines(v lua.LValue) []string {
	var out []string
	switch v := v.(type) {
	case lua.LString:
		for part := range strings.SplitAfterSeq(string(v), "\n") {
			if part != "" {
				out = append(out, quote(part))
			}
		}
	case *lua.LTable:
		out = fields(v, 0)
	}
	if len(out) == 0 {
		out = []string{show(v)}
	}
	return out
}

func indent(lines []string, by string) string {
	return by + strings.Join(lines, "\n"+by)
}

// differ tells how got differs from want: on one line if both are short, else line by line.
func differ(got, want lua.LValue) string {
	a, b := lines(want), lines(got)
	if got.Type() != want.Type() || len(a) <= 1 && len(b) <= 1 {
		if w, g := show(want), show(got); len(w)+len(g) < 100 {
			return fmt.Sprintf("want %s, got %s", w, g)
		}
	}
	return "want (-), got (+):\n" + strings.Join(diff(a, b), "\n")
}

// maxDiff is from how many lines on a difference is told as all of the one and all of the other.
const maxDiff = 2000

// diff gives the lines of both in order: "  - " before those that are in a alone, "  + " before those in b alone.
func diff(a, b []string) []string {
	var out []string
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	add := func(mark string, lines []string) {
		for _, line := range lines {
			out = append(out, "  "+mark+" "+line)
		}
	}
	add(" ", a[:head])
	x, y := a[head:len(a)-tail], b[head:len(b)-tail]
	if len(x) > maxDiff || len(y) > maxDiff {
		add("-", x)
		add("+", y)
	} else {
		common(x, y, add)
	}
	add(" ", a[len(a)-tail:])
	return out
}

// common tells x and y by their longest common subsequence.
func common(x, y []string, add func(mark string, lines []string)) {
	length := make([][]int, len(x)+1) // of what x[i:] and y[j:] have in common
	for i := range length {
		length[i] = make([]int, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(x) && j < len(y) {
		switch {
		case x[i] == y[j]:
			add(" ", x[i:i+1])
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			add("-", x[i:i+1])
			i++
		default:
			add("+", y[j:j+1])
			j++
		}
	}
	add("-", x[i:])
	add("+", y[j:])
}

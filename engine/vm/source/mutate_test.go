package source

import (
	"fmt"
	"strings"
	"testing"
)

var mutation = Mutation{
	Names: map[string]string{"ANY": "ALL"}, Calls: []string{"error", "require"}, Fields: []string{"doc", "name"}, Mark: "doc",
}

func TestMutants(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"return", ""},
		{"return a < b", "< -> <="},
		{"return a == 'all of it'", `== -> ~=, "all of it" -> ""`},
		{"return a + 1, 0, 7, 0.5", "+ -> -, 1 -> 2, 0 -> 1, 7 -> 15, 0.5 -> 1.5"},
		{"return not a and b or -c", "or -> and, and -> or, drop not, drop -"},
		{"return a // 2 & b", "drop the right of an operator of integers, drop the right of an operator of integers, 2 -> 3"},
		{"return true, false, nil, ''", `true -> false, false -> true, "" -> "x"`},
		{"return 'x', 'some words', 'SERVER_ERROR some words'", `"x" -> "", "SERVER_ERROR some words" -> ""`},
		{"if a then b() elseif c then d() end return", "condition -> true, condition -> false, drop the call, condition -> true, condition -> false, drop the call"},
		{"while a do break end return", "drop the loop, condition -> false, drop break"},
		{"repeat a() until b return", "drop the loop, condition -> true, drop the call"},
		{"for i = 1, n do end for k in f() do end return", "drop the loop, 1 -> 2, drop the loop"},
		{"local a, b = f() local c local function d() end local e = function() end return", "drop the value of a, b"},
		{"a.b = c a.f = function() return end return", "drop the assignment, drop return"},
		{"local x = require 'x' error('x' .. 1) return", "drop the call"},
		{"do local x <close> = f(1) g() end return", "1 -> 2, drop the call"},
		{"return { a = 1, ['b'] = 2, [3] = 'c', doc = 'd' }", `1 -> 2, 2 -> 3, 3 -> 7, "c" -> ""`},
		{"return { 'a', 1, doc = 'd', check = function() return 4 end }", "drop return, 4 -> 9"},
		{"return M.ANY, t[1], t.other", "ANY -> ALL, 1 -> 2"},
		{"return a:m(1) .. f{ 2 }", "1 -> 2, 2 -> 3"},
	} {
		found, err := mutation.Mutants([]byte(c.src), "f.lua")
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		var all []string
		for _, m := range found {
			all = append(all, m.Change)
		}
		if got, want := strings.Join(all, ", "), c.want; got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.src, got, want)
		}
		for i := range found {
			if _, err := mutation.Compile([]byte(c.src), "f.lua", i); err != nil {
				t.Errorf("%s: %s: %v", c.src, found[i].Change, err)
			}
		}
	}
	if _, err := mutation.Mutants([]byte("if"), "f.lua"); err == nil {
		t.Error("what is no script has mutants")
	}
}

// TestMutantPlaces: a mutant knows its line, and the line that CompileCovered counts for it.
func TestMutantPlaces(t *testing.T) {
	const src = `local t = {
    a = 1,
    f = function()
        g(
            2
        )
    end,
    b = 3,
}
if x then
    y = 4
end
return t`
	found, err := mutation.Mutants([]byte(src), "f.lua")
	if err != nil {
		t.Fatal(err)
	}
	counted := map[int]bool{}
	if _, err := CompileCovered([]byte(src), "f.lua", func(line int) int { counted[line] = true; return line }); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range found {
		got = append(got, fmt.Sprintf("%d/%d", m.Line, m.Statement))
		if !counted[m.Statement] {
			t.Errorf("%d: %s: no statement is counted on line %d", m.Line, m.Change, m.Statement)
		}
	}
	if want := "[1/1 2/1 4/4 5/4 8/1 10/10 10/10 11/11 11/11]"; fmt.Sprint(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

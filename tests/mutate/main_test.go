package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidepool-proxy/tidepool/routes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// toys makes a library with toy in it, its tests, and a list of the living, and gives settings for them.
func toys(t *testing.T, alive string, tests ...string) (*settings, *strings.Builder) {
	t.Helper()
	dir := t.TempDir()
	out := &strings.Builder{}
	s := &settings{
		handlers: "toy", routes: filepath.Join(dir, "routes"), tests: filepath.Join(dir, "tests"), alive: filepath.Join(dir, "alive"),
		parallel: 2, cases: 10, most: 100, out: out, verbose: true,
	}
	write := func(path string, text []byte) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(s.routes, routes.Files); err != nil {
		t.Fatal(err)
	}
	toy, err := os.ReadFile("testdata/toy.lua")
	if err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(s.routes, "toy.lua"), toy)
	write(s.alive, []byte(alive))
	for _, name := range append(tests, "testdata/toy_test.lua") {
		text, err := os.ReadFile(name)
		if err != nil {
			text = []byte(name) // the test itself
			name = "toy_more_test.lua"
		}
		write(filepath.Join(s.tests, filepath.Base(name)), text)
	}
	return s, out
}

// lives is a list of toy's mutants that its tests do not kill.
const lives = `toy | local n, seen = 0, 0 | 0 -> 1 | the loop goes to the same end
toy | local n, seen = 0, 0 | 0 -> 1 #2 | nobody looks at it
toy | if n > 5 then | > -> >= | nobody counts to 5
toy | if n > 5 then | 5 -> 11 | nor beyond
toy | if n > 5 then | condition -> false | as above
toy | return "SERVER_ERROR too often\r\n" | drop return | as above
toy | return "SERVER_ERROR too often\r\n" | "SERVER_ERROR too often\r\n" -> "" | as above
toy | if n ~= 3 then | condition -> false | always
toy | return nil | drop return | not reached
toy | seen = n | drop the assignment | nobody looks at it
`

func TestRun(t *testing.T) {
	s, out := toys(t, lives)
	if err := run(s); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"killed  toy.lua:18: toy | n = n + 1 | drop the assignment (toy ",    // loops until the budget is used up
		"killed  toy.lua:23: toy | if n ~= 3 then | condition -> true (toy ", // fails
		"killed  toy.lua:27: toy | return rctx:enqueue_and_wait(r, h.child) | drop return (toy ",
		"toy.lua             24 mutants,    14 killed,   10 alive: 41.7 %\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
}

func TestVerdict(t *testing.T) {
	dies := "toy | n = n + 1 | + -> - | is a lie"
	for _, c := range []struct {
		name, alive string
		most        float64
		want, tells string // in the error, in the report
	}{
		{"not listed", strings.Replace(lives, "toy | seen = n | drop the assignment | nobody looks at it\n", "", 1), 100,
			"1 mutants live", "ALIVE   toy.lua:26: toy | seen = n | drop the assignment (2 tests pass)\n"},
		{"never run", strings.Replace(lives, "toy | return nil | drop return | not reached\n", "", 1), 100,
			"1 mutants live", "ALIVE   toy.lua:24: toy | return nil | drop return (no test runs it)\n"},
		{"listed and killed", lives + dies, 100, "1 that it lists do not live", "KILLED  toy | n = n + 1 | + -> -: is listed as alive"},
		{"listed and gone", lives + "toy | x = 1 | 1 -> 2 | was", 100, "1 that it lists do not live", "x = 1"},
		{"of others", lives + "tea | x = 1 | 1 -> 2 | not run", 100, "", "10 alive"},
		{"whole line", strings.Replace(lives, "> -> >= | nobody counts to 5\ntoy | if n > 5 then | 5 -> 11 | nor beyond\ntoy | if n > 5 then | condition -> false |", "* |", 1), 100, "", "10 alive"},
		{"too many", lives, 5, "41.7 % live, more than 5 %", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, out := toys(t, c.alive)
			s.most = c.most
			if err := run(s); fmt.Sprint(err) != "<nil>" && c.want == "" || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if !strings.Contains(out.String(), c.tells) {
				t.Errorf("want %q in\n%s", c.tells, out)
			}
		})
	}
}

// TestMoreTests: a second file for the handler kills what the first does not.
func TestMoreTests(t *testing.T) {
	s, out := toys(t, "", `it("counts", function()
		route('return require "routes.toy"{ child = a, times = 6 }', "a")
		expect(send("get foo").text):equals("SERVER_ERROR too often\r\n")
	end)`)
	if err := run(s); err == nil || !strings.Contains(out.String(), "if n > 5 then | condition -> false (counts)") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestBefore(t *testing.T) {
	s, _ := toys(t, "", `it("fails", function() expect(1):equals(2) end)`)
	if err := run(s); err == nil || !strings.Contains(err.Error(), "a test fails before anything is changed: fails\n") {
		t.Error(err)
	}
	s.handlers = "tea"
	if err := run(s); err == nil || !strings.Contains(err.Error(), `cannot read handler "tea"`) {
		t.Error(err)
	}
}

func TestNoTests(t *testing.T) {
	s, out := toys(t, "")
	s.handlers = "null"
	if err := run(s); err == nil || !strings.Contains(err.Error(), "1 files have no tests") || !strings.Contains(out.String(), "NO TEST null.lua") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestList(t *testing.T) {
	s, out := toys(t, "")
	s.list = true
	if err := run(s); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 24 || !strings.Contains(out.String(), "toy.lua:17: toy | while n < f.times do | < -> <=\n") {
		t.Errorf("%d:\n%s", n, out)
	}
}

// TestSpread: what is new comes first, from each file in turn.
func TestSpread(t *testing.T) {
	var all []reaching
	for i, way := range []string{"x", "x", "x", "y", "x"} {
		all = append(all, reaching{place{0, i}, way, false})
	}
	all = append(all, reaching{place{1, 0}, "x", false}, reaching{place{1, 1}, "x", true})
	want := "[{{1 1} x true} {{0 0} x false} {{1 0} x false} {{0 3} y false} {{0 1} x false}]"
	if got := fmt.Sprint(spread(all, 5)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestReadAlive(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"# nothing\n\n", "<nil>"},
		{"a | b | c", `alive:1: want FILE | LINE | CHANGE | REASON, got "a | b | c"`},
		{"\na | b | c | ", "alive:2: want FILE"},
		{"a | b | c | d\na | b | c | e", `alive:2: "a | b | c" is there twice`},
	} {
		path := filepath.Join(t.TempDir(), "alive")
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readAlive(path); !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.want)
		}
	}
	if _, err := readAlive("testdata/nowhere"); err == nil {
		t.Error("a list that is not there was read")
	}
	known, err := readAlive("alive")
	if err != nil {
		t.Fatal(err)
	}
	modules, err := readModules("../../routes", nil)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, m := range modules {
		for i := range m.mutants {
			there[m.mutants[i].key()], there[m.mutants[i].line()] = true, true
		}
	}
	for key := range known {
		if !there[key] {
			t.Errorf("tests/mutate/alive lists what is no mutant any more: %s", key)
		}
	}
}

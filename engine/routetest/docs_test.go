package routetest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// blocks writes the Lua blocks of a page that begin with the name of their file, a test for each of the others, that it loads, and gives all tests.
func blocks(t *testing.T, page string) (tests []string) {
	t.Helper()
	dir := t.TempDir()
	for i, m := range regexp.MustCompile("(?s)```lua\n(?:-- (\\S+\\.lua)\\b[^\n]*\n)?(.*?)```").FindAllStringSubmatch(page, -1) {
		name, text := m[1], m[2]
		if name == "" {
			name, text = fmt.Sprintf("loads%d_test.lua", i), "it(\"loads\", function() config([==[\n"+text+"]==]) end)\n"
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, suffix) {
			tests = append(tests, path)
		}
	}
	return tests
}

// TestDocs runs the examples of docs/testing.md and of docs/routes.md's own text, and looks for every word of tests in the first.
func TestDocs(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	page := read("../../docs/testing.md")
	routes, _, ok := strings.Cut(read("../../docs/routes.md"), "<!-- made from")
	if !ok {
		t.Error("docs/routes.md has no part that is made from the library")
	}
	for name, d := range map[string]struct {
		text string
		want int
	}{"testing.md": {page, 2 + 25}, "routes.md": {routes, 2 + 3}} {
		tests := blocks(t, d.text)
		all, _ := RunAll(tests, Options{Seed: 1}, 1)
		if len(all) != d.want {
			t.Errorf("docs/%s: %d tests in %q, want %d", name, len(all), tests, d.want)
		}
		for _, res := range all {
			if res.Failure != nil {
				t.Errorf("docs/%s: %s: %s\n%v", name, res.File, res.Name, res.Failure)
			}
		}
	}
	words := Globals()
	for _, methods := range []map[string]func(*file, *lua.LState) int{backendMethods, callMethods, clientMethods, expectMethods} {
		for name := range methods {
			words = append(words, name)
		}
	}
	for _, name := range words {
		if !regexp.MustCompile(`\b` + name + `\b[({\x60]`).MatchString(page) {
			t.Errorf("docs/testing.md has no %s", name)
		}
	}
}

// TestLuacheck: luacheck knows every word.
func TestLuacheck(t *testing.T) {
	conf, err := os.ReadFile("../../.luacheckrc")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(conf), "local tests = {")
	list, _, _ = strings.Cut(list, "} }")
	var known []string
	for _, m := range regexp.MustCompile(`"(\w+)"`).FindAllStringSubmatch(list, -1) {
		known = append(known, m[1])
	}
	want := Globals()
	slices.Sort(known)
	slices.Sort(want)
	if !slices.Equal(known, want) {
		t.Errorf(".luacheckrc has %q, want %q", known, want)
	}
}

// TestMeta: editors know every word, and no other.
func TestMeta(t *testing.T) {
	meta, err := os.ReadFile("../../scripts/meta/testing.lua")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, m := range regexp.MustCompile(`(?m)^function ([\w:]+)\(`).FindAllStringSubmatch(string(meta), -1) {
		known = append(known, m[1])
	}
	want := Globals()
	for class, methods := range map[string]map[string]func(*file, *lua.LState) int{
		"Backend": backendMethods, "Started": callMethods, "Client": clientMethods, "Expected": expectMethods,
	} {
		for name := range methods {
			want = append(want, class+":"+name)
		}
	}
	slices.Sort(known)
	slices.Sort(want)
	if !slices.Equal(known, want) {
		t.Errorf("scripts/meta/testing.lua has %q, want %q", known, want)
	}
}

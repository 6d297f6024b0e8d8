package routetest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// TestDocs runs the examples of docs/testing.md, which begin with the name of their file, and looks for every word there.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var tests []string
	for _, m := range regexp.MustCompile("(?s)```lua\n-- (\\S+\\.lua)\n.*?```").FindAllStringSubmatch(string(page), -1) {
		path := filepath.Join(dir, m[1])
		text := strings.TrimSuffix(strings.TrimPrefix(m[0], "```lua\n"), "```")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, suffix) {
			tests = append(tests, path)
		}
	}
	all, _ := RunAll(tests, Options{Seed: 1}, 1)
	if len(all) != 2+25 {
		t.Errorf("%d tests in %q", len(all), tests)
	}
	for _, res := range all {
		if res.Failure != nil {
			t.Errorf("%s\n%v", res.Name, res.Failure)
		}
	}
	words := Globals()
	for _, methods := range []map[string]func(*file, *lua.LState) int{backendMethods, callMethods, clientMethods, expectMethods} {
		for name := range methods {
			words = append(words, name)
		}
	}
	for _, name := range words {
		if !regexp.MustCompile(`\b` + name + `\b[({\x60]`).Match(page) {
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

// How files look: length, head, form, words, and what lies at the top.

package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxLines is the ceiling of a file that people write; tests and generated files are exempt.
const maxLines = 500

func TestFilesFitInAHead(t *testing.T) {
	code := func(f file) bool {
		return (f.isGo() || f.isLua()) && !f.isTest() && !inTestdata(f.path) && !f.generated()
	}
	for _, f := range files(t, code) {
		if n := f.lines(); n > maxLines {
			t.Errorf("%s has %d lines, the ceiling is %d", f.path, n, maxLines)
		}
	}
}

func TestGofmt(t *testing.T) {
	for _, f := range files(t, func(f file) bool { return f.isGo() && !inTestdata(f.path) }) {
		want, err := format.Source(f.text)
		if err != nil {
			t.Errorf("cannot format %s: %v", f.path, err)
		} else if !bytes.Equal(want, f.text) {
			t.Errorf("%s is not gofmt's", f.path)
		}
	}
}

// TestFilesOpenWithALine: whoever opens a file reads first what it is about. A test's name says that already.
func TestFilesOpenWithALine(t *testing.T) {
	for _, f := range files(t, func(f file) bool {
		return (f.isGo() || f.isLua()) && !f.isTest() && !inTestdata(f.path) && !f.generated()
	}) {
		if why := badOpening(f); why != "" {
			t.Errorf("%s: %s", f.path, why)
		}
	}
}

func badOpening(f file) string {
	sign := "// "
	if f.isLua() {
		sign = "-- "
	}
	for line := range bytes.Lines(f.text) {
		s := strings.TrimSpace(string(line))
		switch {
		case s == "" || strings.HasPrefix(s, "//go:build ") || strings.HasPrefix(s, "#!") || strings.HasPrefix(s, "---@"):
			continue
		case strings.HasPrefix(s, sign):
			return ""
		}
		return "want a comment that says what the file is about before anything else"
	}
	return "empty"
}

// minProse is the length of a package comment that says something: what it is, who calls it, what may run at once.
const minProse = 100

// TestPackagesOpenWithProse also wants a blank line between a file's own comment and its package clause: without it
// the comment would be part of the package's.
func TestPackagesOpenWithProse(t *testing.T) {
	for _, p := range packages(t) {
		for _, line := range badDocs(p) {
			t.Error(line)
		}
	}
}

func badDocs(p *pkg) (out []string) {
	found := 0
	for file, doc := range p.docs {
		switch {
		case p.name != "main" && !strings.HasPrefix(doc, "Package "+p.name+" "):
			out = append(out, file+": want an empty line before the package clause, or a comment that begins with \"Package "+p.name+"\"")
		case len(doc) < minProse:
			out = append(out, file+": the package comment says too little: want what it is, who calls it, what may run at once")
		}
		found++
	}
	if found != 1 {
		out = append(out, fmt.Sprintf("%s has %d package comments, want one", p.path, found))
	}
	return out
}

// TestNoTestsOfNothing: a package without a test is one that nobody would miss.
func TestNoTestsOfNothing(t *testing.T) {
	tested := map[string]bool{}
	for _, f := range files(t, file.isTest) {
		tree, err := parser.ParseFile(token.NewFileSet(), f.path, f.text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("cannot parse: %v", err)
		}
		dir := f.path[:strings.LastIndexByte(f.path, '/')]
		for _, d := range tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(fn.Name.Name, "Test") && fn.Name.Name != "TestMain" {
				tested[dir] = true
			}
		}
	}
	for _, p := range packages(t) {
		if !tested[p.path] && !slices.Contains(untested, p.path) {
			t.Errorf("%s has no test", p.path)
		}
	}
}

// untested packages are run by others' tests or recipes: each with where.
var untested = []string{
	"scripts", // engine, tests
	"routes",  // engine, tests
}

// banned words, each with what is wrong with it. They are put together here so that this file has none of them.
var banned = []struct {
	word *regexp.Regexp
	why  string
}{
	{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`), "do it, or file an issue"},
	{regexp.MustCompile(`panic\("to` + `do"\)`), "not written yet"},
	{regexp.MustCompile(`\.\./sha` + `red\b|/wo` + `rk/(main|shared)\b|/tm` + `p/tp\b`), "a path of one machine"},
	{regexp.MustCompile(`(?i)\b(proxy|sum|index)\.gol` + `ang\.org\b|\bregistry\.np` + `mjs\.org\b|\bdeb\.deb` + `ian\.org\b|\bpy` + `pi\.org\b|\bcrates\.` + `io\b`), "the name of a package registry's host"},
}

func bannedWord(text []byte) string {
	for _, b := range banned {
		if m := b.word.Find(text); m != nil {
			return string(m) + ": " + b.why
		}
	}
	return ""
}

func TestNoBannedWords(t *testing.T) {
	for _, f := range files(t, func(f file) bool { return f.path != "go.sum" && f.path != "LICENSE" }) {
		n := 0
		for line := range bytes.Lines(f.text) {
			n++
			if why := bannedWord(line); why != "" {
				t.Errorf("%s:%d: %s", f.path, n, why)
			}
		}
	}
}

// top is what may lie at the top of the checkout. A new folder is a new idea: it gets its row here and in README.
var top = []string{
	".ci", ".dockerignore", ".gitattributes", ".gitignore", ".luacheckrc", "CHANGELOG.md", "CONTRIBUTING.md", "Dockerfile", "LICENSE", "Makefile", "README.md",
	"go.mod", "go.sum", "staticcheck.conf",
	"client", "cmd", "docs", "engine", "examples", "leaf", "luaapi", "pools", "routes", "scripts", "tests",
}

func TestTop(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range files(t, func(file) bool { return true }) {
		name, _, _ := strings.Cut(f.path, "/")
		if !seen[name] && !slices.Contains(top, name) {
			t.Errorf("%s at the top of the checkout has no row in tests/house/files_test.go", name)
		}
		seen[name] = true
	}
}

// TestFileRulesBite keeps the rules above honest.
func TestFileRulesBite(t *testing.T) {
	opening := func(path, text, want string) {
		t.Helper()
		if got := badOpening(file{path, []byte(text)}); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	opening("a.go", "// What it is.\npackage a\n", "")
	opening("a.go", "//go:build linux\n\n// What it is.\npackage a\n", "")
	opening("a.go", "package a\n", "want a comment")
	opening("a.go", "//go:build linux\n\npackage a\n", "want a comment")
	opening("a.lua", "-- What it is.\nreturn {}\n", "")
	opening("a.lua", "return {}\n", "want a comment")
	opening("a.lua", "", "empty")

	word := func(text, want string) {
		t.Helper()
		if got := bannedWord([]byte(text)); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	word("// TO"+"DO: later", "do it")
	word("mktemp -d /tmp/x.XX"+"XXXX", "")
	word("see ../sha"+"red/DESIGN.md", "a path of one machine")
	word("a shared/ folder of ../pools", "")
	word("GOPROXY=https://proxy.gol"+"ang.org", "registry")

	docs := func(want string, docs map[string]string) {
		t.Helper()
		if got := strings.Join(badDocs(&pkg{path: "a", name: "a", docs: docs}), "\n"); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", docs, got, want)
		}
	}
	prose := "Package a is here to be read, and " + strings.Repeat("says what it does. ", 6)
	docs("", map[string]string{"doc.go": prose})
	docs("has 0 package comments", nil)
	docs("has 2 package comments", map[string]string{"doc.go": prose, "a.go": prose})
	docs("a.go: want an empty line", map[string]string{"doc.go": prose, "a.go": "What a.go is about."})
	docs("says too little", map[string]string{"doc.go": "Package a is a."})

	generated := func(text string, want bool) {
		t.Helper()
		if got := (file{"a.go", []byte(text)}).generated(); got != want {
			t.Errorf("%q: generated is %v", text, got)
		}
	}
	generated("// Code generated by gen.go; DO NOT EDIT.\n\npackage a\n", true)
	generated("// A file.\n// Code generated by gen.go; DO NOT EDIT.\npackage a\n", true)
	generated("package a\n// Code generated by gen.go; DO NOT EDIT.\n", false)
	generated("// Not generated.\npackage a\n", false)
}

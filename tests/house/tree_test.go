// The checkout as the rules see it: the files that are tracked, or would be.

package house

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/tidepool-proxy/tidepool"

// file is one text file of the checkout.
type file struct {
	path string // from the top of the checkout, with slashes
	text []byte
}

func (f file) isGo() bool   { return strings.HasSuffix(f.path, ".go") }
func (f file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }
func (f file) isLua() bool  { return strings.HasSuffix(f.path, ".lua") }
func (f file) lines() int   { return bytes.Count(f.text, []byte("\n")) }

// generated: the file says so on a line of its own, as Go's tools agree on; Lua's comment sign serves too.
func (f file) generated() bool {
	for line := range bytes.Lines(f.text) {
		s := strings.TrimSpace(string(line))
		if rest, ok := strings.CutPrefix(s, "//"); ok {
			s = rest
		} else if rest, ok := strings.CutPrefix(s, "--"); ok {
			s = rest
		} else if s != "" {
			return false
		}
		if strings.HasPrefix(s, " Code generated ") && strings.HasSuffix(s, " DO NOT EDIT.") {
			return true
		}
	}
	return false
}

// tree reads every file that git tracks or would add, once. Without git (a source archive) it walks.
var tree = sync.OnceValues(func() ([]file, error) {
	top, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	names, err := tracked(top)
	if err != nil {
		names, err = walked(top)
	}
	if err != nil {
		return nil, err
	}
	var files []file
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(top, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and the deletion is not committed yet
		}
		if err != nil {
			return nil, err
		}
		if bytes.IndexByte(text, 0) >= 0 {
			continue // not text
		}
		files = append(files, file{filepath.ToSlash(name), text})
	}
	return files, nil
})

func tracked(top string) ([]string, error) {
	out, err := exec.Command("git", "-C", top, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
}

func walked(top string) (names []string, err error) {
	err = filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(top, p)
		switch {
		case rel == ".git" || rel == "bin":
			return filepath.SkipDir
		case d.Type().IsRegular():
			names = append(names, rel)
		}
		return nil
	})
	return names, err
}

// files gives those that keep says yes to. A rule that finds nothing to look at is broken, so none is a failure.
func files(t *testing.T, keep func(file) bool) []file {
	t.Helper()
	all, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	var kept []file
	for _, f := range all {
		if keep(f) {
			kept = append(kept, f)
		}
	}
	if len(kept) == 0 {
		t.Fatal("found no file to look at")
	}
	return kept
}

// pkg is a package of ours, without its tests.
type pkg struct {
	path    string              // from the top: "engine/mc"
	name    string              // "mc"
	docs    map[string]string   // file -> the comment that touches its package clause
	imports map[string][]string // import path -> the files that have it
}

// packages parses the head of every Go file that is no test.
func packages(t *testing.T) map[string]*pkg {
	t.Helper()
	pkgs := map[string]*pkg{}
	for _, f := range files(t, func(f file) bool { return f.isGo() && !f.isTest() && !inTestdata(f.path) }) {
		head, err := parser.ParseFile(token.NewFileSet(), f.path, f.text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			t.Fatalf("cannot parse: %v", err)
		}
		p := pkgs[path.Dir(f.path)]
		if p == nil {
			p = &pkg{path: path.Dir(f.path), name: head.Name.Name, docs: map[string]string{}, imports: map[string][]string{}}
			pkgs[p.path] = p
		}
		if head.Doc != nil {
			p.docs[f.path] = head.Doc.Text()
		}
		for _, imp := range head.Imports {
			name := importPath(imp)
			p.imports[name] = append(p.imports[name], f.path)
		}
	}
	return pkgs
}

func importPath(s *ast.ImportSpec) string { return strings.Trim(s.Path.Value, "\"`") }

func inTestdata(p string) bool { return strings.Contains("/"+p, "/testdata/") }

// under: p is dir or lies in it.
func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

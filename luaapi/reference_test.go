package luaapi

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the reference into docs/lua.md")

const (
	page  = "../docs/lua.md"
	begin = "<!-- made from luaapi by go test ./luaapi -update -->\n"
)

// The reference in docs/lua.md is the API's declaration.
func TestReferencePageIsCurrent(t *testing.T) {
	src, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	prose, _, ok := strings.Cut(string(src), begin)
	if !ok {
		t.Fatalf("%s has no line %q", page, begin)
	}
	want := prose + begin + "\n" + Reference()
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(src) != want {
		t.Errorf("%s is stale: go test ./luaapi -update", page)
	}
}

// Every function and method is documented, and none twice.
func TestDeclarationsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	check := func(name, doc string) {
		if doc == "" || !strings.HasSuffix(doc, ".") {
			t.Errorf("%s: its documentation is no sentence: %q", name, doc)
		}
		if seen[name] {
			t.Errorf("%s is declared twice", name)
		}
		seen[name] = true
	}
	for _, f := range Functions() {
		check("mcp."+f.Name, f.Doc)
	}
	for object, steps := range Steps() {
		for _, s := range steps {
			check(object+" step "+s.Name, s.Doc)
		}
	}
	for object, methods := range Objects() {
		for _, m := range methods {
			check(object+":"+m.Name, m.Doc)
		}
	}
}

// What is measured is explained: every metric of the code is in the documents' tables, and no other.

package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// makers are the functions that make a metric of its name, and what they put before it. Those that call NewDesc are the makers themselves.
var makers = map[string]string{"desc": "", "leafDesc": "tidepool_leaf_", "faceDesc": "tidepool_face_"}

// made gives the metrics of a file by the calls of makers, and whether it has a NewDesc that no maker stands for.
func made(f file) (names []string, strange bool, err error) {
	tree, err := parser.ParseFile(token.NewFileSet(), f.path, f.text, parser.SkipObjectResolution)
	if err != nil {
		return nil, false, err
	}
	for _, d := range tree.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			if _, maker := makers[fn.Name.Name]; maker {
				continue
			}
		}
		ast.Inspect(d, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && (s.Sel.Name == "NewDesc" || strings.HasPrefix(s.Sel.Name, "NewCounter") && len(call.Args) == 1 && isOpts(call.Args[0])) {
				strange = true
			}
			name, ok := call.Fun.(*ast.Ident)
			if !ok {
				return true
			}
			prefix, ok := makers[name.Name]
			if !ok || len(call.Args) < 2 {
				return true
			}
			if lit, ok := call.Args[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, _ := strconv.Unquote(lit.Value)
				names = append(names, prefix+text)
			}
			return true
		})
	}
	return names, strange, nil
}

// isOpts: prometheus.CounterOpts{...}, the other way of making a metric.
func isOpts(e ast.Expr) bool {
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return false
	}
	s, ok := lit.Type.(*ast.SelectorExpr)
	return ok && strings.HasSuffix(s.Sel.Name, "Opts")
}

// explained are the metrics that first columns of tables name.
var explained = regexp.MustCompile("`(tidepool_[a-z_]*[a-z])(?:\\{[a-z,]*\\})?`")

func TestMetricsAreExplained(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range files(t, func(f file) bool { return f.path == "docs/operations.md" || f.path == "docs/nats.md" }) {
		for _, line := range strings.Split(string(f.text), "\n") {
			if cells := strings.Split(line, "|"); len(cells) > 3 {
				for _, m := range explained.FindAllStringSubmatch(cells[1], -1) {
					documented[m[1]] = false
				}
			}
		}
	}
	n := 0
	for _, f := range files(t, func(f file) bool { return f.isGo() && !f.isTest() && !under(f.path, "tests") && !inTestdata(f.path) }) {
		names, strange, err := made(f)
		if err != nil {
			t.Fatal(err)
		}
		if strange {
			t.Errorf("%s makes a metric in a way that tests/house/metrics_test.go does not know", f.path)
		}
		for _, name := range names {
			if !strings.HasPrefix(name, "tidepool_") {
				continue // another function called desc
			}
			n++
			if _, ok := documented[name]; !ok {
				t.Errorf("%s: %s is in no table of docs/operations.md", f.path, name)
			}
			documented[name] = true
		}
	}
	if n < 50 {
		t.Errorf("found %d metrics in the code: the rule looks at the wrong places", n)
	}
	for name, real := range documented {
		if !real {
			t.Errorf("the documents explain %s, which there is not", name)
		}
	}
}

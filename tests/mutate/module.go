// The files of the library and their mutants.

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

// mutation is what is changed in routes besides Lua's own. What stays is texts for people; how many objects a slot makes, of which too many are only
// memory; and what the fields of handlers declare, which docs/routes.schema.json repeats, and a test of engine compares.
var mutation = source.Mutation{
	Names: map[string]string{
		"WAIT_ANY": "WAIT_FASTGOOD", "WAIT_OK": "WAIT_ANY", "WAIT_GOOD": "WAIT_OK", "WAIT_FASTGOOD": "WAIT_GOOD",
		"min": "max", "max": "min", "floor": "ceil", "ceil": "floor",
	},
	Calls:  []string{"error", "fail", "unknown", "require"},
	Fields: []string{"doc", "example", "name", "n", "objects", "u"},
	Mark:   "doc",
}

// module is a file of the library.
type module struct {
	name    string // without .lua
	src     []byte
	lines   []string
	handler bool // its own tests are for it; else, all that use it
	tests   int  // cases that are for it
	mutants []mutant
	cases   map[int][]reaching // by line on which a statement begins: what reaches it
}

// mutant is one change of a module, and what came of it.
type mutant struct {
	source.Mutant
	of    *module
	n     int    // among source's
	nth   int    // of the same changes on its line, from 1
	alive bool   // no test failed
	why   string // what killed it, or why nothing did
}

// place is a case of a test file.
type place struct{ file, number int }

// reaching is a case that reaches a line, and which lines of the module it runs besides.
type reaching struct {
	place
	way string
	own bool // of the module's own tests
}

var isHandler = regexp.MustCompile(`(?m)^return handler\.define`)

// readModules reads the files of a folder that are asked for, or all.
func readModules(dir string, names []string) ([]*module, error) {
	if names == nil {
		paths, err := filepath.Glob(filepath.Join(dir, "*.lua"))
		if err != nil {
			return nil, err
		}
		for _, p := range paths {
			names = append(names, strings.TrimSuffix(filepath.Base(p), ".lua"))
		}
	}
	var all []*module
	for _, name := range names {
		src, err := os.ReadFile(filepath.Join(dir, name+".lua"))
		if err != nil {
			return nil, fmt.Errorf("cannot read handler %q: %w", name, err)
		}
		m, err := newModule(name, src)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

func newModule(name string, src []byte) (*module, error) {
	m := &module{name: name, src: src, lines: strings.Split(string(src), "\n"), handler: isHandler.Match(src), cases: map[int][]reaching{}}
	found, err := mutation.Mutants(src, m.chunk())
	if err != nil {
		return nil, err
	}
	seen := map[string]int{}
	for i, f := range found {
		at := fmt.Sprint(f.Line, f.Change)
		seen[at]++
		m.mutants = append(m.mutants, mutant{Mutant: f, of: m, n: i, nth: seen[at]})
	}
	return m, nil
}

// chunk is what errors call the file.
func (m *module) chunk() string { return "[routes/" + m.name + ".lua]" }

// key is how the list of the living has a mutant: without its line's number, which changes more often than the line.
func (m *mutant) key() string {
	change := m.Change
	if m.nth > 1 {
		change += fmt.Sprintf(" #%d", m.nth)
	}
	return m.of.name + " | " + m.text() + " | " + change
}

// line is what the list has for all mutants of a line.
func (m *mutant) line() string { return m.of.name + " | " + m.text() + " | *" }

// text is the line that is changed.
func (m *mutant) text() string {
	return strings.ReplaceAll(strings.TrimSpace(m.of.lines[m.Line-1]), " | ", " ")
}

// long is key with the number.
func (m *mutant) long() string { return fmt.Sprintf("%s.lua:%d: %s", m.of.name, m.Line, m.key()) }

// tested reports whether a test file is for the module.
func (m *module) tested(path string) bool { return !m.handler || m.own(path) }

// own reports whether a test file is named for the module.
func (m *module) own(path string) bool {
	base := strings.TrimSuffix(filepath.Base(path), "_test.lua")
	return base == m.name || strings.HasPrefix(base, m.name+"_")
}

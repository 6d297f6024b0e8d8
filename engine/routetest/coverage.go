// Coverage: which lines of the configurations under test have run.

package routetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine/vm"
)

// coverage counts lines. Those of one file count once, however often it is loaded.
type coverage struct {
	lines map[string]map[int]int // by file and line: its number
	runs  []bool                 // by number
}

// Covered is how much of a file has run.
type Covered struct {
	File  string
	Lines int   // on which a statement begins
	Never []int // those of them that did not run, in order
}

// Share is the part of the lines that has run, from 0 to 1.
func (c *Covered) Share() float64 {
	if c.Lines == 0 {
		return 1
	}
	return float64(c.Lines-len(c.Never)) / float64(c.Lines)
}

// Missed are the lines that did not run, as a text: "3, 7-9".
func (c *Covered) Missed() string {
	var parts []string
	for i := 0; i < len(c.Never); {
		j := i
		for j+1 < len(c.Never) && c.Never[j+1] == c.Never[j]+1 {
			j++
		}
		part := strconv.Itoa(c.Never[i])
		if j > i {
			part = fmt.Sprintf("%d-%d", c.Never[i], c.Never[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

// compile compiles a file whose lines are counted.
func (c *coverage) compile(src []byte, name string) (*vm.Proto, error) {
	lines := c.lines[name]
	if lines == nil {
		lines = map[int]int{}
		c.lines[name] = lines
	}
	return vm.CompileCovered(src, name, func(line int) int {
		n, ok := lines[line]
		if !ok {
			n = len(c.runs)
			lines[line] = n
			c.runs = append(c.runs, false)
		}
		return n
	})
}

// ran implements vm.Options.Covered.
func (c *coverage) ran(n int) { c.runs[n] = true }

// counts reports whether the lines of a file are counted: those that a test has as text are not.
func counts(name string) bool {
	return !strings.HasPrefix(name, "[") || strings.HasPrefix(name, "[routes/")
}

// Coverage is how much has run of each file that was loaded, in order: those of the user, or, if there was none, of the route library. Nothing
// without Options.Coverage.
func (r *Runner) Coverage() []Covered { return report(r.cover) }

// report is what several have counted together. Any of them may be nil.
func report(covers ...*coverage) []Covered {
	ran := map[string]map[int]bool{} // by file and line
	for _, c := range covers {
		if c != nil {
			c.add(ran)
		}
	}
	var users, library []Covered
	for name, lines := range ran {
		c := Covered{File: name, Lines: len(lines)}
		for line, ran := range lines {
			if !ran {
				c.Never = append(c.Never, line)
			}
		}
		slices.Sort(c.Never)
		switch {
		case !strings.HasPrefix(name, "["):
			users = append(users, c)
		case len(c.Never) < c.Lines:
			library = append(library, c)
		}
	}
	if len(users) == 0 {
		users = library
	}
	slices.SortFunc(users, func(a, b Covered) int { return strings.Compare(a.File, b.File) })
	return users
}

// add adds what c has counted to all.
func (c *coverage) add(all map[string]map[int]bool) {
	for name, lines := range c.lines {
		if all[name] == nil {
			all[name] = map[int]bool{}
		}
		for line, n := range lines {
			all[name][line] = all[name][line] || c.runs[n]
		}
	}
}

// What tidepool explain prints: a request's way as an indented tree.

package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/luaapi"
)

type explainPrinter struct {
	b     bytes.Buffer
	depth int // 0: no limit
}

// line prints a line whose first word is a label of the left column.
func (p *explainPrinter) line(level int, label, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Fprintf(&p.b, "%s%-8s %s\n", strings.Repeat("  ", level), label, text)
}

func (p *explainPrinter) explanation(request string, e *engine.Explanation) {
	p.head(request, e.Route, e.Tree, e.Native)
	if e.Route == "" {
		return
	}
	p.step(e.First, 0, 1)
	if e.Cut {
		p.line(0, "note", "there are more cases than are told")
	}
	if e.Unsteady {
		p.line(0, "note", "the route does not do the same each time: it goes by chance, or by the time")
	}
}

// head prints the request and its route.
func (p *explainPrinter) head(request, route string, tree *luaapi.Node, native bool) {
	line, _, _ := strings.Cut(request, "\r\n")
	p.line(0, "request", "%s", line)
	switch {
	case route == "":
		route = "none is attached: the proxy's own store answers"
	case tree != nil:
		route = tree.String()
	}
	if native {
		route += ", chosen by a router"
	}
	p.line(0, "route", "%s", route)
	p.handles(tree, 0)
}

// handles prints what is behind the handles of a node.
func (p *explainPrinter) handles(n *luaapi.Node, level int) {
	if n == nil {
		return
	}
	for i, h := range n.Handles {
		p.line(level, "", "  %d: %s", i, h)
		p.handles(h, level+1)
	}
}

func (p *explainPrinter) step(st *engine.Step, level, deep int) {
	if st == nil {
		p.line(level, "...", "")
		return
	}
	if st.End != nil {
		p.end(st.End, level)
		return
	}
	if st.After > 0 {
		p.line(level, "after", "%g s", st.After)
	}
	for i, s := range st.Sent {
		label := "sent to"
		if i > 0 {
			label = ""
		}
		p.sent(label, &s, level)
	}
	if st.Within > 0 {
		p.line(level, "waits", "%g s at most", st.Within)
	}
	if p.depth > 0 && deep > p.depth {
		p.line(level, "...", "(--depth %d shows more)", p.depth+1)
		return
	}
	for i, label := range labels(st) {
		then := st.Cases[i].Then
		if len(label) <= maxLabel && then != nil && then.End != nil && len(then.End.Later) == 0 && then.End.Error == "" {
			p.line(level, label+":", "%s", answerOf(then.End))
			continue
		}
		fmt.Fprintf(&p.b, "%s%s:\n", strings.Repeat("  ", level), label)
		p.step(then, level+1, deep+1)
	}
}

// maxLabel is how long a case's label may be for an answer on the same line.
const maxLabel = 24

// labels words the cases of a step: how what has been sent may have been answered, without the requests that do not matter.
func labels(st *engine.Step) []string {
	all := make([]int, len(st.Sent))
	for i := range all {
		all[i] = i
	}
	var some []int
	for i := range all {
		if matters(st, i) {
			some = append(some, i)
		}
	}
	if list, ok := labelsBy(st, some); ok {
		return list
	}
	list, _ := labelsBy(st, all)
	return list
}

// matters reports whether two cases differ by what became of request i alone.
func matters(st *engine.Step, i int) bool {
	for a, x := range st.Cases {
		for _, y := range st.Cases[a+1:] {
			for _, v := range x.When {
				for _, w := range y.When {
					if v[i] != w[i] && slices.Equal(v[:i], w[:i]) && slices.Equal(v[i+1:], w[i+1:]) {
						return true
					}
				}
			}
		}
	}
	return false
}

// labelsBy words the cases by some requests; it is not ok if those do not tell them apart.
func labelsBy(st *engine.Step, some []int) (list []string, ok bool) {
	seen := map[string]int{}
	ok = true
	for i, c := range st.Cases {
		var ways []string
		for _, when := range c.When {
			way := wayOf(when, some, st)
			if j, there := seen[way]; !there {
				ways = append(ways, way)
			} else if j != i {
				ok = false
			}
			seen[way] = i
		}
		sep := " or "
		if len(some) > 1 {
			sep = "; or "
		}
		list = append(list, strings.Join(ways, sep))
	}
	return list, ok
}

// wayOf words what became of some requests: what most have in common last, if there are more than two.
func wayOf(when []string, some []int, st *engine.Step) string {
	switch {
	case len(some) == 0:
		return "whatever comes"
	case len(st.Sent) == 1:
		return when[0]
	}
	count := map[string]int{}
	most := when[some[0]]
	for _, i := range some {
		if o := when[i]; count[o]+1 > count[most] && o != most {
			most = o
		}
		count[when[i]]++
	}
	if count[most] == len(some) && len(some) > 1 {
		return "all " + most
	}
	var parts []string
	for _, i := range some {
		if o := when[i]; o != most || len(some) <= 2 {
			parts = append(parts, fmt.Sprintf("%d %s", st.Sent[i].Number, o))
		}
	}
	if len(some) > 2 {
		parts = append(parts, "others "+most)
	}
	return strings.Join(parts, ", ")
}

func (p *explainPrinter) sent(label string, s *engine.Sent, level int) {
	by := ""
	if s.By != "" {
		by = ", by " + s.By
	}
	if s.Pool == "" {
		p.line(level, label, "%d. %s: %q%s", s.Number, s.Backend, s.Line, by)
		return
	}
	p.line(level, label, "%d. pool %s: %q%s", s.Number, s.Pool, s.Line, by)
	key := fmt.Sprintf("key %q", s.Key)
	if s.Hashed != s.Key {
		key += fmt.Sprintf(", of which %q is hashed", s.Hashed)
	}
	if s.Hash != 0 {
		key += fmt.Sprintf(", hash %d", s.Hash)
	}
	if s.Backend == "" {
		p.line(level, "", "   %s, and the pool has no backend", key)
		return
	}
	p.line(level, "", "   %s", key)
	name := s.Backend
	if s.Addr != name {
		name += " (" + s.Addr + ")"
	}
	p.line(level, "", "   backend %d of %d: %s", max(1, s.Index), s.Of, name)
}

// answerOf words what the client gets.
func answerOf(o *engine.Outcome) string {
	if o.From > 0 {
		return fmt.Sprintf("answer %q, from %d", o.Answer, o.From)
	}
	return fmt.Sprintf("answer %q", o.Answer)
}

func (p *explainPrinter) end(o *engine.Outcome, level int) {
	text, _ := strings.CutPrefix(answerOf(o), "answer ")
	p.line(level, "answer", "%s", text)
	if o.Error != "" {
		p.line(level, "error", "%s", o.Error)
	}
	for i, s := range o.Later {
		label := "later"
		if i > 0 {
			label = ""
		}
		p.sent(label, &s, level)
	}
}

// Globals: what a script can reach, for the test that the sandbox is what it is meant to be.

package lualib

import (
	"sort"

	lua "github.com/yuin/gopher-lua"
)

// Globals lists every name that is reachable from L's globals, dotted and sorted. Each table appears under the first name that
// leads to it; what follows only repeats others (_G, package.loaded) is given by name alone.
func Globals(L *lua.LState) []string {
	seen := map[*lua.LTable]bool{L.G.Global: true}
	var names []string
	type todo struct {
		prefix string
		table  *lua.LTable
	}
	for queue := []todo{{"", L.G.Global}}; len(queue) > 0; queue = queue[1:] {
		var inner []todo
		queue[0].table.ForEach(func(k, v lua.LValue) {
			name := queue[0].prefix + k.String()
			names = append(names, name)
			if t, ok := v.(*lua.LTable); ok {
				inner = append(inner, todo{name + ".", t})
			}
		})
		sort.Slice(inner, func(i, j int) bool { return inner[i].prefix < inner[j].prefix })
		for _, t := range inner {
			if !seen[t.table] {
				seen[t.table] = true
				queue = append(queue, t)
			}
		}
	}
	sort.Strings(names)
	return names
}

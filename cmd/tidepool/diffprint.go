// What tidepool diff prints.

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine"
)

func printDifference(w io.Writer, d *engine.Difference) error {
	var b strings.Builder
	printRoutes(&b, d.Routes)
	printPools(&b, d.Pools)
	printMovement(&b, d)
	_, err := io.WriteString(w, b.String())
	return err
}

func printRoutes(b *strings.Builder, routes []engine.RouteChange) {
	if len(routes) == 0 {
		b.WriteString("routes   none differs\n")
	}
	for i, r := range routes {
		head := "         "
		if i == 0 {
			head = "routes   "
		}
		about := strings.Join(r.Commands, " ")
		if r.Tag != "" {
			about = fmt.Sprintf("tag %q: %s", r.Tag, about)
		}
		if r.Where != "" {
			about += ", " + r.Where
		}
		fmt.Fprintf(b, "%s%s\n", head, about)
		if r.Old == r.New {
			fmt.Fprintf(b, "           %s: %s\n", r.Old, r.Why)
			continue
		}
		fmt.Fprintf(b, "           - %s\n           + %s\n", r.Old, r.New)
		if r.Why != "" {
			fmt.Fprintf(b, "           %s\n", r.Why)
		}
	}
}

func printPools(b *strings.Builder, pools []engine.PoolChange) {
	if len(pools) == 0 {
		b.WriteString("pools    none differs\n")
	}
	for i, p := range pools {
		head := "         "
		if i == 0 {
			head = "pools    "
		}
		fmt.Fprintf(b, "%s%s %s\n", head, p.Pool, p.Change)
		for _, what := range p.What {
			fmt.Fprintf(b, "           %s\n", what)
		}
		if p.Change == "changed" {
			fmt.Fprintf(b, "           places %.2f %% of the keys elsewhere\n", 100*p.Moved)
		}
	}
}

func printMovement(b *strings.Builder, d *engine.Difference) {
	m := &d.Keys
	share := func(n int) float64 { return 100 * float64(n) / float64(m.Total) }
	origin := "given"
	if m.Made {
		origin = "made up"
	}
	fmt.Fprintf(b, "keys     %d %s, each placed by a %s", m.Total, origin, d.Command)
	if d.Tag != "" {
		fmt.Fprintf(b, " at a listener with tag %s", d.Tag)
	}
	if m.InLua > 0 {
		fmt.Fprintf(b, ", %d of them by running Lua", m.InLua)
	}
	fmt.Fprintf(b, "\nmove     %d to another backend: %.2f %%\n", m.Moved, share(m.Moved))
	if m.Unsteady > 0 {
		fmt.Fprintf(b, "         of keys placed twice by one configuration %.1f %% went elsewhere the second time: its routes choose by\n"+
			"         chance or by what came before, so that as much of the above is chance\n", 100*m.Unsteady)
	}
	b.WriteString("\n")
	width := len("pool, backend")
	name := func(x engine.BackendMoves) string {
		if x.Label != "" && "leaf "+x.Label != x.Backend {
			return fmt.Sprintf("  %s (%s)", x.Label, x.Backend)
		}
		return "  " + x.Backend
	}
	for _, p := range m.Pools {
		width = max(width, len(p.Pool))
		for _, x := range p.Backends {
			width = max(width, len(name(x)))
		}
	}
	fmt.Fprintf(b, "%-*s  %9s %9s %9s %9s\n", width, "pool, backend", "before", "after", "moved in", "out")
	line := func(name string, x engine.Moves) {
		fmt.Fprintf(b, "%-*s  %7.2f %% %7.2f %% %7.2f %% %7.2f %%\n", width, name, share(x.Before), share(x.After), share(x.In), share(x.Out))
	}
	for _, p := range m.Pools {
		if p.Pool == "" {
			p.Pool = "no pool"
		}
		line(p.Pool, p.Moves)
		for _, x := range p.Backends {
			line(name(x), x.Moves)
		}
	}
}

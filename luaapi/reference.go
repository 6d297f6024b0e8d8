// The reference page of the API, made from its declaration.

package luaapi

import (
	"fmt"
	"slices"
	"strings"
)

// Reference is the API as Markdown, for docs/lua.md.
func Reference() string {
	var b strings.Builder
	for _, stage := range []struct {
		stage Stage
		title string
	}{
		{StagePools, "In mcp_config_pools"},
		{StageRoutes, "In mcp_config_routes and in routes"},
		{StageBoth, "Everywhere"},
	} {
		fmt.Fprintf(&b, "### %s\n\n| function | gives | what it does |\n|---|---|---|\n", stage.title)
		for _, f := range Functions() {
			if f.Stage == stage.stage {
				row(&b, "mcp."+f.Name, f.Args, f.Returns, f.Doc)
			}
		}
		b.WriteString("\n")
	}
	objects := Objects()
	for _, o := range [][2]string{{"request", "req"}, {"response", "res"}, {"funcgen", "fgen"}, {"rctx", "rctx"}, {"counter", "counter"}, {"meter", "meter"}, {"turnstile", "turnstile"}, {"flights", "flights"}} {
		name := o[0]
		fmt.Fprintf(&b, "### The %s object\n\n| method | gives | what it does |\n|---|---|---|\n", name)
		for _, m := range objects[name] {
			row(&b, o[1]+":"+m.Name, m.Args, m.Returns, m.Doc)
		}
		b.WriteString("\n")
	}
	for _, what := range []string{"inspector", "mutator"} {
		fmt.Fprintf(&b, "### The steps of %ss\n\n| step | for | gives | what it does |\n|---|---|---|---|\n", what)
		for _, s := range Steps()[what] {
			fmt.Fprintf(&b, "| `{t=%q, %s}` | %s | %s | %s |\n", s.Name, s.Args, s.For, s.Returns, s.Doc)
		}
		b.WriteString("\n")
	}
	b.WriteString("### Constants\n\n")
	var names []string
	for name, n := range numbers {
		names = append(names, fmt.Sprintf("`mcp.%s` %d", name, n))
	}
	slices.Sort(names)
	b.WriteString(strings.Join(names, ", "))
	b.WriteString("; `mcp.hash_xxhash`, `mcp.dist_jump_hash`, `mcp.hash_jump` (the same), `mcp.dist_ring_hash`, `mcp.dist_ring_hash.hash` (MD5), `mcp.start_arg`. Tidepool's own: ")
	for _, name := range ownDists {
		fmt.Fprintf(&b, "`mcp.dist_%s`, ", name)
	}
	for i, name := range ownHashes {
		fmt.Fprintf(&b, "%s`mcp.hash_%s`", strings.Repeat(", ", min(i, 1)), name)
	}
	b.WriteString(".\n")
	return b.String()
}

func row(b *strings.Builder, name, args, returns, doc string) {
	esc := strings.NewReplacer("|", "\\|", "\n", " ")
	fmt.Fprintf(b, "| `%s(%s)` | %s | %s |\n", name, esc.Replace(args), esc.Replace(returns), esc.Replace(doc))
}

// The routes of a Diff: what each command of each tag leads to, and whether that is the same.

package engine

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/luaapi"
)

// RouteChange is a route that is another one, or does something else. Where the code stands is no difference.
type RouteChange struct {
	Tag      string   `json:"tag,omitempty"`
	Commands []string `json:"commands"`
	Where    string   `json:"where,omitempty"` // of a router: which of its keys
	Old      string   `json:"old"`
	New      string   `json:"new"`
	Why      string   `json:"why,omitempty"` // where Old and New look the same
}

// diffRoutes compares all tags that either side has.
func diffRoutes(old, now *side) []RouteChange {
	c := comparison{old: old, now: now, like: map[*luaapi.Route]string{}, at: map[string]int{}, list: []RouteChange{}}
	a, b := old.g.worker(1), now.g.worker(1)
	for _, d := range []*side{old, now} {
		st := d.g.worker(1).state
		st.Lock()
		defer st.Unlock()
	}
	tags := maps.Clone(a.own)
	maps.Copy(tags, b.own)
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		for cmd := mc.Cmd(1); cmd < mc.NumCmds; cmd++ {
			if a.own[tag].has(cmd) || b.own[tag].has(cmd) {
				c.command(tag, cmd, old.route(tag, cmd), now.route(tag, cmd))
			}
		}
	}
	return c.list
}

// has reports whether something is attached to a command; h may be nil.
func (h *hooks) has(cmd mc.Cmd) bool { return h != nil && h[cmd] != nil }

// comparison collects what differs; what differs alike for several commands is one entry.
type comparison struct {
	old, now *side
	like     map[*luaapi.Route]string
	at       map[string]int // in list
	list     []RouteChange
}

func (c *comparison) command(tag string, cmd mc.Cmd, old, now *luaapi.Route) {
	routers := []*luaapi.Router{}
	prefixes := map[string]bool{}
	for _, r := range []*luaapi.Route{old, now} {
		if r != nil && r.Router != nil {
			routers = append(routers, r.Router)
			for _, p := range r.Router.Prefixes() {
				prefixes[p] = true
			}
		}
	}
	if len(routers) == 0 {
		c.route(tag, cmd, "", old, now)
		return
	}
	if len(routers) == 2 && routers[0].Shape() != routers[1].Shape() {
		c.add(RouteChange{Tag: tag, Where: "router", Old: routers[0].Shape(), New: routers[1].Shape()}, cmd)
	}
	behind := func(r *luaapi.Route, prefix string) *luaapi.Route {
		if r == nil || r.Router == nil {
			return r
		}
		return r.Router.Behind(cmd, prefix)
	}
	for _, p := range slices.Sorted(maps.Keys(prefixes)) {
		c.route(tag, cmd, fmt.Sprintf("prefix %q", p), behind(old, p), behind(now, p))
	}
	otherwise := func(r *luaapi.Route) *luaapi.Route {
		if r == nil || r.Router == nil {
			return r
		}
		return r.Router.Otherwise(cmd)
	}
	where := "other keys"
	if len(prefixes) == 0 {
		where = ""
	}
	c.route(tag, cmd, where, otherwise(old), otherwise(now))
}

// route compares two routes, neither of which is a router.
func (c *comparison) route(tag string, cmd mc.Cmd, where string, old, now *luaapi.Route) {
	if c.likeness(old) == c.likeness(now) {
		return
	}
	a, b := old.Node(), now.Node()
	ch := RouteChange{Tag: tag, Where: where, Old: a.String(), New: b.String()}
	if a == nil {
		ch.Old = "nothing attached"
	}
	if b == nil {
		ch.New = "nothing attached"
	}
	if ch.Old == ch.New || a != nil && b != nil && a.Kind == b.Kind && a.Kind != "pool" {
		ch.Why = unlike(a, b, "")
	}
	c.add(ch, cmd)
}

func (c *comparison) likeness(r *luaapi.Route) string {
	if r == nil {
		return ""
	}
	if c.like[r] == "" {
		c.like[r] = r.Likeness()
	}
	return c.like[r]
}

func (c *comparison) add(ch RouteChange, cmd mc.Cmd) {
	key := fmt.Sprintf("%q %q %q %q %q", ch.Tag, ch.Where, ch.Old, ch.New, ch.Why)
	i, ok := c.at[key]
	if !ok {
		i = len(c.list)
		c.at[key], c.list = i, append(c.list, ch)
	}
	c.list[i].Commands = append(c.list[i].Commands, cmd.String())
}

// unlike says what differs behind the handles of two nodes, or that their code does.
func unlike(a, b *luaapi.Node, path string) string {
	if len(a.Handles) != len(b.Handles) {
		return fmt.Sprintf("%shandles: %d, now %d", path, len(a.Handles), len(b.Handles))
	}
	for i, x := range a.Handles {
		y, here := b.Handles[i], fmt.Sprintf("%shandle %d: ", path, i)
		if x.Kind != y.Kind || x.Name != y.Name {
			return fmt.Sprintf("%s%s, now %s", here, x, y)
		}
		if deep := unlike(x, y, here); deep != sameHandles {
			return deep
		}
	}
	return sameHandles
}

const sameHandles = "its code differs, or the values that it was made with"

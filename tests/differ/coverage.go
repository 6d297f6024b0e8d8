// Coverage: which commands, flags and answers a run has seen.

package differ

import (
	"slices"
	"strings"
)

// wanted is all that a run must see, a command a line: flags and modes, then after < the first words of answers ("-" is
// silence, "1" a number). A flag that WhyNot keeps from old servers is not wanted of a run against one.
var wanted = map[string]string{
	"mg":        "b c f h k l O q s t u v C E N R T P L < HD VA EN -",
	"ms":        "b c s k q C E F I T N O P ME MA MP MR MS MSET MAPPEND MPREPEND MREPLACE MEXISTS < HD NS EX NF -",
	"md":        "b k q C E I T x O < HD NF EX -",
	"ma":        "b v t c k q C E N J D T O MI MD M+ M- MINCR MDECR < HD VA NF EX CLIENT_ERROR -",
	"me":        "b < ME EN",
	"mn":        "< MN",
	"get":       "many < VALUE END",
	"gets":      "many < VALUE END",
	"gat":       "many < VALUE END",
	"gats":      "many < VALUE END",
	"set":       "noreply < STORED -",
	"add":       "noreply < STORED NOT_STORED -",
	"replace":   "noreply < STORED NOT_STORED -",
	"append":    "noreply < STORED NOT_STORED -",
	"prepend":   "noreply < STORED NOT_STORED -",
	"cas":       "noreply < STORED EXISTS NOT_FOUND -",
	"incr":      "noreply < 1 NOT_FOUND CLIENT_ERROR -",
	"decr":      "noreply < 1 NOT_FOUND CLIENT_ERROR -",
	"delete":    "noreply < DELETED NOT_FOUND -",
	"touch":     "noreply < TOUCHED NOT_FOUND -",
	"flush_all": "noreply 0 -1 delay < OK -",
	"verbosity": "noreply < OK -",
	"version":   "< VERSION",
	"stats":     "reset < RESET",
}

// Coverage is what was seen. The zero value is empty.
type Coverage struct{ seen map[string]bool }

// Note notes a request that was sent, and the whole answer to it.
func (c *Coverage) Note(request, answer string) {
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	w := words(request)
	cmd := w[0]
	for i, s := range w[1:] {
		switch {
		case cmd == "flush_all" && len(s) > 2 && s != "noreply":
			c.seen["flush_all delay"] = true
		case len(cmd) != 2:
			c.seen[cmd+" "+s] = true
		case i == 0 || cmd == "ms" && i == 1: // the key, and the length
		case s[0] == 'M':
			c.seen[cmd+" "+s] = true
		default:
			c.seen[cmd+" "+s[:1]] = true
		}
	}
	if strings.HasPrefix(cmd, "get") && len(w) > 2 || strings.HasPrefix(cmd, "gat") && len(w) > 3 {
		c.seen[cmd+" many"] = true
	}
	c.answer(cmd, answer)
}

func (c *Coverage) answer(cmd, answer string) {
	a := words(answer)
	if len(a) == 0 {
		c.seen[cmd+" < -"] = true
		return
	}
	first := a[0]
	if first[0] >= '0' && first[0] <= '9' {
		first = "1"
	}
	c.seen[cmd+" < "+first] = true
	if cmd == "mg" {
		for _, s := range a[1:] {
			c.seen["mg < "+s] = true // W, X and Z among them
		}
	}
}

// Missing lists what was wanted and not seen; old: of a run against a server that has not all of it.
func (c *Coverage) Missing(old bool) (out []string) {
	for cmd, list := range wanted {
		ask, hear, _ := strings.Cut(list, "<")
		for _, f := range strings.Fields(ask) {
			if !c.seen[cmd+" "+f] && WhyNot(cmd+" a "+f, old) == "" {
				out = append(out, cmd+" "+f)
			}
		}
		for _, a := range strings.Fields(hear) {
			if !c.seen[cmd+" < "+a] {
				out = append(out, cmd+" < "+a)
			}
		}
	}
	for _, mark := range []string{"W", "X", "Z"} {
		if !c.seen["mg < "+mark] {
			out = append(out, "mg < "+mark)
		}
	}
	slices.Sort(out)
	return out
}

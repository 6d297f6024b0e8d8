// A conversation of every command, text and meta: over three leaves through a Lua route, over three memcacheds through a
// Lua route, and on a listener without routes, where the proxy's own store answers. One table holds for all three.

package system_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/tests/peer"
)

// exchange is one thing that a client says and what it hears. "|" stands for a line end, and the last is left out. "$c" in an
// answer is any CAS number, which "$c" and "$b" (one less) mean in what is said after it.
type exchange struct{ say, hear string }

// conversations, one for each command or family of flags; the keys of each are its own.
var conversations = []struct {
	name string
	says []exchange
}{
	{"get set", []exchange{
		{"get g1", "END"},
		{"set g1 7 0 5|hello", "STORED"},
		{"get g1", "VALUE g1 7 5|hello|END"},
		{"set g1 4294967295 0 0|", "STORED"},
		{"get g1", "VALUE g1 4294967295 0||END"},
		{"set g2 0 0 6|a\r\nb\r\n", "STORED"},
		{"set g3 1 0 1 noreply|x", ""},
		{"get g1 g2 none g3 g1", "VALUE g1 4294967295 0||VALUE g2 0 6|a\r\nb\r\n|VALUE g3 1 1|x|VALUE g1 4294967295 0||END"},
		{"set g1 0 -1 1|x", "STORED"},
		{"get g1", "END"},
	}},
	{"gets cas", []exchange{
		{"gets c1", "END"},
		{"cas c1 0 0 1 1|x", "NOT_FOUND"},
		{"set c1 3 0 1|x", "STORED"},
		{"gets c1", "VALUE c1 3 1 $c|x|END"},
		{"cas c1 4 0 1 $b|y", "EXISTS"},
		{"cas c1 4 0 1 $c|y", "STORED"},
		{"cas c1 4 0 1 $c|z", "EXISTS"},
		{"get c1", "VALUE c1 4 1|y|END"},
		{"gets c1 c2", "VALUE c1 4 1 $c|y|END"},
		{"cas c1 5 0 1 $c noreply|w", ""},
		{"get c1", "VALUE c1 5 1|w|END"},
	}},
	{"gat gats touch", []exchange{
		{"touch t1 100", "NOT_FOUND"},
		{"gat 100 t1", "END"},
		{"set t1 9 0 1|x", "STORED"},
		{"touch t1 100", "TOUCHED"},
		{"mg t1 t", "HD t100"},
		{"gat 200 t1", "VALUE t1 9 1|x|END"},
		{"mg t1 t", "HD t200"},
		{"gats 0 t1 none", "VALUE t1 9 1 $c|x|END"},
		{"mg t1 t", "HD t-1"},
		{"touch t1 300 noreply", ""},
		{"mg t1 t", "HD t300"},
		{"touch t1 -1", "TOUCHED"},
		{"get t1", "END"},
	}},
	{"add replace append prepend", []exchange{
		{"replace a1 0 0 1|x", "NOT_STORED"},
		{"append a1 0 0 1|x", "NOT_STORED"},
		{"prepend a1 0 0 1|x", "NOT_STORED"},
		{"add a1 5 0 1|m", "STORED"},
		{"add a1 6 0 1|n", "NOT_STORED"},
		{"append a1 9 9 2|>>", "STORED"},
		{"prepend a1 9 9 2|<<", "STORED"},
		{"get a1", "VALUE a1 5 5|<<m>>|END"},
		{"replace a1 8 0 1|r", "STORED"},
		{"get a1", "VALUE a1 8 1|r|END"},
		{"append a1 0 0 1 noreply|s", ""},
		{"prepend a1 0 0 1 noreply|q", ""},
		{"add a1 0 0 1 noreply|q", ""},
		{"get a1", "VALUE a1 8 3|qrs|END"},
	}},
	{"incr decr", []exchange{
		{"incr i1 1", "NOT_FOUND"},
		{"decr i1 1", "NOT_FOUND"},
		{"set i1 0 0 2|10", "STORED"},
		{"incr i1 5", "15"},
		{"decr i1 20", "0"},
		{"incr i1 18446744073709551615", "18446744073709551615"},
		{"incr i1 2", "1"},
		{"incr i1 4 noreply", ""},
		{"decr i1 1", "4"},
		{"set i2 0 0 1|x", "STORED"},
		{"incr i2 1", "CLIENT_ERROR cannot increment or decrement non-numeric value"},
		{"get i2", "VALUE i2 0 1|x|END"},
		{"incr i2 x", "CLIENT_ERROR invalid numeric delta argument"},
	}},
	{"delete", []exchange{
		{"delete d1", "NOT_FOUND"},
		{"set d1 0 0 1|x", "STORED"},
		{"delete d1", "DELETED"},
		{"get d1", "END"},
		{"set d1 0 0 1|x", "STORED"},
		{"delete d1 0", "DELETED"},
		{"set d1 0 0 1|x", "STORED"},
		{"delete d1 noreply", ""},
		{"get d1", "END"},
	}},
	{"mg", []exchange{
		{"mg m1", "EN"},
		{"mg m1 v", "EN"},
		{"mg m1 v q", ""},
		{"set m1 9 100 2|hi", "STORED"},
		{"mg m1", "HD"},
		{"mg m1 v", "VA 2|hi"},
		{"mg m1 s v k f t c Oxyz", "VA 2 s2 km1 f9 t100 c$c Oxyz|hi"},
		{"mg m1 k q Oabc", "HD km1 Oabc"},
		{"mg m1 T500 t", "HD t500"},
		{"mg m2 N60 v t", "VA 0 t60 W|"},
		{"mg m2 v", "VA 0 Z|"},
		{"set m3 0 0 1|x", "STORED"},
		{"mg m3 h l", "HD h0 l0"},
		{"mg m3 h", "HD h1"},
		{"mg m1 v k\r\nmg m2x v k q\r\nmg m3 v k", "VA 2 km1|hi|VA 1 km3|x"},
		{"mg bTFi b k v", "EN kbTFi b"},
		{"ms bTFi 1 b|x", "HD"},
		{"mg bTFi b k v", "VA 1 kbTFi b|x"},
	}},
	{"ms", []exchange{
		{"ms s1 2|hi", "HD"},
		{"ms s1 2 F7 T100 k c Oq|ho", "HD ks1 c$c Oq"},
		{"mg s1 v f t", "VA 2 f7 t100|ho"},
		{"ms s1 2 q|hu", ""},
		{"ms s1 1 C$b|x", "EX"},
		{"mg s1 v c", "VA 2 c$c|hu"},
		{"ms s1 1 C$c|y", "HD"},
		{"ms s2 1 C5|x", "NF"},
		{"ms s2 1 MR|x", "NS"},
		{"ms s2 1 ME|x", "HD"},
		{"ms s2 1 ME|x", "NS"},
		{"ms s2 2 MA|yz", "HD"},
		{"ms s2 1 MP|w", "HD"},
		{"mg s2 v", "VA 4|wxyz"},
		{"ms s2 1 MR q|r", ""},
		{"mg s2 v", "VA 1|r"},
		{"ms s4 1 MR q|r", "NS"},
		{"ms czM= 1 b|x", "HD"},
		{"mg czM= b v", "VA 1|x"},
		{"ms s1 1 X|x", "CLIENT_ERROR invalid flag"},
	}},
	{"ma", []exchange{
		{"ma n1", "NF"},
		{"ma n1 N0 J13 v", "VA 2|13"},
		{"ma n1 v", "VA 2|14"},
		{"ma n1 D10 v t", "VA 2 t-1|24"},
		{"ma n1 MD D20 v k", "VA 1 kn1|4"},
		{"ma n1 MD D20 v", "VA 1|0"},
		{"ma n1 q", ""},
		{"ma n2 q", "NF"},
		{"ma n1 T90 t v", "VA 1 t90|2"},
		{"set n3 0 0 1|x", "STORED"},
		{"ma n3", "CLIENT_ERROR cannot increment or decrement non-numeric value"},
	}},
	{"md", []exchange{
		{"md e1", "NF"},
		{"md e1 q k", "NF ke1"},
		{"ms e1 1|x", "HD"},
		{"mg e1 c", "HD c$c"},
		{"md e1 C$b", "EX"},
		{"md e1 C$c k O1", "HD ke1 O1"},
		{"mg e1", "EN"},
		{"ms e2 1|x", "HD"},
		{"md e2 q", ""},
		{"mg e2", "EN"},
		{"ms e3 1|x", "HD"},
		{"md e3 I T30", "HD"},
		{"mg e3 v t", "VA 1 t30 X W|x"},
		{"mg e3 v", "VA 1 Z X|x"},
	}},
	{"me", []exchange{
		{"me o1", "EN"},
	}},
	{"pipelined", []exchange{
		{"set p1 0 0 1|1\r\nset p2 0 0 1|2\r\nset p3 0 0 1|3\r\nget p1\r\nget p2 p3\r\nincr p1 1\r\nget p1\r\ndelete p2\r\nmg p2 v\r\nmg p3 v",
			"STORED|STORED|STORED|VALUE p1 0 1|1|END|VALUE p2 0 1|2|VALUE p3 0 1|3|END|2|VALUE p1 0 1|2|END|DELETED|EN|VA 1|3"},
	}},
}

// admin is said without a key. What a listener with routes answers differs from one without.
var adminTalk = []struct{ say, routed, own string }{
	{"verbosity 1", "SERVER_ERROR not allowed", "OK"},
	{"flush_all", "SERVER_ERROR not allowed", "OK"},
	{"flush_all 0 noreply", "", ""},
	{"get", "CLIENT_ERROR parsing request", "CLIENT_ERROR bad command line format"},
	{"set k 0 0", "CLIENT_ERROR parsing request", "CLIENT_ERROR bad command line format"},
	{"incr k", "CLIENT_ERROR parsing request", "CLIENT_ERROR bad command line format"},
	{"shutdown", "SERVER_ERROR not allowed", "SERVER_ERROR not allowed"},
}

// everyCommand gives three client addresses of one proxy: over leaves, over memcacheds ("" without memcached), and without routes.
func everyCommand(t *testing.T) (p *proxy, leaves, memcacheds, own string) {
	_, urls := startLeaves(t, 3)
	backends := func(addrs []string) (s string) {
		for i, a := range addrs {
			s += fmt.Sprintf("mcp.backend{ label = 'b%d', address = %q }, ", i+1, a)
		}
		return s
	}
	args := []string{"--listen", "tag_leaves_:127.0.0.1:0"}
	second := ""
	if peer.Find("memcached") != "" {
		args = append(args, "--listen", "tag_mc_:127.0.0.1:0")
		second = "mc = mcp.pool({ " + backends([]string{startMemcached(t), startMemcached(t), startMemcached(t)}) + "}, { name = 'mc' }),"
	}
	p = startProxy(t, fmt.Sprintf(`
function mcp_config_pools()
    return { leaves = mcp.pool({ %s }, { name = "leaves" }), %s }
end
function mcp_config_routes(pools)
    for tag, pool in pairs(pools) do
        mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return pool(r) end, tag)
    end
end
`, backends(urls), second), args...)
	p.ready()
	f := p.logged(0, "proxy serves")["addrs"].([]any)
	own = f[0].(string)
	leaves = strings.TrimPrefix(f[1].(string), "tag_leaves_:")
	if second != "" {
		memcacheds = strings.TrimPrefix(f[2].(string), "tag_mc_:")
	}
	return p, leaves, memcacheds, own
}

func TestEveryCommand(t *testing.T) {
	p, leaves, memcacheds, own := everyCommand(t)
	t.Run("leaves", func(t *testing.T) { converse(t, leaves) })
	t.Run("memcached", func(t *testing.T) {
		peer.Need(t, "memcached")
		converse(t, memcacheds)
	})
	t.Run("no routes", func(t *testing.T) { converse(t, own) })
	t.Run("large values", func(t *testing.T) {
		peer.Need(t, "memcached")
		for _, addr := range []string{leaves, memcacheds, own} {
			largeValues(t, addr)
		}
	})
	t.Run("admin", func(t *testing.T) {
		for _, d := range adminTalk {
			if got := dial(t, leaves).hears(d.say); got != d.routed {
				t.Errorf("with routes: %q: %q, want %q", d.say, got, d.routed)
			}
			if got := dial(t, own).hears(d.say); got != d.own {
				t.Errorf("without routes: %q: %q, want %q", d.say, got, d.own)
			}
		}
		for _, addr := range []string{leaves, own} {
			sharedAdmin(t, addr)
		}
		if got := dial(t, own).hears("nonsense 1"); got != "ERROR" {
			t.Errorf("nonsense without routes: %q", got)
		}
		c := dial(t, leaves)
		c.says("nonsense 1\r\n")
		c.ends("") // as memcached's proxy
		// A value of another length: what is left of it is taken for a command, as in memcached.
		c = dial(t, leaves)
		c.says("set k 0 0 3\r\ntoolong\r\n")
		c.ends("CLIENT_ERROR bad data chunk\r\n")
		if got := dial(t, own).hears("set k 0 0 3|toolong"); got != "CLIENT_ERROR bad data chunk|ERROR" {
			t.Errorf("a value that is too long, without routes: %q", got)
		}
	})
	for _, cmd := range strings.Fields("get gets gat gats set add replace append prepend cas incr decr touch delete mg ms md ma me") {
		if got := counted(p, cmd); got == 0 {
			t.Errorf("no %s was counted: the conversation leaves it out, or the proxy does not count it", cmd)
		}
	}
}

// counted is how many requests of a command were answered.
func counted(p *proxy, cmd string) (n float64) {
	for _, m := range p.metrics()["tidepool_requests_total"].GetMetric() {
		for _, l := range m.Label {
			if l.GetName() == "cmd" && l.GetValue() == cmd {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func converse(t *testing.T, addr string) {
	for _, talk := range conversations {
		t.Run(talk.name, func(t *testing.T) {
			c := dial(t, addr)
			cas := uint64(0)
			for _, x := range talk.says {
				say := strings.NewReplacer("$c", strconv.FormatUint(cas, 10), "$b", strconv.FormatUint(cas-1, 10)).Replace(x.say)
				want := regexp.MustCompile(`^(?s)` + strings.ReplaceAll(regexp.QuoteMeta(x.hear), `\$c`, `(\d+)`) + `$`)
				got := c.hears(say)
				m := want.FindStringSubmatch(got)
				if m == nil {
					t.Fatalf("%q: got %q, want %q", say, got, x.hear)
				}
				if len(m) > 1 {
					cas, _ = strconv.ParseUint(m[1], 10, 64)
				}
			}
		})
	}
	c := dial(t, addr)
	for _, x := range []exchange{{"ms debug 1|x", "HD"}, {"mg debug", "HD"}} {
		if got := c.hears(x.say); got != x.hear {
			t.Fatalf("%q: %q, want %q", x.say, got, x.hear)
		}
	}
	if got := c.hears("me debug"); !regexp.MustCompile(`^ME debug exp=-1 la=\d+ cas=\d+ fetch=yes cls=\d+ size=\d+$`).MatchString(got) {
		t.Errorf("me: %q", got)
	}
}

// hears says a line in which "|" is a line end, and gives what comes back in the same form, without the last one.
func (c *client) hears(say string) string {
	c.t.Helper()
	got := c.ask(strings.Replace(say, "|", "\r\n", -1) + "\r\n")
	return strings.TrimSuffix(unwire(got), "|")
}

// unwire writes "|" for the line ends of the protocol. The one value with line ends inside keeps them.
func unwire(s string) string {
	const inside = "a\r\nb\r\n"
	parts := strings.Split(s, inside)
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], "\r\n", "|")
	}
	return strings.Join(parts, inside)
}

// largeValues: up to the item limit every byte comes back, above it nothing is stored, and the connection lives.
func largeValues(t *testing.T, addr string) {
	t.Helper()
	c := dial(t, addr)
	for _, n := range []int{4 << 10, 70_000, 1_000_000} {
		value := strings.Repeat("0123456789abcdef", n/16)
		c.says(fmt.Sprintf("set large 0 0 %d\r\n%s\r\n", len(value), value))
		c.sees("STORED\r\n")
		c.says("get large\r\n")
		c.sees(fmt.Sprintf("VALUE large 0 %d\r\n%s\r\nEND\r\n", len(value), value))
	}
	value := strings.Repeat("x", 1<<20+1)
	c.says(fmt.Sprintf("set large 0 0 %d\r\n%s\r\n", len(value), value))
	c.sees("SERVER_ERROR object too large for cache\r\n")
	if got := c.hears("delete none"); got != "NOT_FOUND" {
		t.Errorf("after the refusal: %q", got)
	}
}

// sharedAdmin is what every listener answers alike: version, stats and quit.
func sharedAdmin(t *testing.T, addr string) {
	t.Helper()
	c := dial(t, addr)
	if got := c.hears("version"); !regexp.MustCompile(`^VERSION \d+\.\d+`).MatchString(got) {
		t.Errorf("version: %q", got)
	}
	for sub, want := range map[string][]string{
		"":          {"STAT pid ", "STAT curr_connections ", "STAT proxy_config_reloads 1", "STAT proxy_req_active "},
		" settings": {"STAT proxy_enabled yes"},
		" proxy":    {"STAT active_req_limit 0", "STAT cmd_mg ", "STAT cmd_replace "},
		" proxybe":  {"END"},
	} {
		got := c.hears("stats" + sub)
		for _, w := range want {
			if !strings.Contains(got, w) || !strings.HasSuffix(got, "END") {
				t.Errorf("stats%s: no %q in %q", sub, w, got)
			}
		}
	}
	c.says("mn\r\nmn\r\n")
	c.sees("MN\r\nMN\r\n")
	c.says("get none\r\nquit\r\nget none\r\n")
	c.ends("END\r\n")
}

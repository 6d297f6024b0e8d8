// Values over the limit: what the client is told, and what becomes of what they were to replace.

package engine

import (
	"strings"
	"testing"
)

func TestTooLargeOnARoute(t *testing.T) {
	const refusal = "SERVER_ERROR object too large for cache\r\n"
	small := func(o *Options) { o.MaxItem = 1000 }
	big := strings.Repeat("x", 2000) + "\r\n"
	long := strings.Repeat("k", 251)
	for _, route := range []string{
		"mcp.attach(mcp.CMD_ANY_STORAGE, p)",
		"mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return p(r) end)",
		"mcp.attach(mcp.CMD_ANY_STORAGE, mcp.router_new{ map = { x = p }, default = p })",
	} {
		c, b, _ := routed(t, route, small)
		for _, d := range []struct{ says, sent, sees string }{
			{"set a 0 0 2000\r\n", "delete a\r\n", refusal},
			{"set a 0 0 2000 noreply\r\n", "delete a\r\n", ""},
			{"ms a 2000\r\n", "md a\r\n", refusal},
			{"ms a 2000 q\r\n", "md a\r\n", refusal},
			{"ms AAEC b 2000\r\n", "", "CLIENT_ERROR parsing request\r\n"},
			{"ms AAEC 2000 b ME C5 k O7\r\n", "md AAEC b\r\n", refusal}, // whatever it was to depend on
			{"add a 0 0 2000\r\n", "", refusal},
			{"add a 0 0 2000 noreply\r\n", "", ""},
			{"replace a 0 0 2000\r\n", "", refusal},
			{"append a 0 0 2000\r\n", "", refusal},
			{"prepend a 0 0 2000\r\n", "", refusal},
			{"cas a 0 0 2000 5\r\n", "", refusal},
			{"set a x 0 2000\r\n", "", refusal}, // no set for any memcached
			{"set " + long + " 0 0 2000\r\n", "", refusal},
		} {
			value := big
			if strings.HasPrefix(d.sees, "CLIENT_ERROR") {
				value = ""
			}
			c.says(d.says + value + "mn\r\n")
			if d.sent != "" {
				b.sees(d.sent)
				b.says(map[bool]string{true: "HD\r\n", false: "NOT_FOUND\r\n"}[d.sent[0] == 'm'])
			}
			c.sees(d.sees + "MN\r\n")
		}
		// What comes behind it finds nothing, though it came at once.
		c.says("set a 0 0 2000\r\n" + big + "get a\r\n")
		b.sees("delete a\r\nget a\r\n")
		b.says("DELETED\r\nEND\r\n")
		c.sees(refusal + "END\r\n")
		// A delete that fails is no other answer.
		b.ln.Close()
		b.conn.Close()
		c.says("set a 0 0 2000\r\n" + big)
		c.sees(refusal)
	}

	// Without a route for deletes there is nowhere to send one; over the limit of requests there is none sent.
	c, _, _ := routed(t, "mcp.attach(mcp.CMD_SET, p)", small)
	c.says("set a 0 0 2000\r\n" + big + "mn\r\n")
	c.sees(refusal + "MN\r\n")
}

// What the proxy itself says to clients where a route is attached, and what it sends and keeps back, as memcached's proxy does.

package engine

import (
	"strings"
	"testing"
)

// Malformed requests are answered where they stand, and no route hears of them.
func TestMalformedOnARoute(t *testing.T) {
	c, b, _ := routed(t, "mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return p(r) end)")
	const parsing = "CLIENT_ERROR parsing request\r\n"
	for _, d := range []struct{ says, sees string }{
		{"get\r\n", parsing}, {"gets\r\n", parsing}, {"delete\r\n", parsing}, {"incr k\r\n", parsing}, {"decr k\r\n", parsing}, {"touch k\r\n", parsing},
		{"gat 0\r\n", parsing}, {"gats 0\r\n", parsing}, {"set a b\r\n", parsing}, {"set a 0 0\r\n", parsing}, {"cas a 0 0\r\n", parsing},
		{"mg\r\n", parsing}, {"md\r\n", parsing}, {"ma\r\n", parsing}, {"me\r\n", parsing}, {"ms a\r\n", parsing},
		{"set a 0 0 x\r\n", parsing}, {"set a 0 0 -1\r\n", parsing}, {"set a 0 0 99999999999\r\n", parsing}, {"ms a x\r\n", parsing},
		{"\r\n", parsing}, {"\n", parsing}, {"mn\n", parsing}, // shorter than four bytes
		{"set a 0 0 2\r\nxxxx", "CLIENT_ERROR bad data chunk\r\n"}, // the body has no line end where it should
		{"ms a 2\r\nxxxx", "CLIENT_ERROR bad data chunk\r\n"},
		{"gat " + strings.Repeat("1", 20) + " a b\r\n", "CLIENT_ERROR malformed request\r\n"},
	} {
		c.says(d.says)
		c.sees(d.sees)
		c.silence()
	}
	// A value is not swallowed behind a line that is wrong: it is the next line.
	c.says("set a b\r\nget x\r\n")
	b.sees("get x\r\n")
	b.says("END\r\n")
	c.sees(parsing + "END\r\n")
	// Spaces may repeat, and a line may end in a bare \n.
	c.says("get   x\nmg x v\n")
	b.sees("get   x\r\nmg x v\r\n")
	b.says("END\r\nEN\r\n")
	c.sees("END\r\nEN\r\n")
}

// One long key of several has its error in its place; the others are asked for.
func TestLongKeyAmongOthers(t *testing.T) {
	c, b, _ := routed(t, "mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return p(r) end)")
	c.says("get a " + strings.Repeat("k", 251) + " b\r\n")
	b.sees("get a\r\nget b\r\n")
	b.says("VALUE a 0 1\r\nx\r\nEND\r\nEND\r\n")
	c.sees("VALUE a 0 1\r\nx\r\nCLIENT_ERROR key too long\r\nEND\r\n")
}

func TestTooLongOnARoute(t *testing.T) {
	for _, says := range []string{"mg " + strings.Repeat("k", 500) + "\r\n", "set k 0 0 2" + strings.Repeat(" ", 500) + "\r\nxx\r\n"} {
		c, _, _ := routed(t, "mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return p(r) end)")
		c.says(says)
		c.sees("CLIENT_ERROR request too long\r\n")
		c.ends()
	}
	c, _, _ := routed(t, "mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return p(r) end)")
	c.says("set " + strings.Repeat("k", 1100)) // no end in sight, and no key list
	c.ends()
}

// What a backend is sent in place of q and noreply, and what of its answers a client wished not to hear.
func TestQuiet(t *testing.T) {
	c, b, _ := routed(t, "mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return p(r) end)")
	for _, d := range []struct{ says, wire, answer, sees string }{
		{"ms a 2 q\r\nhi\r\n", "ms a 2  \r\nhi\r\n", "HD\r\n", ""},
		{"ms a 2 q\r\nhi\r\n", "ms a 2  \r\nhi\r\n", "NS\r\n", "NS\r\n"},
		{"mg a v q\r\n", "mg a v  \r\n", "EN\r\n", ""},
		{"mg a q\r\n", "mg a  \r\n", "HD\r\n", "HD\r\n"},
		{"mg a v q\r\n", "mg a v  \r\n", "VA 1\r\nx\r\n", "VA 1\r\nx\r\n"},
		{"md a q\r\n", "md a  \r\n", "HD\r\n", ""},
		{"md a q\r\n", "md a  \r\n", "EX\r\n", "EX\r\n"},
		{"ma a q\r\n", "ma a  \r\n", "HD\r\n", ""},
		{"set a 0 0 2 noreply\r\nhi\r\n", "set a 0 0 2 noreplY\r\nhi\r\n", "STORED\r\n", ""},
		{"set a 0 0 2 noreply\r\nhi\r\n", "set a 0 0 2 noreplY\r\nhi\r\n", "SERVER_ERROR out of memory\r\n", "SERVER_ERROR out of memory\r\n"},
		{"delete a noreply\r\n", "delete a 0      \r\n", "DELETED\r\n", ""}, // memcached 1.4 answers the other form with a usage line
		{"incr a 1 noreply\r\n", "incr a 1 noreplY\r\n", "2\r\n", ""},
	} {
		c.says(d.says)
		b.sees(d.wire)
		b.says(d.answer)
		c.sees(d.sees)
		c.silence()
	}
}

// A string is said as it is, whatever the client wished not to hear.
func TestStringsAreNotQuiet(t *testing.T) {
	c, _, _ := routed(t, `mcp.attach(mcp.CMD_ANY_STORAGE, function() return "HD\r\n" end)`)
	c.says("ms a 2 q\r\nhi\r\nset a 0 0 2 noreply\r\nhi\r\nmg a\r\n")
	c.sees("HD\r\nHD\r\nHD\r\n")
	c.silence()
}

// Error lines of a backend reach the client as they are; no answer at all is a backend failure.
func TestBackendErrors(t *testing.T) {
	const route = "mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return p(r) end)"
	for _, d := range []struct{ answer, sees string }{
		{"SERVER_ERROR out of memory storing object\r\n", "SERVER_ERROR out of memory storing object\r\n"},
		{"CLIENT_ERROR bad command line format\r\n", "CLIENT_ERROR bad command line format\r\n"},
		{"ERROR\r\n", "ERROR\r\n"},
		{"nonsense\r\n", lineBackendFailure},
	} {
		c, b, _ := routed(t, route)
		c.says("set a 0 0 2\r\nhi\r\n")
		b.sees("set a 0 0 2\r\nhi\r\n")
		b.says(d.answer)
		c.sees(d.sees)
		c.silence()
	}
	c, b, _ := routed(t, route)
	c.says("get a b\r\n") // in a multiget, inline
	b.sees("get a\r\nget b\r\n")
	b.says("SERVER_ERROR busy\r\nEND\r\n")
	c.sees("SERVER_ERROR busy\r\nEND\r\n")
}

func TestInternalRefusesWhatItDoesNotKnow(t *testing.T) {
	c, _, _ := routed(t, "mcp.attach(mcp.CMD_ANY, function(r) return mcp.internal(r) end)")
	for _, says := range []string{"me a\r\n", "version\r\n"} {
		c.says(says)
		c.sees("SERVER_ERROR bad request\r\n")
	}
	c, _, _ = routed(t, `
    local g = mcp.funcgen_new()
    local h = g:new_handle(mcp.internal_handler)
    g:ready{ f = function(rctx) return function(r)
        local res = rctx:enqueue_and_wait(r, h)
        if r:key() == "look" then
            return tostring(res:ok()) .. res:code() .. "\r\n"
        end
        return res
    end end }
    mcp.attach(mcp.CMD_ANY_STORAGE, g)`)
	c.says("me a\r\nme look\r\n")
	c.sees(lineBackendFailure + "false23\r\n")
}

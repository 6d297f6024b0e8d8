// The proxy's own store behind routes, as clients of a stand-in see it: a route may give a request to it directly, by a handle, or by a
// handle of a sub-call, and the answers are a node's.

package main

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// ownStore is a configuration whose keys' first letter says how they reach the store: p directly, h by a handle, s in a sub-call. What l
// gets is described instead of sent.
const ownStore = `
function mcp_config_pools() return true end

local function through(target, name)
    local g = mcp.funcgen_new()
    local h = g:new_handle(target)
    g:ready{ n = name, f = function(rctx) return function(r) return rctx:enqueue_and_wait(r, h) end end }
    return g
end

function mcp_config_routes()
    local top = mcp.funcgen_new()
    local own, sub = top:new_handle(mcp.internal_handler), top:new_handle(through(mcp.internal_handler, "sub"))
    top:ready{ n = "top", f = function(rctx)
        local ways = {
            p = function(r) return mcp.internal(r) end,
            h = function(r) return rctx:enqueue_and_wait(r, own) end,
            s = function(r) return rctx:enqueue_and_wait(r, sub) end,
            l = function(r)
                local res = rctx:enqueue_and_wait(r, own)
                mcp.log_req(r, res, "looked at")
                return string.format("SERVER_ERROR %s %s %d %d %s\r\n", res:ok(), res:hit(), res:code(), res:vlen(), res:line())
            end,
        }
        return function(r) return ways[string.sub(r:key(), 1, 1)](r) end
    end }
    mcp.attach(mcp.CMD_ANY_STORAGE, top)
end
`

func startOwnStore(t *testing.T, args ...string) *standIn {
	return startStandIn(t, append(args, "-t", "1", "-o", "proxy_config="+write(t, "own.lua", ownStore))...)
}

func TestOwnStoreBehindRoutes(t *testing.T) {
	c := startOwnStore(t).dial()
	for _, way := range []string{"p", "h", "s"} {
		for _, d := range []struct{ says, want string }{
			{"ms Ka 2|hi", "HD"},
			{"mg Ka t v", "VA 2 t-1|hi"},
			{"ms Ka 2 T90 k O1|hi", "HD kKa O1"},
			{"md Ka", "HD"},
			{"md Ka", "NF"},
			{"get Ka", "END"},
			{"set Ka 5 0 2|tt", "STORED"},
			{"get Ka", "VALUE Ka 5 2|tt|END"},
			{"mg Ka t", "HD t-1"},
			{"gat 3000 Ka", "VALUE Ka 5 2|tt|END"},
			{"gat 0 Ka Kb", "VALUE Ka 5 2|tt|END"},
			{"touch Ka 0", "TOUCHED"},
			{"touch Kb 0", "NOT_FOUND"},
			{"add Ka 0 0 1|x", "NOT_STORED"},
			{"replace Ka 0 0 1|5", "STORED"},
			{"append Ka 0 0 1|1", "STORED"},
			{"prepend Ka 0 0 1|2", "STORED"},
			{"incr Ka 1", "252"},
			{"decr Ka 300", "0"},
			{"ma Ka v D2", "VA 1|2"},
			{"ma Kc N0 J13 v", "VA 2|13"},
			{"cas Ka 0 0 1 1|x", "EXISTS"},
			{"cas Kb 0 0 1 1|x", "NOT_FOUND"},
			{"delete Ka", "DELETED"},
			{"delete Ka", "NOT_FOUND"},
			// quiet ones, with mn behind them
			{"mg Ka v t q|mn", "MN"},
			{"mg Ka q O1|mg Ka O2|mg Ka q O3|mn", "EN O2|MN"},
			{"ms Ka 2 q|hi|mg Ka v q O4|mg Ka t q O5|mn", "VA 2 O4|hi|HD t-1 O5|MN"},
			{"ma Kc q|md Ka q|mn|md Ka q|mn", "MN|NF|MN"},
			{"set Ka 0 0 2 noreply|hi|delete Kc noreply|mn|get Ka Kc", "MN|VALUE Ka 0 2|hi|END"},
			{"delete Ka", "DELETED"},
		} {
			c.talk(strings.ReplaceAll(d.says, "K", way+"/"), strings.ReplaceAll(d.want, "K", way+"/"))
		}
	}
	c.talk("me p/a|me h/a|me s/a", "SERVER_ERROR bad request|SERVER_ERROR backend failure|SERVER_ERROR backend failure")
}

// Scripts look at the store's answers as at a backend's; to them it never fails.
func TestOwnStoreLookedAt(t *testing.T) {
	s := startOwnStore(t)
	w, c := s.dial(), s.dial()
	w.talk("watch proxyreqs", "OK")
	for _, d := range []struct{ says, want string }{
		{"mg l/a v t", "true false 17 0 nil"},
		{"get l/a", "true false 17 0 nil"},
		{"ms l/a 5|hello", "true true 15 0 nil"},
		{"mg l/a t s h v", "true true 15 5 t-1 s5 h0"},
		{"mg l/a", "true true 15 0 nil"},
		{"incr l/a 1", "true true 22 0 nil"},
		{"incr l/b 1", "true true 13 0 nil"},
		{"add l/a 0 0 1|x", "true true 14 0 nil"},
		{"delete l/a", "true true 10 0 nil"},
	} {
		c.talk(d.says, "SERVER_ERROR "+d.want)
		line, err := w.r.ReadString('\n')
		if err != nil || !strings.Contains(line, "be=internal:0 detail=looked at req="+strings.Split(d.says, "|")[0]) {
			t.Errorf("the watcher of %q sees %q (%v)", d.says, line, err)
		}
	}
}

// Keys of a multiget are asked for one by one, and answered as if they were not.
func TestOwnStoreMultiget(t *testing.T) {
	c := startOwnStore(t).dial()
	for _, way := range []string{"p", "h", "s"} {
		var keys, values []string
		for i := range 51 {
			key := fmt.Sprintf("%s/%d", way, i)
			keys, values = append(keys, key), append(values, fmt.Sprintf("VALUE %s 0 2|hi", key))
		}
		c.talk("get "+strings.Join(keys, " ")+"|version", "END|VERSION "+versionOf(t, c))
		for _, key := range keys {
			c.talk("set "+key+" 0 0 2|hi", "STORED")
		}
		c.talk("get "+strings.Join(keys, " "), strings.Join(values, "|")+"|END")
	}
}

func versionOf(t *testing.T, c *conversation) string {
	io.WriteString(c, "version\r\n")
	line, err := c.r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(strings.TrimSpace(line), "VERSION ")
}

func TestOwnStoreLargeValues(t *testing.T) {
	c := startOwnStore(t, "-m", "16").dial()
	for _, way := range []string{"p", "h", "s"} {
		over := strings.Repeat("x", 2_000_000)
		c.talk("set "+way+"/over 0 0 2000000|"+over, "SERVER_ERROR object too large for cache")
		c.talk("ms "+way+"/over 2000000 T30|"+over, "SERVER_ERROR object too large for cache")
		for _, n := range []int{500_000, 900_000} {
			value := strings.Repeat("y", n)
			c.talk(fmt.Sprintf("set %s/large 0 0 %d|%s", way, n, value), "STORED")
			c.talk("get "+way+"/large", fmt.Sprintf("VALUE %s/large 0 %d|%s|END", way, n, value))
			c.talk("delete "+way+"/large", "DELETED")
		}
		// Many times what the memory holds: what routes have had is given back.
		value := strings.Repeat("z", 500_000)
		for i := range 60 {
			c.talk(fmt.Sprintf("ms %s/%d 500000 T30|%s", way, i, value), "HD")
		}
		c.talk(fmt.Sprintf("mg %s/59 s", way), "HD s500000")
	}
}

// Many requests at once are answered in their order, and deletions are told of.
func TestOwnStorePipelined(t *testing.T) {
	s := startOwnStore(t)
	c := s.dial()
	var ask, want strings.Builder
	for i := range 300 {
		value := fmt.Sprintf("%s%05d", strings.Repeat("v", 1000), i)
		c.talk(fmt.Sprintf("ms h/%d %d|%s", i, len(value), value), "HD")
		fmt.Fprintf(&ask, "mg h/%d k v|", i)
		fmt.Fprintf(&want, "VA %d kh/%d|%s|", len(value), i, value)
	}
	c.talk(ask.String()+"mn", want.String()+"MN")
	w := s.dial()
	w.talk("watch deletions", "OK")
	c.talk("set h/gone 0 0 4|gone|delete h/gone|set s/gone 0 0 4|gone|md s/gone", "STORED|DELETED|STORED|HD")
	for _, want := range []string{"key=h%2Fgone cmd=delete ", "key=s%2Fgone cmd=md "} {
		line, err := w.r.ReadString('\n')
		if err != nil || !strings.Contains(line, "type=deleted "+want) || !strings.HasSuffix(line, " size=4\n") {
			t.Errorf("the watcher sees %q (%v), want %s", line, err, want)
		}
	}
}

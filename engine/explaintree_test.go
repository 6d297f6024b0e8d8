// Explain's tree: which requests follow on which answers, and what the client gets.

package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// tree writes what Explain finds, one line for each way through it.
func tree(st *Step, before string) (lines []string) {
	if st == nil {
		return []string{strings.TrimSpace(before + " ...")}
	}
	if st.End != nil {
		line := fmt.Sprintf("%s = %q %d", before, st.End.Answer, st.End.From)
		for _, s := range st.End.Later {
			line += " later " + s.Pool
		}
		return []string{strings.TrimSpace(line)}
	}
	if st.After > 0 {
		before += fmt.Sprintf(" after %g", st.After)
	}
	for _, s := range st.Sent {
		before += " " + s.Pool
	}
	if st.Within > 0 {
		before += fmt.Sprintf(" (%g)", st.Within)
	}
	for _, c := range st.Cases {
		var ways []string
		for _, w := range c.When {
			ways = append(ways, strings.Join(w, "+"))
		}
		lines = append(lines, tree(c.Then, strings.TrimSpace(before+" "+strings.Join(ways, "|")))...)
	}
	return lines
}

func TestExplainTree(t *testing.T) {
	f := func(request, route string, want ...string) {
		t.Helper()
		path := writeConfig(t, `
function mcp_config_pools()
    local function pool(name, n) return mcp.pool({ mcp.backend(name, "127.0.0.1", n) }, { name = name }) end
    return { a = pool("a", 1), b = pool("b", 2), none = mcp.pool({}, { name = "none" }) }
end
function mcp_config_routes(p)
    local g = mcp.funcgen_new()
    local a, b, own = g:new_handle(p.a), g:new_handle(p.b), g:new_handle(mcp.internal_handler)
    local web = mcp.http{ url = 'http://127.0.0.1:1/' }
    local function serve(rctx, r)
        `+route+`
    end
    g:ready{ n = "g", f = function(rctx) return function(r) return serve(rctx, r) end end }
    mcp.attach(mcp.CMD_ANY_STORAGE, g)
end`)
		e, err := Explain(Options{Files: []string{path}}, "", []byte(request))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(tree(e.First, ""), "\n")
		if got != strings.Join(want, "\n") {
			t.Errorf("%q: %s\ngives\n%s\nwant\n%s", request, route, got, strings.Join(want, "\n"))
		}
		if e.Cut || e.Unsteady {
			t.Errorf("cut %v, unsteady %v", e.Cut, e.Unsteady)
		}
	}
	const down = `"SERVER_ERROR backend failure\r\n"`
	f("get k\r\n", "return rctx:enqueue_and_wait(r, a)",
		`a hit = "VALUE k 0 1\r\na\r\nEND\r\n" 1`, `a miss = "END\r\n" 1`, `a down = `+down+` 1`)
	// A time limit, and what comes after it: the answer that was late may still win.
	f("mg k s\r\n", "local res = rctx:enqueue_and_wait(r, a, 0.5) if res then return res end return rctx:enqueue_and_wait(r, b)",
		`a (0.5) hit = "HD s1\r\n" 1`, `a (0.5) miss = "EN\r\n" 1`, `a (0.5) down = `+down+` 1`,
		`a (0.5) silent after 0.5 b hit = "HD s1\r\n" 2`, `a (0.5) silent after 0.5 b miss = "EN\r\n" 2`, `a (0.5) silent after 0.5 b down = `+down+` 2`)
	f("get k\r\n", "rctx:sleep(60) return rctx:enqueue_and_wait(r, a)",
		`after 60 a hit = "VALUE k 0 1\r\na\r\nEND\r\n" 1`, `after 60 a miss = "END\r\n" 1`, `after 60 a down = `+down+` 1`)
	// Two at once: every way in which both may go.
	f("set k 0 0 1\r\nx\r\n", "rctx:enqueue(r, { a, b }) rctx:wait_cond(2, mcp.WAIT_OK) return rctx:worst_result({ a, b })",
		`a b stored+stored = "STORED\r\n" 2`, `a b stored+down|down+down = `+down+` 2`, `a b down+stored = `+down+` 1`)
	// What is not waited for does not matter.
	f("delete k\r\n", "rctx:enqueue(r, b) rctx:wait_cond(0) return 'DELETED\\r\\n'", `= "DELETED\r\n" 0 later b`)
	f("delete k\r\n", "rctx:enqueue(r, b) return rctx:enqueue_and_wait(r, a)",
		`a b hit+hit|hit+miss|hit+down = "DELETED\r\n" 1`, `a b miss+hit|miss+miss|miss+down = "NOT_FOUND\r\n" 1`, `a b down+hit|down+miss|down+down = `+down+` 1`)
	// The proxy's own store, and a pool without backends.
	f("get k\r\n", "local res = rctx:enqueue_and_wait(r, own) if res:hit() then return res end return rctx:enqueue_and_wait(r, a)",
		`hit = "VALUE k 0 21\r\nthe proxy's own store\r\nEND\r\n" 1`, `miss a hit = "VALUE k 0 1\r\na\r\nEND\r\n" 2`, `miss a miss = "END\r\n" 2`, `miss a down = `+down+` 2`)
	f("get k\r\n", "return web(r)",
		`http://127.0.0.1:1/%k hit = "VALUE k 0 21\r\nhttp://127.0.0.1:1/%k\r\nEND\r\n" 1`, `http://127.0.0.1:1/%k miss = "END\r\n" 1`, `http://127.0.0.1:1/%k down = `+down+` 1`)
	f("get k\r\n", "return p.none(r)", `none down = `+down+` 1`)
	f("get k\r\n", "return 'x\\r\\n'", `= "x\r\n" 0`)
	// What a route does to the request shows in what is sent.
	f("ms k 1 I\r\nx\r\n", "r:flag_set('M', 'E') return rctx:enqueue_and_wait(r, a)",
		`a not stored = "NS\r\n" 1`, `a stored = "HD\r\n" 1`, `a down = `+down+` 1`)
}

// A route that asks again and again has no end: it is cut, and said to be.
func TestExplainCuts(t *testing.T) {
	path := writeConfig(t, `
function mcp_config_pools() return mcp.pool({ mcp.backend("a", "127.0.0.1", 1) }, { name = "a" }) end
function mcp_config_routes(p) mcp.attach(mcp.CMD_GET, function(r) local res repeat res = p(r) until res:hit() return res end) end`)
	e, err := Explain(Options{Files: []string{path}}, "", []byte("get k\r\n"))
	if err != nil || !e.Cut {
		t.Errorf("%v; cut is %v", err, e != nil && e.Cut)
	}
}

// Canned answers are such as a backend gives: they parse, and are hits, misses and successes to scripts.
func TestCannedAnswers(t *testing.T) {
	f := func(request, hit, miss string) {
		t.Helper()
		var r mc.Request
		var parser mc.Parser
		if n, _, err := parser.Next([]byte(request), &mc.Rules{Routed: true, MaxValue: 100}, &r); err != nil || n != len(request) || r.Bad != mc.BadNone {
			t.Fatalf("%q: %v, bad %v", request, err, r.Bad)
		}
		for o, want := range map[outcome]string{outcomeHit: hit, outcomeMiss: miss} {
			got := string(canned(nil, &r, o, "val"))
			var resp mc.Response
			if n, _, err := mc.ParseResponse([]byte(got), &resp); got != want || err != nil || n != len(got) {
				t.Errorf("%q, %s: %q, want %q (%v)", request, o, got, want, err)
			}
		}
	}
	f("get k\r\n", "VALUE k 0 3\r\nval\r\nEND\r\n", "END\r\n")
	f("gets k\r\n", "VALUE k 0 3 1\r\nval\r\nEND\r\n", "END\r\n")
	f("gat 5 k\r\n", "VALUE k 0 3\r\nval\r\nEND\r\n", "END\r\n")
	f("set k 0 0 1\r\nx\r\n", "STORED\r\n", "STORED\r\n")
	f("add k 0 0 1\r\nx\r\n", "NOT_STORED\r\n", "STORED\r\n")
	f("append k 0 0 1\r\nx\r\n", "STORED\r\n", "NOT_STORED\r\n")
	f("cas k 0 0 1 7\r\nx\r\n", "STORED\r\n", "NOT_FOUND\r\n")
	f("delete k\r\n", "DELETED\r\n", "NOT_FOUND\r\n")
	f("touch k 1\r\n", "TOUCHED\r\n", "NOT_FOUND\r\n")
	f("incr k 1\r\n", "1\r\n", "NOT_FOUND\r\n")
	f("mg k v t f s c k O12 h l b\r\n", "VA 3 t-1 f0 s3 c1 kk O12 h0 l0 b\r\nval\r\n", "EN\r\n")
	f("mg k\r\n", "HD\r\n", "EN\r\n")
	f("mg k v N30\r\n", "VA 3\r\nval\r\n", "VA 0 W\r\n\r\n")
	f("ms k 1 c O1\r\nx\r\n", "HD c1 O1\r\n", "HD c1 O1\r\n")
	f("ms k 1 ME\r\nx\r\n", "NS\r\n", "HD\r\n")
	f("ms k 1 MA\r\nx\r\n", "HD\r\n", "NS\r\n")
	f("ms k 1 C9\r\nx\r\n", "HD\r\n", "NF\r\n")
	f("md k\r\n", "HD\r\n", "NF\r\n")
	f("ma k v\r\n", "VA 1\r\n1\r\n", "NF\r\n")
	f("ma k\r\n", "HD\r\n", "NF\r\n")
	f("me k\r\n", "ME k exp=-1 la=0 cas=1 fetch=yes cls=1 size=3\r\n", "EN\r\n")
}

// What is in the library stands where the user's file asks for it.
func TestExplainNamesPlaces(t *testing.T) {
	path := writeConfig(t, `local failover, near = require "routes.failover", require "routes.near"
function mcp_config_pools()
    return { a = mcp.pool({ mcp.backend("a", "127.0.0.1", 1) }, { name = "a" }), b = mcp.pool({ mcp.backend("b", "127.0.0.1", 2) }, { name = "b" }) }
end
function mcp_config_routes(p)
    mcp.attach(mcp.CMD_GET, failover{
        children = { near{ child = p.a }, p.b } })
    mcp.attach(mcp.CMD_SET, function() return "x" end)
end`)
	f := func(request string, want ...string) {
		t.Helper()
		e, err := Explain(Options{Files: []string{path}}, "", []byte(request))
		if err != nil {
			t.Fatal(err)
		}
		got := []string{e.Tree.String()}
		for _, n := range e.Tree.Handles {
			got = append(got, n.String())
		}
		if strings.ReplaceAll(strings.Join(got, "; "), path, "CONF") != strings.Join(want, "; ") {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f("get k\r\n", "generator failover (CONF:6)", "generator near (CONF:7)", "pool b")
	f("set k 0 0 0\r\n\r\n", "function CONF:8")
}

// explain --live, on a running proxy over a leaf and a memcached server.

package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine"
)

func TestExplainLive(t *testing.T) {
	l := start(t, "leaf", "--name", "leaf-1", "--listen", "127.0.0.1:0", "--memory", "8MiB")
	url := l.logged(0, "leaf ready")["url"].(string)
	empty := newNoter(t)
	_, addr, admin := startProxy(t, fmt.Sprintf(`
function mcp_config_pools()
    return { first = mcp.pool({ mcp.backend(%q) }, { name = "first" }), second = mcp.pool({ mcp.backend(%q) }, { name = "second" }) }
end
function mcp_config_routes(p)
    local g = mcp.funcgen_new()
    local a, b = g:new_handle(p.first), g:new_handle(p.second)
    g:ready{ n = "failover", f = function(rctx) return function(r)
        local res = rctx:enqueue_and_wait(r, a, 5)
        return res and res:hit() and res or rctx:enqueue_and_wait(r, b)
    end end }
    mcp.attach(mcp.CMD_GET, g)
    mcp.attach(mcp.CMD_SET, p.second)
    mcp.attach(mcp.CMD_GET, p.second, "b")
end`, empty.Addr(), url))
	if got := talk(t, addr, "set k 0 0 1\r\nv\r\n", 1); got != "STORED\r\n" {
		t.Fatal(got)
	}
	run := func(args ...string) (string, string, int) {
		c := exec.Command(binary, append([]string{"explain", "--live"}, args...)...)
		var out, errs strings.Builder
		c.Stdout, c.Stderr = &out, &errs
		_ = c.Run() // the code tells
		return out.String(), errs.String(), c.ProcessState.ExitCode()
	}
	text, errs, code := run(admin, "get", "k")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	const us = `[0-9.]+ µs`
	for _, want := range []string{
		`^request  get k\nroute    generator failover \(.*routes.lua:6\)\n           0: pool first\n           1: pool second\n`,
		`\nsent to  1. pool first: "get k"\n`,
		`\n            queued at ` + us + `, written at ` + us + `, answered at ` + us + `: "END" \(queue ` + us + `, wire ` + us + `\)\n`,
		`\nwaited   from ` + us + `, 5000000 µs at most, to ` + us + `, with the answer of 1\n`,
		`\n  sent to  2. pool second: "get k"\n`,
		`\n              backend 1 of 1: .*nats:`,
		`\n              queued at ` + us + `, written at ` + us + `, answered at ` + us + `: "VALUE k 0 1" `,
		`\n  waited   from ` + us + `, to ` + us + `, with the answer of 2\n`,
		`\n  answer   "VALUE k 0 1\\r\\nv\\r\\nEND\\r\\n", from 2\ntook     ` + us + `, in generation 1\n$`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}

	text, _, _ = run(admin, "get", "k", "--tag", "b", "--json")
	var live engine.Live
	if err := json.Unmarshal([]byte(text), &live); err != nil || live.Route != "second" || len(live.Steps) != 1 || live.From != 1 {
		t.Errorf("%v: %s", err, text)
	}
	f := func(code int, want string, args ...string) {
		t.Helper()
		out, errs, got := run(args...)
		if got != code || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%q: exit code %d, %q, %q; want %d, %q", args, got, out, errs, code, want)
		}
	}
	f(1, `400 Bad Request: no route is attached for the tag "x": there are ["b"]`, admin, "get", "k", "--tag", "x")
	f(2, "want a command and a key", admin, "get")
	f(2, `"fetch" is no command that has a key`, admin, "fetch", "k")
	f(1, "connection refused", "127.0.0.1:1", "get", "k")
	f(1, "cannot read the admin token", admin, "get", "k", "--admin-token", "@/none")
}

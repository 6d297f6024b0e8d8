// tidepool import of mcrouter's JSON: each kind of route does with real servers what mcrouter says that it does.

package system_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/pools/hash"
)

// mcrouterJSON routes by key prefix; A, B and C stand for servers, DEAD for one that is not there.
const mcrouterJSON = `{
  // pools of one server each, so that every test sees what reached it
  "pools": {
    "a": { "servers": ["A"] }, "b": { "servers": ["B"] }, "c": { "servers": ["C"] },
    "dead": { "servers": ["DEAD"], "connect_timeout": 500 },
    "ab": { "servers": ["A", "B"] }
  },
  "named_handles": [ { "type": "FailoverRoute", "name": "dead-then-b", "children": ["PoolRoute|dead", "PoolRoute|b"] } ],
  "routes": [
    { "aliases": ["/east/one/"], "route": {
      "type": "PrefixSelectorRoute",
      "policies": {
        "sync:": { "type": "AllSyncRoute", "children": ["PoolRoute|a", "PoolRoute|b"] },
        "sync-dead:": { "type": "AllSyncRoute", "children": ["PoolRoute|a", "PoolRoute|dead"] },
        "mixed:": { "type": "AllSyncRoute", "children": ["PoolRoute|a", "dead-then-b"] },
        "servers:": "AllSyncRoute|Pool|ab",
        "async:": { "type": "AllAsyncRoute", "children": ["PoolRoute|a", "PoolRoute|b"] },
        "initial:": { "type": "AllInitialRoute", "children": ["PoolRoute|a", "PoolRoute|b"] },
        "fastest:": { "type": "AllFastestRoute", "children": ["PoolRoute|dead", "PoolRoute|b"] },
        "majority:": { "type": "AllMajorityRoute", "children": ["PoolRoute|a", "PoolRoute|dead", "PoolRoute|b"] },
        "fail:": "dead-then-b",
        "miss:": { "type": "MissFailoverRoute", "children": ["PoolRoute|a", "PoolRoute|b"] },
        "warm:": { "type": "WarmUpRoute", "cold": "PoolRoute|a", "warm": "PoolRoute|b", "exptime": 100 },
        "fail-ab:": { "type": "FailoverRoute", "children": ["PoolRoute|a", "PoolRoute|b"] },
        "warm-dead:": { "type": "WarmUpRoute", "cold": "PoolRoute|dead", "warm": "PoolRoute|b", "exptime": 100 },
        "gutter-as-is:": { "type": "FailoverWithExptimeRoute", "normal": "PoolRoute|dead", "failover": "PoolRoute|b", "failover_exptime": 0 },
        "gutter:": { "type": "FailoverWithExptimeRoute", "normal": "PoolRoute|dead", "failover": "PoolRoute|b", "failover_exptime": 50 },
        "ops:": { "type": "OperationSelectorRoute", "default_policy": "PoolRoute|a", "operation_policies": { "set": "PoolRoute|b", "delete": "NullRoute" } },
        "shadow:": { "type": "PoolRoute", "pool": "a", "shadows": [ { "target": "PoolRoute|b", "index_range": [0, 0], "key_fraction_range": [0, 1] } ] },
        "null:": "NullRoute",
        "error:": "ErrorRoute|gone fishing",
        "later:": { "type": "LatestRoute", "children": ["PoolRoute|a"] }
      },
      "wildcard": "HashRoute|Pool|ab" } },
    { "aliases": ["/west/one/"], "route": "PoolRoute|c" },
    { "aliases": ["/west/fallback/"], "route": "PoolRoute|b" }
  ]
}`

// holds wants that of a memcached itself.
func (c *client) holds(key, value string) {
	c.t.Helper()
	if !c.has(key, value) {
		c.t.Errorf("the server has %q for %s, want %q", c.ask("get "+key+"\r\n"), key, value)
	}
}

// holdsSoon waits for what nobody waits for on the way.
func (c *client) holdsSoon(key string) {
	c.t.Helper()
	eventually(c.t, "the server has "+key, func() bool { return !c.has(key, absent) })
}

func TestImportedMCRouterRoutes(t *testing.T) {
	dead := listen(t)
	nobody := dead.Addr().String()
	_ = dead.Close()
	addrs := map[string]string{"A": startMemcached(t), "B": startMemcached(t), "C": startMemcached(t), "DEAD": nobody}
	config := mcrouterJSON
	for name, addr := range addrs {
		config = strings.ReplaceAll(config, `"`+name+`"`, `"`+addr+`"`)
	}
	path := write(t, "mcrouter.json", config)
	made := output(t, tidepool, "import", path, "--route-prefix", "/east/one/")
	p := startProxy(t, made)
	cl, a, b, c := dial(t, p.addr), dial(t, addrs["A"]), dial(t, addrs["B"]), dial(t, addrs["C"])

	f := func(says, want string) {
		t.Helper()
		if got := cl.ask(says); got != want {
			t.Errorf("%q is answered with %q, want %q", says, got, want)
		}
	}
	set := func(key, want string) {
		t.Helper()
		f("set "+key+" 0 0 1\r\nx\r\n", want)
	}
	const failed = "SERVER_ERROR backend failure\r\n"

	set("sync:1", "STORED\r\n")
	a.holds("sync:1", "x")
	b.holds("sync:1", "x")
	set("sync-dead:1", failed) // the worst answer
	a.holds("sync-dead:1", "x")
	set("mixed:1", "STORED\r\n")
	a.holds("mixed:1", "x")
	b.holds("mixed:1", "x")
	set("servers:1", "STORED\r\n")
	a.holds("servers:1", "x")
	b.holds("servers:1", "x")
	set("async:1", "NOT_STORED\r\n") // as a null route answers
	a.holdsSoon("async:1")
	b.holdsSoon("async:1")
	f("set async:2 0 0 1 noreply\r\nx\r\n", "")
	f("get async:1\r\n", "END\r\n")
	set("initial:1", "STORED\r\n")
	a.holds("initial:1", "x")
	b.holdsSoon("initial:1")
	set("fastest:1", "STORED\r\n")
	b.holds("fastest:1", "x")
	set("majority:1", "STORED\r\n")
	set("fail:1", "STORED\r\n")
	b.holds("fail:1", "x")
	f("get fail:none\r\n", "END\r\n")
	// What the client did wrong is no failure of the server: the next is not asked.
	a.ask("set fail-ab:1 0 0 1\r\nx\r\n")
	b.ask("set fail-ab:1 0 0 1\r\n5\r\n")
	f("incr fail-ab:1 1\r\n", "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n")
	b.holds("fail-ab:1", "5")

	b.ask("set miss:1 0 0 1\r\nb\r\n")
	f("get miss:1\r\n", "VALUE miss:1 0 1\r\nb\r\nEND\r\n")
	set("miss:2", "STORED\r\n")
	b.holds("miss:2", absent) // what stores goes to the first only
	f("delete miss:1\r\n", "DELETED\r\n")
	b.holds("miss:1", absent)

	b.ask("set warm:1 7 0 5\r\nhello\r\n")
	f("get warm:1\r\n", "VALUE warm:1 7 5\r\nhello\r\nEND\r\n")
	a.holdsSoon("warm:1")
	if got := a.ask("mg warm:1 f t v\r\n"); got != "VA 5 f7 t100\r\nhello\r\n" && got != "VA 5 f7 t99\r\nhello\r\n" {
		t.Errorf("cold was filled with %q", got)
	}
	b.ask("set warm:2 0 0 2\r\nhi\r\n")
	if got := cl.ask("gets warm:2\r\n"); !strings.HasPrefix(got, "VALUE warm:2 0 2 ") {
		t.Errorf("gets is answered with %q", got)
	}
	f("get warm:none\r\n", "END\r\n")
	set("warm:3", "STORED\r\n")
	b.holds("warm:3", absent)

	b.ask("set warm-dead:1 0 0 1\r\nx\r\n")
	f("get warm-dead:1\r\n", "VALUE warm-dead:1 0 1\r\nx\r\nEND\r\n")
	f("mg warm-dead:1 v\r\n", "VA 1\r\nx\r\n")
	set("warm-dead:2", failed)

	// In the gutter nothing lives longer than 50 seconds, nor longer than the client asked for.
	lives := func(key string, want int) {
		t.Helper()
		got := b.ask("mg " + key + " t\r\n")
		if got != fmt.Sprintf("HD t%d\r\n", want) && got != fmt.Sprintf("HD t%d\r\n", want-1) {
			t.Errorf("%s in the gutter: %q, want %d seconds to live", key, got, want)
		}
	}
	set("gutter:1", "STORED\r\n")
	lives("gutter:1", 50)
	f("set gutter:2 0 500 1\r\nx\r\n", "STORED\r\n")
	lives("gutter:2", 50)
	f("set gutter:3 0 20 1\r\nx\r\n", "STORED\r\n")
	lives("gutter:3", 20)
	f("ms gutter:4 1\r\nx\r\n", "HD\r\n")
	lives("gutter:4", 50)
	f("ms gutter:5 1 T20\r\nx\r\n", "HD\r\n")
	lives("gutter:5", 20)
	f("gat 500 gutter:3\r\n", "VALUE gutter:3 0 1\r\nx\r\nEND\r\n")
	lives("gutter:3", 50)
	f("mg gutter:5 T500 v\r\n", "VA 1\r\nx\r\n")
	lives("gutter:5", 50)
	f("touch gutter:1 20\r\n", "TOUCHED\r\n")
	lives("gutter:1", 20)
	f("set gutter:6 0 -1 1\r\nx\r\n", "STORED\r\n")
	b.holds("gutter:6", absent)
	f("set gutter-as-is:1 0 500 1\r\nx\r\n", "STORED\r\n")
	lives("gutter-as-is:1", 500)

	set("ops:1", "STORED\r\n")
	a.holds("ops:1", absent)
	b.holds("ops:1", "x")
	f("get ops:1\r\n", "END\r\n")
	f("delete ops:1\r\n", "NOT_FOUND\r\n")
	b.holds("ops:1", "x")

	set("shadow:1", "STORED\r\n")
	a.holds("shadow:1", "x")
	b.holdsSoon("shadow:1")

	f("get null:1\r\n", "END\r\n")
	set("null:1", "NOT_STORED\r\n")
	f("set null:1 0 0 1 noreply\r\nx\r\n", "")
	f("incr null:1 1\r\n", "NOT_FOUND\r\n")
	f("mg null:1 v q\r\n", "")
	f("mg null:1 v\r\n", "EN\r\n")
	f("ms null:1 1\r\nx\r\n", "NS\r\n")
	f("get error:1\r\n", "SERVER_ERROR gone fishing\r\n")
	f("get later:1\r\n", "SERVER_ERROR import: LatestRoute has no equivalent\r\n")

	// Routing prefixes are cut off, and put back into the answer.
	set("/west/one/k", "STORED\r\n")
	c.holds("k", "x")
	f("get /west/one/k\r\n", "VALUE /west/one/k 0 1\r\nx\r\nEND\r\n")
	set("/east/one/sync:2", "STORED\r\n")
	b.holds("sync:2", "x")
	set("/west/two/fallback", "STORED\r\n")
	b.holds("fallback", "x")
	f("get /west/*/k\r\n", "SERVER_ERROR no route for this routing prefix\r\n")
	f("get /*/*/k\r\n", "SERVER_ERROR no route for this routing prefix\r\n")
	f("get /north/one/k\r\n", "SERVER_ERROR no route for this routing prefix\r\n")
	f("get /west/one/\r\n", "CLIENT_ERROR nothing is left of the key behind its prefix\r\n")
	f("get sync:1 /west/one/k null:1 sync:2\r\n",
		"VALUE sync:1 0 1\r\nx\r\nVALUE /west/one/k 0 1\r\nx\r\nVALUE sync:2 0 1\r\nx\r\nEND\r\n")

	// Keys without a policy are spread, and what follows a hash stop does not count.
	ch3, err := hash.NewCh3(2, "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		stem := fmt.Sprintf("w%d", i)
		key := fmt.Sprintf("%s|#|%d", stem, i*7)
		set(key, "STORED\r\n")
		on, off := a, b
		if ch3.PickKey([]byte(stem)) == 1 {
			on, off = b, a
		}
		on.holds(key, "x")
		off.holds(key, absent)
	}
}

package face

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/tests/natsd"
)

func b64(s string) string { return "key:" + base64.StdEncoding.EncodeToString([]byte(s)) }

// TestOperations is a conversation with real leaves behind real routes.
func TestOperations(t *testing.T) {
	ns := natsd.Start(t)
	p := startEngine(t, flat(startLeaves(t, 3)))
	startFace(t, urlOf(ns), p)
	c := dial(t, urlOf(ns))
	for _, d := range []struct {
		subject, payload string
		headers          []string
		want             string
	}{
		{"cache.foo", "", []string{"op:get"}, "miss"},
		{"cache.foo", "bar", []string{"op:set"}, "stored"},
		{"cache.foo", "", []string{"op:get"}, `hit "bar"`},
		{"cache.foo", "", []string{"Op: get"}, `hit "bar"`},
		{"cache.foo", "", []string{"OP:get", "X-Trace:1", "traceparent:00-x"}, `hit "bar"`},
		{"cache.foo", "x", []string{"op:add"}, "not-stored"},
		{"cache.new", "x", []string{"op:replace"}, "not-stored"},
		{"cache.new", "x", []string{"op:add", "flags:7"}, "stored"},
		{"cache.new", "", []string{"op:get"}, `hit flags=7 "x"`},
		{"cache.new", "y\r\nz", []string{"op:replace", "flags:4294967295"}, "stored"},
		{"cache.new", "", []string{"op:get"}, `hit flags=4294967295 "y\r\nz"`},
		{"cache.empty", "", []string{"op:set"}, "stored"},
		{"cache.empty", "", []string{"op:get"}, "hit"},

		{"cache.ttl", "x", []string{"op:set", "ttl:100"}, "stored"},
		{"cache.ttl", "", []string{"op:get"}, `hit ttl=100 "x"`},
		{"cache.ttl", "", []string{"op:touch", "ttl:0"}, "touched"},
		{"cache.ttl", "", []string{"op:get"}, `hit "x"`},
		{"cache.ttl", "", []string{"op:get", "ttl:50"}, `hit ttl=50 "x"`},
		{"cache.ttl", "", []string{"op:get"}, `hit ttl=50 "x"`},
		{"cache.none", "", []string{"op:touch", "ttl:5"}, "miss"},

		{"cache.foo", "x", []string{"op:cas", "cas:1"}, "exists"},
		{"cache.none", "x", []string{"op:cas", "cas:1"}, "miss"},
		{"cache.foo", "", []string{"op:del", "cas:1"}, "exists"},
		{"cache.foo", "", []string{"op:del"}, "deleted"},
		{"cache.foo", "", []string{"op:del"}, "miss"},
		{"cache.foo", "", []string{"op:get"}, "miss"},

		{"cache.n", "", []string{"op:incr"}, "miss"},
		{"cache.n", "", []string{"op:incr", "initial:40"}, `stored "40"`},
		{"cache.n", "", []string{"op:incr"}, `stored "41"`},
		{"cache.n", "9", []string{"op:incr", "initial:0"}, `stored "50"`},
		{"cache.n", "8", []string{"op:decr"}, `stored "42"`},
		{"cache.n", "100", []string{"op:decr"}, `stored "0"`},
		{"cache.m", "", []string{"op:decr", "initial:3", "ttl:60"}, `stored "3"`},
		{"cache.m", "", []string{"op:get"}, `hit ttl=60 "3"`},
		{"cache.m", "1", []string{"op:incr", "ttl:90"}, `stored "4"`},
		{"cache.m", "", []string{"op:get"}, `hit ttl=90 "4"`},
		{"cache.new", "", []string{"op:incr"}, "error Error-Code=400 Error=CLIENT_ERROR cannot increment or decrement non-numeric value"},

		{"cache._", "1", []string{"op:set"}, "stored"}, // a key like any other
		{"cache._", "2", []string{"op:set", b64("a b\x00\r\n")}, "stored"},
		{"cache._", "", []string{"op:get", b64("a b\x00\r\n")}, `hit "2"`},
		{"cache._", "", []string{"op:touch", "ttl:9", b64("a b\x00\r\n")}, "touched"},
		{"cache._", "", []string{"op:get", b64("a b\x00\r\n")}, `hit ttl=9 "2"`},
		{"cache._", "", []string{"op:touch", "ttl:9", b64("no such")}, "miss"},
		{"cache._", "", []string{"op:get"}, `hit "1"`},
		{"cache._", "3", []string{"op:set", b64("n n")}, "stored"},
		{"cache._", "4", []string{"op:incr", b64("n n")}, `stored "7"`},
		{"cache._", "", []string{"op:del", b64("n n")}, "deleted"},
		{"cache._", "long", []string{"op:set", b64(strings.Repeat(" ", 186))}, "stored"},
		{"cache._", "", []string{"op:get", b64(strings.Repeat(" ", 186))}, `hit "long"`},
		{"cache." + strings.Repeat("k", 250), "long", []string{"op:set"}, "stored"},
		{"cache._", "", []string{"op:get", b64(strings.Repeat("k", 250))}, `hit "long"`},
	} {
		if got := c.ask(d.subject, d.payload, d.headers...); got != d.want {
			t.Errorf("%.60s %q %q: %s, want %s", d.subject, d.payload, d.headers, got, d.want)
		}
	}
	m := c.message("cache.new", "", "op:get")
	cas := "cas:" + m.Header.Get("cas")
	for i, want := range []string{"stored", "exists"} {
		if got := c.ask("cache.new", "z", "op:cas", cas); got != want {
			t.Errorf("cas %d: %s, want %s", i, got, want)
		}
	}
}

// TestSameItems: what memcached clients and NATS clients call by one name is one item, also where the name travels in base64.
func TestSameItems(t *testing.T) {
	ns := natsd.Start(t)
	p := startEngine(t, flat(startLeaves(t, 3)))
	startFace(t, urlOf(ns), p)
	c := dial(t, urlOf(ns))
	for _, key := range []string{"plain", "/foo/bar", "a.b", "ä:€", "*", "noreply"} {
		if got := talk(t, p, "set "+key+" 3 0 1\r\nx\r\n"); got != "STORED\r\n" {
			t.Fatalf("%q: %q", key, got)
		}
		subject, header := "cache._", b64(key)
		if got := c.ask(subject, "", "op:get", header); got != `hit flags=3 "x"` {
			t.Errorf("%q: %s", key, got)
		}
		if got := c.ask(subject, "y", "op:set", header); got != "stored" {
			t.Errorf("%q: %s", key, got)
		}
		if got := c.ask(subject, "", "op:touch", "ttl:30", header); got != "touched" {
			t.Errorf("%q: %s", key, got)
		}
		if got := talk(t, p, "get "+key+"\r\n"); got != "VALUE "+key+" 0 1\r\ny\r\nEND\r\n" {
			t.Errorf("%q: %q", key, got)
		}
		if got := c.ask(subject, "", "op:del", header); got != "deleted" {
			t.Errorf("%q: %s", key, got)
		}
	}
}

// TestRoutesDecide: a tag's routes are asked, Lua ones too, and what they make up reaches the client.
func TestRoutesDecide(t *testing.T) {
	ns := natsd.Start(t)
	p := startEngine(t, `
function mcp_config_pools() return mcp.pool({ mcp.backend(`+startLeaves(t, 1)+`) }, { name = "main" }) end
function mcp_config_routes(p)
    mcp.attach(mcp.CMD_ANY_STORAGE, function(r) return "SERVER_ERROR not this way\r\n" end)
    mcp.attach(mcp.CMD_MS, p, "nats")
    mcp.attach(mcp.CMD_MG, function(r)
        local k = r:key()
        if k == "teapot" then return "SERVER_ERROR I am a teapot\r\n" end
        if k == "odd" then return "STORED\r\n" end
        if k == "text" then return "VALUE text 5 2\r\nhi\r\nEND\r\n" end
        if k == "nothing" then return "" end
        if k == "garbage" then return "what?\r\n" end
        if k == "bad" then error("oh") end
        return p(r)
    end, "nats")
    mcp.attach(mcp.CMD_MA, function() return "42\r\n" end, "nats")
    mcp.attach(mcp.CMD_MD, function() return "DELETED\r\n" end, "nats")
end`)
	startFace(t, urlOf(ns), p, func(o *Options) { o.Tag, o.Prefix = "nats", "team.cache" })
	startFace(t, urlOf(ns), p, func(o *Options) { o.Prefix = "plain" })
	c := dial(t, urlOf(ns))
	for _, d := range []struct{ subject, payload, op, want string }{
		{"plain.a", "", "get", "error Error-Code=500 Error=SERVER_ERROR not this way"},
		{"team.cache.a", "v", "set", "stored"},
		{"team.cache.a", "", "get", `hit "v"`},
		{"team.cache.teapot", "", "get", "error Error-Code=500 Error=SERVER_ERROR I am a teapot"},
		{"team.cache.odd", "", "get", `error Error-Code=500 Error=SERVER_ERROR the route answered "STORED", which means nothing to this op`},
		{"team.cache.text", "", "get", `hit "hi"`},
		{"team.cache.nothing", "", "get", "error Error-Code=500 Error=SERVER_ERROR the route gave no answer"},
		{"team.cache.garbage", "", "get", `error Error-Code=500 Error=SERVER_ERROR the route answered "what?", which means nothing to this op`},
		{"team.cache.bad", "", "get", "error Error-Code=500 Error=SERVER_ERROR lua failure"},
		{"team.cache.n", "", "incr", `stored "42"`},
		{"team.cache.n", "", "del", "deleted"},
	} {
		if got := c.ask(d.subject, d.payload, "op:"+d.op); got != d.want {
			t.Errorf("%s %s: %s, want %s", d.op, d.subject, got, d.want)
		}
	}
}

// TestStale: items that memcached clients have invalidated or promised.
func TestStale(t *testing.T) {
	ns := natsd.Start(t)
	p := startEngine(t, flat(startLeaves(t, 1)))
	startFace(t, urlOf(ns), p)
	c := dial(t, urlOf(ns))
	talk(t, p, "set k 0 0 1\r\nv\r\nmd k I T30\r\nmg promised N30\r\n")
	for _, want := range []string{`hit stale=won ttl=30 "v"`, `hit stale=lost ttl=30 "v"`} {
		if got := c.ask("cache.k", "", "op:get"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := c.ask("cache.promised", "", "op:get"); got != "miss" {
		t.Errorf("promised: %s", got)
	}
}

// TestSizes: a value above the item limit, and one that does not fit into an answer.
func TestSizes(t *testing.T) {
	ns := natsd.Start(t, func(o *natsserver.Options) { o.MaxPayload = 64 << 10 })
	p := startEngine(t, flat(startLeaves(t, 1)), func(o *engine.Options) { o.MaxItem = 100 << 10 })
	startFace(t, urlOf(ns), p)
	big := natsd.Start(t)
	startFace(t, urlOf(big), p)
	c, cBig := dial(t, urlOf(ns)), dial(t, urlOf(big))
	value := strings.Repeat("v", 80<<10)
	if got := cBig.ask("cache.k", value, "op:set"); got != "stored" {
		t.Fatal(got)
	}
	if got := cBig.ask("cache.k", "", "op:get"); got != `hit "`+value+`"` {
		t.Errorf("%.100s", got)
	}
	if got := c.ask("cache.k", "", "op:get"); got != "error Error-Code=413 Error=SERVER_ERROR the value of 81920 bytes does not fit into a message: NATS's max_payload is 65536" {
		t.Errorf("%.200s", got)
	}
	if got := cBig.ask("cache.k", value+value, "op:set"); got != "error Error-Code=413 Error=SERVER_ERROR object too large for cache" {
		t.Errorf("%.200s", got)
	}
	if got := cBig.ask("cache.k", "", "op:get"); got != `hit "`+value+`"` && got != "miss" {
		t.Errorf("%.100s", got)
	}
}

// TestWithoutReply: what nobody waits for is done all the same, and answered to nobody.
func TestWithoutReply(t *testing.T) {
	ns := natsd.Start(t)
	p := startEngine(t, flat(startLeaves(t, 1)))
	f := startFace(t, urlOf(ns), p)
	c := dial(t, urlOf(ns))
	for _, m := range []string{"op:set", "op:get", "op:nonsense"} {
		if err := c.nc.PublishMsg(message("cache.k", "v", m)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all three are counted", func() bool {
		n := uint64(0)
		for _, r := range f.Stats().Requests {
			n += r.N
		}
		return n == 3
	})
	if got := c.ask("cache.k", "", "op:get"); got != `hit "v"` {
		t.Error(got)
	}
	if s := f.Stats(); s.Lost != 0 || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
}

func TestClock(t *testing.T) {
	ns, g := natsd.Start(t), newGate()
	close(g.open)
	now := time.Unix(1_700_000_000, 0)
	startFace(t, urlOf(ns), g, func(o *Options) { o.Now = func() time.Time { return now } })
	c := dial(t, urlOf(ns))
	for ttl, want := range map[string]string{"2592000": "touch k 2592000", "2592001": "touch k 1702592001"} {
		c.ask("cache.k", "", "op:touch", "ttl:"+ttl)
		if got := <-g.arrived; got != want {
			t.Errorf("%s: %q, want %q", ttl, got, want)
		}
	}
	if got := c.ask("cache.k", "", "op:touch", "ttl:2147483647"); got != `error Error-Code=400 Error=CLIENT_ERROR header "ttl" is "2147483647": memcached's dates end in 2038` {
		t.Error(got)
	}
}

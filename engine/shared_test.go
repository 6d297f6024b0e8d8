// What workers share: stores, gates, sketches of hot keys, and what is fetched; and answers in a request's form.

package engine

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/leaf"
)

// withStores lets scripts make stores.
func withStores(o *Options) {
	o.NewStore = func(memory int64) (LocalStore, error) { return leaf.NewLocal(leaf.Options{Memory: memory}) }
}

// slotted is a configuration whose function generator serves everything by the function body, which has rctx and r, and what made makes.
func slotted(made, body string) string {
	return `
function mcp_config_pools() return true end
function mcp_config_routes()
    ` + made + `
    local g = mcp.funcgen_new()
    g:ready{ f = function(rctx) return function(r) ` + body + ` end end }
    mcp.attach(mcp.CMD_ANY_STORAGE, g)
end`
}

// clients are connections of different workers.
func clients(t *testing.T, p *Proxy, n int) (list []*client) {
	for range n {
		list = append(list, dial(t, p))
	}
	return list
}

func TestStoresAreShared(t *testing.T) {
	const named, own = `local st = mcp.store{ name = "near", memory = 4194304 }`, `local st = mcp.store{ memory = 4194304 }`
	path := writeConfig(t, slotted(named, `return st(r)`))
	p := startProxy(t, path, withStores)
	c := clients(t, p, 3)
	c[0].says("set k 0 0 1\r\nx\r\nset q 0 0 1 noreply\r\ny\r\n")
	c[0].sees("STORED\r\n")
	for _, text := range []string{named, named + " -- again"} {
		for _, x := range c {
			x.says("get k q\r\n")
			x.sees("VALUE k 0 1\r\nx\r\nVALUE q 0 1\r\ny\r\nEND\r\n")
		}
		rewrite(t, path, slotted(text, `return st(r)`))
		if _, err := p.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	rewrite(t, path, slotted(own, `return st(r)`))
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	c[1].says("get k\r\nset k 0 0 1\r\nz\r\n")
	c[1].sees("END\r\nSTORED\r\n")
	c[2].says("get k\r\n")
	c[2].sees("VALUE k 0 1\r\nz\r\nEND\r\n")
	if n := len(p.sharing.stores()); n != 1 {
		t.Errorf("%d stores, want 1: the named one is not closed", n)
	}
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	c[1].says("get k\r\n")
	c[1].sees("END\r\n")
}

func TestSharedThingsAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		`mcp.store{ nam = "x" }`:                  `mcp.store: there is no field "nam"`,
		`mcp.store{ memory = "x" }`:               `mcp.store: memory: want a number, got string`,
		`mcp.store{ name = 1 }`:                   `mcp.store: name: want a string, got number`,
		`mcp.hotkeys{ window = 0 }`:               `mcp.hotkeys: window: want at least 0.1, got 0`,
		`mcp.http{}`:                              `mcp.http: url is missing`,
		`mcp.http{ url = "ftp://x/" }`:            `mcp.http: url: "ftp://x/" is no URL that begins with http:// or https://`,
		`mcp.http{ url = "http://%k/" }`:          `mcp.http: url: "http://%k/" would have the key in the name of the host`,
		`mcp.http{ url = "http://x%k/" }`:         `mcp.http: url: "http://x%k/" would have the key in the name of the host`,
		`mcp.http{ url = "http://x/%k?%k" }`:      `mcp.http: url: "http://x/%k?%k" has %k more than once`,
		`mcp.http{ url = "http://x/", max = 0 }`:  `mcp.http: max: want at least 1, got 0`,
		`mcp.gate()(1)`:                           `mcp.gate: want a request, got number`,
		`mcp.gate{ name = "x", memory = 3 }`:      `mcp.gate: there is no field "memory"`,
		`mcp.http{ url = "http://u@x/", max = 1}`: ``,
	} {
		local, err := leaf.NewLocal(leaf.Options{Memory: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		err = Check(Options{Files: []string{writeConfig(t, slotted(text, ""))}, Local: local})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		local.Close()
	}
}

func TestHotKeys(t *testing.T) {
	p := startProxy(t, writeConfig(t, slotted(`local hot = mcp.hotkeys{ window = 1000 }`,
		`return "X " .. math.floor(hot(r) * 1000 + 0.5) .. " " .. math.floor(hot("never", 0) * 1000) .. "\r\n"`)))
	c := clients(t, p, 2)
	c[0].says("get k\r\nget k\r\nget l\r\n")
	c[0].sees("X 1 0\r\nX 2 0\r\nX 1 0\r\n")
	c[1].says("mg aw== b v\r\n")
	c[1].sees("X 3 0\r\n")
}

// One leads, others wait: those of another worker too.
func TestGate(t *testing.T) {
	const body = `
    local key, cmd = r:key(), r:command()
    if cmd == mcp.CMD_SET then return "OPENED " .. gate(r) .. "\r\n" end
    if cmd == mcp.CMD_DELETE then
        local led = rctx:lead(gate, r)
        rctx:wait_gate(gate, "end")
        return "LED " .. tostring(led) .. "\r\n"
    end
    if cmd == mcp.CMD_TOUCH then
        return "OPENED " .. gate("k", rctx:answer(r, true)) .. "\r\n"
    end
    local led, res = rctx:lead(gate, r, r:command() == mcp.CMD_GETS and 0.01 or nil)
    if res == true then return "LATE\r\n" end
    return "LED " .. tostring(led) .. " " .. tostring(res and res:code()) .. "\r\n"`
	p := startProxy(t, writeConfig(t, slotted(`local gate = mcp.gate{ name = "g" }`, body)))
	c := clients(t, p, 5)
	leads := func(x *client) {
		t.Helper()
		x.says("delete k\r\n")
		for !p.led("g", "k") {
			time.Sleep(time.Millisecond)
		}
	}
	waits := func(x *client, n int) {
		t.Helper()
		x.says("get k\r\n")
		for p.waiting("g", "k") < n {
			time.Sleep(time.Millisecond)
		}
	}
	leads(c[0])
	waits(c[1], 1)
	waits(c[2], 2)
	c[4].says("gets k\r\n")
	c[4].sees("LATE\r\n")
	c[3].says("set end 0 0 1\r\nx\r\n") // the leader ends, those who wait are let go
	c[3].sees("OPENED 1\r\n")
	c[0].sees("LED true\r\n")
	c[1].sees("LED false nil\r\n")
	c[2].sees("LED false nil\r\n")

	leads(c[0])
	waits(c[1], 1)
	c[3].says("touch x 1\r\n") // opened with an answer
	c[3].sees("OPENED 1\r\n")
	c[1].sees("LED false 11\r\n")
	c[3].says("get k\r\n") // nobody leads any more
	c[3].sees("LED true nil\r\n")
	c[3].says("set end 0 0 1\r\nx\r\n")
	c[3].sees("OPENED 1\r\n")
	c[0].sees("LED true\r\n")

	leads(c[0])
	waits(c[1], 1)
	rewrite(t, p.opts.Files[0], slotted(`local gate = mcp.gate{ name = "g" }`, body+" "))
	p.Reload() // over a reload too
	waits(c[2], 2)
	c[3].says("set end 0 0 1\r\nx\r\n")
	c[3].sees("OPENED 1\r\n")
	c[0].sees("LED true\r\n")
	c[1].sees("LED false nil\r\n")
	c[2].sees("LED false nil\r\n")
	if p.led("g", "k") || p.waiting("g", "k")+p.waiting("g", "end") > 0 {
		t.Error("the gate keeps something")
	}
}

func (p *Proxy) led(gate, key string) bool {
	led, _ := p.sharing.all[sharedName{kind: "gate", name: gate}].v.(interface{ State(string) (bool, int) }).State(key)
	return led
}

func (p *Proxy) waiting(gate, key string) int {
	_, n := p.sharing.all[sharedName{kind: "gate", name: gate}].v.(interface{ State(string) (bool, int) }).State(key)
	return n
}

// What a request is answered, by what is known.
func TestAnswersInForm(t *testing.T) {
	for _, d := range []struct{ asked, what, want string }{
		{"get k", `"abc"`, "VALUE k 0 3\r\nabc\r\nEND"},
		{"get k", `"abc", { flags = 7 }`, "VALUE k 7 3\r\nabc\r\nEND"},
		{"gets k", `{ "a", "", "bc" }, { flags = 7, cas = "18446744073709551615" }`, "VALUE k 7 3 18446744073709551615\r\nabc\r\nEND"},
		{"gat 0 k", `""`, "VALUE k 0 0\r\n\r\nEND"},
		{"get k", `false`, "END"},
		{"mg k v f t c s k Oab q", `"abc", { flags = 7, ttl = 30, cas = 9 }`, "VA 3 f7 t30 c9 s3 kk Oab\r\nabc"},
		{"mg aw== b v k", `"abc"`, "VA 3 kaw== b\r\nabc"},
		{"mg k t s h l", `"abc"`, "HD t-1 s3 h0 l0"},
		{"mg k v", `false`, "EN"},
		{"set k 0 0 1\r\nx", `true`, "STORED"},
		{"set k 0 0 1\r\nx", `false`, "NOT_STORED"},
		{"delete k", `true`, "DELETED"},
		{"delete k", `false`, "NOT_FOUND"},
		{"touch k 1", `true`, "TOUCHED"},
		{"ms k 1 Oab k\r\nx", `true`, "HD Oab kk"},
		{"md k Oab", `false`, "NF Oab"},
		{"md aw== b k Oab", `false`, "NF kaw== b Oab"},
		{"ms aw== 1 b k s\r\nx", `false, { size = 1 }`, "NS kaw== b s1"},
		{"get k", `st(mcp.request("mg k v f c\r\n"))`, "VALUE k 5 2\r\nhi\r\nEND"},
		{"gets k", `st(mcp.request("mg k v f c\r\n"))`, "VALUE k 5 2 77\r\nhi\r\nEND"},
		{"mg k f v s O1", `st(mcp.request("mg k v f\r\n"))`, "VA 2 f5 s2 O1\r\nhi"},
		{"mg k s", `st(mcp.request("mg k s\r\n"))`, "HD s2"},
		{"mg k v", `{ st(mcp.request("get k\r\n")), "!" }`, "VA 3\r\nhi!"},
		{"get k", `st(mcp.request("get none\r\n"))`, "END"},
		{"mg new v", `st(mcp.request("mg new v N30\r\n"))`, "VA 0 W\r\n"},
		{"set k 0 0 1\r\nx", `st(mcp.request("ms k 1 C1\r\n", "x\r\n"))`, "EXISTS"},
		{"set k 0 0 1\r\nx", `st(mcp.request("ms none 1 C1\r\n", "x\r\n"))`, "NOT_FOUND"},
		{"ms k 1 O4\r\nx", `st(mcp.request("cas none 0 0 1 1\r\n", "x\r\n"))`, "NF O4"},
		{"ms k 1 c\r\nx", `st(mcp.request("ms k 1 c E99\r\n", "x\r\n"))`, "HD c99"},
		{"set k 0 0 1\r\nx", `st(mcp.request("incr k 1\r\n"))`, "CLIENT_ERROR cannot increment or decrement non-numeric value"},
		{"gets k", `{ "a", "b" }, { like = st(mcp.request("gets k\r\n")) }`, "VALUE k 5 2 77\r\nab\r\nEND"},
		{"gets k", `{ "a", "b" }, { like = st(mcp.request("get k\r\n")) }`, "VALUE k 5 2 0\r\nab\r\nEND"},
		{"mg k v f c t s", `{ "a", "b" }, { like = st(mcp.request("mg k v f c s\r\n")) }`, "VA 2 f5 c77 t-1 s2\r\nab"},
		{"mg k s f", `true, { like = st(mcp.request("mg k v f c s\r\n")), size = 99 }`, "HD s99 f5"},
		{"ms k 1 s\r\nx", `true, { size = 99 }`, "HD s99"},
		{"get k", `{ 1 }`, "SERVER_ERROR lua failure"},
	} {
		p := startProxy(t, writeConfig(t, slotted(`local st = mcp.store{ memory = 4194304 }`,
			`st(mcp.request("ms k 2 F5 E77\r\n", "hi\r\n")) return rctx:answer(r, `+d.what+`)`)), withStores)
		c := dial(t, p)
		c.says(d.asked + "\r\n")
		c.sees(d.want + "\r\n")
		c.silence()
	}
}

func TestFetching(t *testing.T) {
	var asked atomic.Pointer[string]
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := r.URL.EscapedPath() + "?" + r.URL.RawQuery
		asked.Store(&at)
		switch r.URL.Path {
		case "/v/gone":
			w.WriteHeader(http.StatusNotFound)
		case "/v/broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "/v/moved":
			http.Redirect(w, r, "/v/k", http.StatusFound)
		case "/v/large":
			w.Write(make([]byte, 101))
		case "/v/slow":
			<-release
		default:
			w.Header().Set("Cache-Control", "public, max-age=60")
			w.Write([]byte("hello"))
		}
	}))
	defer server.Close()
	defer close(release)
	p := startProxy(t, writeConfig(t, `
function mcp_config_pools() return true end
function mcp_config_routes()
    mcp.attach(mcp.CMD_ANY_STORAGE, mcp.http{ url = "`+server.URL+`/v/%k?x=1", max = 100, timeout = 0.2, connections = 1 })
    mcp.attach(mcp.CMD_DELETE, function() return "TIMEOUTS\r\n" end)
end`))
	for _, d := range []struct{ asked, path, want string }{
		{"get k", "/v/k?x=1", "VALUE k 0 5\r\nhello\r\nEND"},
		{"gets k", "/v/k?x=1", "VALUE k 0 5 0\r\nhello\r\nEND"},
		{"mg k v f t s c k Oab q", "/v/k?x=1", "VA 5 f0 t60 s5 c0 kk Oab\r\nhello"},
		{"mg YS9iP2M= b v k", "/v/a%2Fb%3Fc?x=1", "VA 5 kYS9iP2M= b\r\nhello"},
		{"mg ../../k v", "/v/..%2F..%2Fk?x=1", "VA 5\r\nhello"},
		{"get gone", "/v/gone?x=1", "END"},
		{"mg gone v", "/v/gone?x=1", "EN"},
		{"get broken", "/v/broken?x=1", "SERVER_ERROR fetched 500"},
		{"get moved", "/v/moved?x=1", "SERVER_ERROR fetched 302"},
		{"get large", "/v/large?x=1", "SERVER_ERROR the fetched value is too large"},
		{"set k 0 0 1\r\nx", "", "SERVER_ERROR backend failure"},
		{"get slow", "/v/slow?x=1", "SERVER_ERROR backend failure"},
		{"get slow\r\nget k", "/v/slow?x=1", "SERVER_ERROR backend failure\r\nSERVER_ERROR backend failure"},
	} {
		asked.Store(new(string))
		c := dial(t, p)
		c.says(d.asked + "\r\n")
		c.sees(d.want + "\r\n")
		if got := *asked.Load(); got != d.path {
			t.Errorf("%q asked %q, want %q", d.asked, got, d.path)
		}
	}
}

// Who has led, and does no more, opens nothing.
func TestUnlead(t *testing.T) {
	p := startProxy(t, writeConfig(t, slotted(`local gate = mcp.gate()`, `
    local led = rctx:lead(gate, r)
    if r:command() == mcp.CMD_DELETE then gate(r) end
    return tostring(led) .. " " .. tostring(rctx:unlead(gate, r, rctx:answer(r, false))) .. "\r\n"`)))
	c := dial(t, p)
	c.says("get k\r\ndelete k\r\nget k\r\n")
	c.sees("true true\r\ntrue false\r\ntrue true\r\n")
}

func TestRequestsOfParts(t *testing.T) {
	p := startProxy(t, writeConfig(t, slotted(`local st = mcp.store{ memory = 4194304 }`, `
    local out = {}
    for _, x in ipairs{ { 1, 3 }, { 4 }, { 6, 100 }, { 9 }, { 0, 2 } } do
        local n = math.max(0, math.min(x[2] or 6, 6) - math.max(x[1], 1) + 1)
        out[#out + 1] = mcp.request("set x 0 0 " .. n .. "\r\n", r, x[1], x[2]):raw_value():sub(1, -3)
    end
    st(r)
    out[#out + 1] = mcp.request("set x 0 0 2\r\n", st(mcp.request("get k\r\n")), 2, 3):raw_value():sub(1, -3)
    return table.concat(out, " ") .. "\r\n"`)), withStores)
	c := dial(t, p)
	c.says("set k 0 0 6\r\nabcdef\r\n")
	c.sees("abc def f  ab bc\r\n")
}

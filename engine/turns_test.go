// Turnstiles and flights, over real connections of two workers, and what measures handles.

package engine

import (
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/leaf"
)

// gated is a route behind a turnstile; touch tells who is inside and who waits.
const gated = `
    local g = mcp.turnstile{ GATE }
    mcp.attach(mcp.CMD_GET, function(r)
        local ok, why = g:enter(WAIT)
        if not ok then return "SERVER_ERROR " .. why .. "\r\n" end
        return p(r)
    end)
    mcp.attach(mcp.CMD_SET, function(r) return tostring(g:adapt(0, r:token_int(3))) .. "\r\n" end)
    mcp.attach(mcp.CMD_TOUCH, function() return string.format("%d %d\r\n", g:inside()) end)`

// seeing asks for what touch answers until it is want.
func (c *client) seeing(want string) {
	c.t.Helper()
	for {
		c.says("touch x 0\r\n")
		got, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("client sees %q (%v), want %q", got, err, want)
		}
		if got == want {
			return
		}
	}
}

func startGated(t *testing.T, gate, wait string) (b *fakeBackend, p *Proxy, one, two, watch *client) {
	one, b, p = routed(t, strings.NewReplacer("GATE", gate, "WAIT", wait).Replace(gated))
	return b, p, one, dial(t, p), dial(t, p)
}

func TestTurnstileTakesTurnsBetweenClients(t *testing.T) {
	b, _, one, two, watch := startGated(t, "max = 1, queue = 10", "")
	one.says("get a1\r\nget a2\r\nget a3\r\n")
	watch.seeing("1 2\r\n")
	two.says("get b1\r\n")
	watch.seeing("1 3\r\n")
	for _, key := range []string{"a1", "a2", "b1", "a3"} {
		b.sees("get " + key + "\r\n")
		b.says("END\r\n")
	}
	one.sees("END\r\nEND\r\nEND\r\n")
	two.sees("END\r\n")
	watch.seeing("0 0\r\n")
}

func TestTurnstileHoldsOneClientBack(t *testing.T) {
	b, _, one, two, watch := startGated(t, "max = 2, queue = 10, per_client = 1", "")
	one.says("get a1\r\nget a2\r\n")
	watch.seeing("1 1\r\n")
	two.says("get b1\r\n")
	b.sees("get a1\r\nget b1\r\n")
	watch.seeing("2 1\r\n")
	b.says("END\r\n")
	b.sees("get a2\r\n")
	b.says("END\r\nEND\r\n")
	one.sees("END\r\nEND\r\n")
	two.sees("END\r\n")
}

func TestTurnstileRefuses(t *testing.T) {
	b, _, one, two, _ := startGated(t, "max = 1, queue = 0", "")
	one.says("get a\r\n")
	b.sees("get a\r\n")
	two.says("get b\r\n")
	two.sees("SERVER_ERROR full\r\n")
	b.says("END\r\n")
	one.sees("END\r\n")
	two.says("get b\r\n") // there is room again
	b.sees("get b\r\n")
	b.says("END\r\n")
	two.sees("END\r\n")
}

func TestTurnstileWaitsNoLongerThanItIsTold(t *testing.T) {
	b, _, one, two, watch := startGated(t, "max = 1, queue = 5", "0.001")
	one.says("get a\r\n")
	b.sees("get a\r\n")
	two.says("get b\r\n")
	two.sees("SERVER_ERROR timeout\r\n")
	watch.seeing("1 0\r\n")
	b.says("END\r\n")
	one.sees("END\r\n")
	watch.seeing("0 0\r\n")
}

// Clients that go make room, inside and in the queue.
func TestTurnstileIsLeftByClientsThatGo(t *testing.T) {
	b, p, one, two, watch := startGated(t, "max = 1, queue = 5", "")
	one.says("get a\r\n")
	b.sees("get a\r\n")
	two.says("get b\r\n")
	watch.seeing("1 1\r\n")
	three := dial(t, p)
	three.says("get c\r\n")
	watch.seeing("1 2\r\n")
	two.c.Close()
	b.says("END\r\n") // two's is started, and its answer is nobody's
	one.sees("END\r\n")
	b.sees("get b\r\n")
	b.says("END\r\n")
	b.sees("get c\r\n")
	b.says("END\r\n")
	three.sees("END\r\n")
	watch.seeing("0 0\r\n")
}

func TestTurnstileGrows(t *testing.T) {
	b, _, one, two, watch := startGated(t, "max = 1, queue = 5, most = 2", "")
	one.says("get a\r\nget b\r\n")
	watch.seeing("1 1\r\n")
	two.says("set k 5 0 1\r\nx\r\n")
	two.sees("2\r\n")
	b.sees("get a\r\nget b\r\n")
	b.says("END\r\nEND\r\n")
	one.sees("END\r\nEND\r\n")
}

func TestTurnstileOfAnOldGenerationIsNotTheNew(t *testing.T) {
	b, p, one, _, _ := startGated(t, "max = 1, queue = 0", "")
	one.says("get a\r\n")
	b.sees("get a\r\n")
	if _, err := p.Reload(); err != nil {
		t.Fatal(err)
	}
	two := dial(t, p)
	two.says("get b\r\n")
	b.sees("get b\r\n")
	b.says("END\r\nEND\r\n")
	one.sees("END\r\n")
	two.sees("END\r\n")
}

// coalesced shares reads; touch tells how many have joined or are under way.
const coalesced = `
    local f = mcp.flights()
    local joined = mcp.turnstile{ max = 100 } -- counts over all workers
    local function read(r)
        joined:enter()
        local res = f:join(r)
        if not res then
            res = p(r)
            if r:key() ~= "bad" then f:land(res) end
        end
        return res
    end
    mcp.attach(mcp.CMD_GET, read)
    mcp.attach(mcp.CMD_MG, read)
    mcp.attach(mcp.CMD_SET, function(r) f:write(r) return p(r) end)
    mcp.attach(mcp.CMD_MS, function(r) f:write(r) return p(r) end)
    mcp.attach(mcp.CMD_TOUCH, function() return string.format("%d %d\r\n", joined:inside()) end)`

func startCoalesced(t *testing.T) (b *fakeBackend, p *Proxy, one, two, watch *client) {
	one, b, p = routed(t, coalesced)
	return b, p, one, dial(t, p), dial(t, p)
}

func TestFlightsShareOneAnswer(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	for _, answer := range []string{"VALUE a 7 1\r\nx\r\nEND\r\n", "END\r\n", "SERVER_ERROR busy\r\n", "VALUE a 0 100000\r\n" + big + "\r\nEND\r\n"} {
		b, _, one, two, watch := startCoalesced(t)
		one.says("get a\r\nget a\r\n")
		two.says("get a\r\n")
		watch.seeing("3 0\r\n")
		b.sees("get a\r\n")
		b.says(answer)
		two.sees(answer)
		one.sees(answer + answer)
		one.says("get a\r\n") // nothing is kept
		b.sees("get a\r\n")
		b.says("END\r\n")
		one.sees("END\r\n")
		watch.seeing("0 0\r\n")
	}
}

func TestFlightsAreOfOneLine(t *testing.T) {
	b, _, one, two, watch := startCoalesced(t)
	one.says("get a\r\n")
	b.sees("get a\r\n")
	two.says("mg a v\r\n")
	b.sees("mg a v\r\n")
	one2 := dialAddr(t, one.c.RemoteAddr().String())
	one2.says("get a\r\n") // not the old one: two's may know better by now
	b.sees("get a\r\n")
	watch.seeing("3 0\r\n")
	b.says("END\r\nEN\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
	one.sees("END\r\n")
	two.sees("EN\r\n")
	one2.sees("VALUE a 0 1\r\nx\r\nEND\r\n")
}

// A read does not join what was sent before a write of the key: not while the write is under way, not after it. The writer names the
// key in base64.
func TestFlightsEndWithAWrite(t *testing.T) {
	b, p, one, two, watch := startCoalesced(t)
	one.says("get abc\r\n")
	b.sees("get abc\r\n")
	two.says("ms YWJj 1 b\r\nn\r\nget abc\r\n")
	b.sees("ms YWJj 1 b\r\nn\r\nget abc\r\n")
	three := dial(t, p)
	three.says("get abc\r\n") // the write is under way: alone
	b.sees("get abc\r\n")
	watch.seeing("3 0\r\n")
	b.says("VALUE abc 0 1\r\no\r\nEND\r\nHD\r\n")
	one.sees("VALUE abc 0 1\r\no\r\nEND\r\n")
	two.sees("HD\r\n")
	one.says("get abc\r\n") // the write is over: a flight of its own, not two's or three's
	b.sees("get abc\r\n")
	b.says(strings.Repeat("VALUE abc 0 1\r\nn\r\nEND\r\n", 3))
	for _, c := range []*client{one, two, three} {
		c.sees("VALUE abc 0 1\r\nn\r\nEND\r\n")
	}
}

// Who waits for a read that its owner did not land asks for itself.
func TestFlightsAreGivenOn(t *testing.T) {
	b, p, one, two, watch := startCoalesced(t)
	three := dial(t, p)
	one.says("get bad\r\n")
	b.sees("get bad\r\n")
	two.says("get bad\r\n")
	watch.seeing("2 0\r\n")
	three.says("get bad\r\n")
	watch.seeing("3 0\r\n")
	for i, c := range []*client{one, two, three} {
		b.says("END\r\n")
		c.sees("END\r\n")
		if i < 2 {
			b.sees("get bad\r\n")
		}
	}
	watch.seeing("0 0\r\n")
}

// The key that a route has changed does not show in what others are given either.
func TestFlightsRestoreKeys(t *testing.T) {
	one, b, p := routed(t, `
    local f = mcp.flights()
    local g = mcp.funcgen_new()
    local h = g:new_handle(p)
    g:ready{ n = "x", u = 1, f = function(rctx)
        local new = rctx:request_new()
        return function(r)
            local res = f:join(r)
            if res then return res end
            new:copy(r)
            assert(new:set_key("t/" .. r:decoded_key()))
            res = rctx:enqueue_and_wait(new, h)
            f:land(res)
            return res
        end
    end }
    mcp.attach(mcp.CMD_GET, g)
    mcp.attach(mcp.CMD_MG, g)`)
	two := dial(t, p)
	one.says("get a\r\n")
	b.sees("get t/a\r\n")
	two.says("get a\r\nmg YQ== b k v\r\n") // in one write: a batch waits for the one before it
	b.sees("mg dC9h b k v\r\n")
	b.says("VALUE t/a 0 1\r\nx\r\nEND\r\nVA 1 kdC9h b\r\ny\r\n")
	one.sees("VALUE a 0 1\r\nx\r\nEND\r\n")
	two.sees("VALUE a 0 1\r\nx\r\nEND\r\nVA 1 kYQ== b\r\ny\r\n")
}

// A turnstile is checked while it is made, and made while loading.
func TestTurnstileIsMadeWhileLoading(t *testing.T) {
	local, err := leaf.NewLocal(leaf.Options{Memory: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	for _, d := range []struct{ text, err string }{
		{`mcp.turnstile{}`, "mcp.turnstile: max: want at least 1, got nil"},
		{`mcp.turnstile{ max = 0 }`, "mcp.turnstile: max: want at least 1, got 0"},
		{`mcp.turnstile{ max = 5, most = 4 }`, "mcp.turnstile: max: want a number from least to most"},
	} {
		_, err := Start(Options{Files: []string{writeConfig(t, "function mcp_config_pools() end function mcp_config_routes() "+d.text+" end")}, Listen: []string{"127.0.0.1:0"}, Workers: 1, Local: local})
		if err == nil || !strings.Contains(err.Error(), d.err) {
			t.Errorf("%s: %v, want %q", d.text, err, d.err)
		}
	}
	c, _, _ := routed(t, `mcp.attach(mcp.CMD_GET, function() mcp.turnstile{ max = 1 } end)`)
	c.says("get a\r\n")
	c.sees(lineLuaFailure)
}

// Debian's memcached behind the real binary: one of three dies under load and comes back empty; and a server that lies.

package system_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// memcachedPool is a configuration of one pool; options go into every backend, opts into the pool.
func memcachedPool(addrs []string, options, opts string) string {
	var b strings.Builder
	for i, addr := range addrs {
		host, port, _ := net.SplitHostPort(addr)
		fmt.Fprintf(&b, "mcp.backend{ label = 'm%d', host = '%s', port = %s, retrywaittime = 1 %s },\n", i+1, host, port, options)
	}
	return "function mcp_config_pools() return mcp.pool({\n" + b.String() + "}, { name = 'main' " + opts + " }) end\n" +
		"function mcp_config_routes(p) mcp.attach(mcp.CMD_ANY_STORAGE, function(r)\n" +
		"local res = p(r) if not res:ok() then return 'SERVER_ERROR ' .. res:code() .. '\\r\\n' end return res end) end\n"
}

// allGood asks whether every connection to label is up.
func (p *proxy) allGood(label string) bool {
	p.t.Helper()
	c := dial(p.t, p.addr)
	defer c.c.Close()
	c.says("stats proxybe\r\n")
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			p.t.Fatal(err)
		}
		if line == "END\r\n" {
			return p.isUp(label)
		}
		if strings.HasPrefix(line, "STAT bad_"+label+" ") {
			return false
		}
	}
}

func TestMemcachedKilledAndRestartedUnderLoad(t *testing.T) {
	for _, c := range []struct{ name, options, opts string }{
		{"one connection", "", ""},
		{"connections for each worker", ", connections = 2", ", iothread = false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var addrs []string
			var dies *process
			for i := range 3 {
				addr, p := runMemcached(t, "-1")
				addrs = append(addrs, addr)
				if i == victim {
					dies = p
				}
			}
			p := startProxy(t, memcachedPool(addrs, c.options, c.opts), "--workers", "3")
			p.ready()
			label := fmt.Sprintf("m%d", victim+1)
			eventually(t, "the victim is up", func() bool { return p.allGood(label) })

			var o outage
			l := &load{addr: p.addr, conns: 16, depth: 16, keys: 40, refused: o.refused, emptied: o.emptied}
			l.start(t)
			for _, gap := range []bool{false, true} { // back at once, and after the proxy has given it up
				l.flow(t, 5_000)
				if t.Failed() || l.faulty() {
					break
				}
				errs := l.errs.Load()
				o.set(func() { o.down = true })
				dies.Kill()
				if gap {
					eventually(t, "the victim is down", func() bool { return !p.isUp(label) })
				}
				// A plain server has no instance that a request could name: what a client sent before it is back may be executed after. So
				// nothing is on its way in that moment, and the load knows what the new one holds.
				resume := l.pause()
				o.set(func() { o.restarted = time.Now() })
				_, port, _ := net.SplitHostPort(addrs[victim])
				_, dies = runMemcached(t, port)
				resume()
				eventually(t, "an error: requests were in flight when the server was killed", func() bool { return l.errs.Load() > errs || l.faulty() })
				eventually(t, "the victim is up again", func() bool { return p.allGood(label) })
				o.set(func() { o.up, o.down = time.Now(), false })
			}
			l.flow(t, 5_000)
			l.end(t)
		})
	}
}

// liar is a memcached server that keeps what it is told, and does what it is asked, but one answer in a hundred is not what it should be.
type liar struct {
	mu    sync.Mutex
	items map[string]string
	rng   *rand.Rand
}

// lies are the ways not to answer that a proxy can see through. (Not seen: a STORED too many before another STORED, and what fits and
// another's are kept from: a value cut short whose rest the next answers happen to be, and an older answer of the same key.)
var lies = []func(answer, other string) string{
	func(answer, _ string) string { return answer[:len(answer)/2] },           // cut short
	func(answer, _ string) string { return strings.TrimSuffix(answer, "\n") }, // by as little as can be
	func(answer, _ string) string { return answer + "VERSION 1.2.3\r\n" },     // with more behind it
	func(_, _ string) string { return "" },                                    // the connection is closed
	func(_, _ string) string { return "STAT pid 1\r\nEND\r\n" },
	func(_, _ string) string { return "VALUE x 0 1000000000\r\n" },
	func(_, _ string) string { return "ERROR\r\n" },
	func(_, _ string) string { return "CLIENT_ERROR bad data chunk\r\n" },
	func(answer, other string) string { // another's, or one too many
		if !anothers(answer, other) {
			return answer
		}
		return other + answer
	},
	func(answer, other string) string { // another's instead
		if !anothers(answer, other) {
			return answer
		}
		return other
	},
}

// anothers is whether other is the value of another key than answer is.
func anothers(answer, other string) bool {
	a, o := strings.Fields(answer), strings.Fields(other)
	return a[0] == "VALUE" && o[0] == "VALUE" && a[1] != o[1]
}

// fits is whether what a server said after the first bytes of an answer is what those lack, as far as a proxy can see: as many bytes of
// value, and the end of an answer behind them.
func fits(answer, said string) bool {
	head, body, _ := strings.Cut(answer, "\r\n")
	f := strings.Fields(head)
	if len(f) < 2 || f[0] != "VALUE" && f[0] != "VA" || len(said) <= len(head)+2 {
		return false
	}
	n, _ := strconv.Atoi(f[len(f)-1])
	rest := said[len(head)+2:]
	return len(rest) >= len(body) && rest[n:len(body)] == body[n:]
}

func (m *liar) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	other := "END\r\n"
	cut, since := "", "" // the last answer that was cut short, and all that was said from it on
	items := m.items
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		f := strings.Fields(line)
		value := ""
		if f[0] == "set" || f[0] == "add" {
			n, _ := strconv.Atoi(f[4])
			b := make([]byte, n+2)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			value = string(b[:n])
		}
		m.mu.Lock()
		answer := do(items, f, value)
		said := answer
		if f[0] != "version" && m.rng.IntN(100) == 0 {
			said = lies[m.rng.IntN(len(lies))](answer, other)
		}
		// The proxy closes the connection for any of these. Then it may have told the client of an error, and sent what the client asked
		// next elsewhere: what still comes here is answered as if it were done, and is not.
		if said != answer {
			items = maps.Clone(items)
		}
		m.mu.Unlock()
		other = answer
		since += said
		if said == "" || cut != "" && fits(cut, since) {
			return
		}
		if said != answer && strings.HasPrefix(answer, said) {
			cut, since = answer, said
		}
		if _, err := io.WriteString(c, said); err != nil {
			return
		}
	}
}

// do does the commands that the load sends.
func do(items map[string]string, f []string, value string) string {
	if f[0] == "version" {
		return "VERSION 1.0.0-liar\r\n"
	}
	key := f[1]
	old, there := items[key]
	switch {
	case f[0] == "get" && there:
		return fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\nEND\r\n", key, len(old), old)
	case f[0] == "get":
		return "END\r\n"
	case f[0] == "add" && there:
		return "NOT_STORED\r\n"
	case f[0] == "set", f[0] == "add":
		items[key] = value
		return "STORED\r\n"
	case f[0] == "delete" && there:
		delete(items, key)
		return "DELETED\r\n"
	case f[0] == "delete":
		return "NOT_FOUND\r\n"
	case f[0] == "ma":
		items[key] = counted1(old)
		return fmt.Sprintf("VA %d\r\n%s\r\n", len(items[key]), items[key])
	}
	return "ERROR\r\n"
}

// Whatever a server answers, no client is given another's data, nor the wrong data of its own: it gets what is so, or an error.
func TestLyingServer(t *testing.T) {
	ln := listen(t)
	m := &liar{items: map[string]string{}, rng: rand.New(rand.NewPCG(3, 4))}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go m.serve(c)
		}
	}()
	p := startProxy(t, memcachedPool([]string{ln.Addr().String()}, ", connections = 3, readtimeout = 1, failurelimit = 1000000000", ""))
	p.ready()
	l := &load{addr: p.addr, conns: 12, depth: 8, keys: 20, refused: func(string, time.Time) bool { return true }}
	l.start(t)
	for range 10 {
		l.flow(t, 1_000)
	}
	l.end(t)
	if n := l.answered.Load(); l.errs.Load() == 0 || l.errs.Load() > n*9/10 {
		t.Errorf("%d errors for %d answers: the test says nothing", l.errs.Load(), n)
	}
}

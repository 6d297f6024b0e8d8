// diff beside the truth: where keys really go through proxies of both configurations.

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine"
)

// noter is a memcached that has nothing and notes what it is asked for.
type noter struct {
	net.Listener
	mu   sync.Mutex
	keys map[string]bool
}

func newNoter(t *testing.T) *noter {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &noter{Listener: ln, keys: map[string]bool{}}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go n.serve(c)
		}
	}()
	return n
}

func (n *noter) serve(c net.Conn) {
	defer c.Close()
	r, w := bufio.NewReader(c), bufio.NewWriter(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if f := strings.Fields(line); f[0] == "version" {
			w.WriteString("VERSION 1.6.45\r\n")
		} else {
			n.mu.Lock()
			for _, key := range f[1:] {
				n.keys[key] = true
			}
			n.mu.Unlock()
			w.WriteString("END\r\n")
		}
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
	}
}

// take gives what it was asked for since it was last called.
func (n *noter) take() map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	keys := n.keys
	n.keys = map[string]bool{}
	return keys
}

// askAll asks a proxy for every key.
func askAll(t *testing.T, addr string, keys []string) {
	t.Helper()
	c := dial(t, addr)
	defer c.Close()
	go func() {
		w := bufio.NewWriter(c)
		for _, k := range keys {
			fmt.Fprintf(w, "get %s\r\n", k)
		}
		w.Flush()
	}()
	if _, err := io.CopyN(io.Discard, c, int64(len(keys)*len("END\r\n"))); err != nil {
		t.Fatal(err)
	}
}

func TestDiffBesideRealMovement(t *testing.T) {
	const n = 20_000
	backends := make([]*noter, 5)
	for i := range backends {
		backends[i] = newNoter(t)
	}
	// $1 to $5 are backends; a route is one pool, unless it says otherwise.
	attach := func(pool string) string {
		return "function mcp_config_pools() return mcp.pool(" + pool + ") end\nfunction mcp_config_routes(p) mcp.attach(mcp.CMD_ANY_STORAGE, p) end"
	}
	be := func(n int, more string) string {
		return fmt.Sprintf("mcp.backend{ label = 'b%d', host = '127.0.0.1', port = $%d%s }", n, n, more)
	}
	three := "{ " + be(1, "") + ", " + be(2, "") + ", " + be(3, "") + " }"
	four := "{ " + be(1, "") + ", " + be(2, "") + ", " + be(3, "") + ", " + be(4, "") + " }"
	heavy := "{ " + be(1, "") + ", " + be(2, ", weight = 3") + ", " + be(3, "") + " }"
	turned := "{ " + be(3, "") + ", " + be(1, "") + ", " + be(2, "") + " }"
	const routed = `
function mcp_config_pools()
    local function pool(name, ...)
        local list = {}
        for i, port in ipairs{...} do list[i] = mcp.backend(name .. i, "127.0.0.1", port) end
        return mcp.pool(list, { name = name })
    end
    return { one = pool("one", $1, $2), two = pool("two", $3, $4), five = pool("five", $5) }
end
function mcp_config_routes(p)
    local function lua(r) return (r:key():byte(-1) % 2 == 0 and p.one or p.BYLUA)(r) end
    mcp.attach(mcp.CMD_GET, mcp.router_new{ map = { a = p.BYROUTER, b = lua, c = p.five }, default = p.one })
end`
	for _, d := range []struct {
		name, before, after string
		least, most         float64 // of the keys, so that a test in which nothing moves shows
	}{
		{"jump, one more", attach(three), attach(four), 0.2, 0.3},
		{"jump, another order", attach(three), attach(turned), 0.6, 1},
		{"jump, the first goes", attach(four), attach("{ " + be(2, "") + ", " + be(3, "") + ", " + be(4, "") + " }"), 0.5, 1},
		{"ring, one more", attach(three + ", { dist = 'ring' }"), attach(four + ", { dist = 'ring' }"), 0.1, 0.4},
		{"ketama, weights", attach(three + ", { dist = 'ketama' }"), attach(heavy + ", { dist = 'ketama' }"), 0.1, 0.5},
		{"rendezvous, another order", attach(three + ", { dist = 'rendezvous' }"), attach(turned + ", { dist = 'rendezvous' }"), 0, 0},
		{"modula, another hash", attach(three + ", { dist = 'modula' }"), attach(three + ", { dist = 'modula', hash = 'crc32' }"), 0.5, 0.8},
		{"ch3, one less", attach(four + ", { dist = 'ch3' }"), attach(three + ", { dist = 'ch3' }"), 0.2, 0.3},
		{"another name", attach(three + ", { name = 'x' }"), attach(strings.ReplaceAll(three, "'b", "'other-") + ", { name = 'y' }"), 0, 0},
		{"routes", strings.NewReplacer("BYLUA", "two", "BYROUTER", "two").Replace(routed),
			strings.NewReplacer("BYLUA", "five", "BYROUTER", "one").Replace(routed), 0.3, 0.5},
	} {
		t.Run(d.name, func(t *testing.T) {
			keys := make([]string, n)
			for i := range keys {
				keys[i] = fmt.Sprintf("user:%d", i)
				if d.name == "routes" {
					keys[i] = []string{"a/", "b/", "c/", ""}[i%4] + fmt.Sprintf("user:%d", i/4)
				}
			}
			var homes [2]map[string]string // by key
			var counts [2]map[string]int   // by address
			var configs []string
			for side, text := range []string{d.before, d.after} {
				for i, b := range backends {
					text = strings.ReplaceAll(text, fmt.Sprintf("$%d", i+1), strings.TrimPrefix(b.Addr().String(), "127.0.0.1:"))
				}
				configs = append(configs, write(t, "config.lua", text))
				_, addr, _ := startProxy(t, text)
				askAll(t, addr, keys)
				homes[side], counts[side] = map[string]string{}, map[string]int{}
				for _, b := range backends {
					for k := range b.take() {
						homes[side][k] = b.Addr().String()
						counts[side][b.Addr().String()]++
					}
				}
				if len(homes[side]) != n {
					t.Fatalf("%d keys arrived, want %d", len(homes[side]), n)
				}
			}
			moved := 0
			for _, k := range keys {
				if homes[0][k] != homes[1][k] {
					moved++
				}
			}
			truth := float64(moved) / n
			if truth < d.least || truth > d.most {
				t.Errorf("%.4f of the keys really move, want %.2f to %.2f", truth, d.least, d.most)
			}

			same := diffJSON(t, configs, "--keys", write(t, "keys", strings.Join(keys, "\n")))
			if same.Keys.Moved != moved || same.Keys.Total != n {
				t.Errorf("diff says %d of %d keys, %d of %d really move", same.Keys.Moved, same.Keys.Total, moved, n)
			}
			for _, p := range same.Keys.Pools {
				for _, b := range p.Backends {
					counts[0][b.Backend] -= b.Before
					counts[1][b.Backend] -= b.After
				}
			}
			for side := range counts {
				for addr, left := range counts[side] {
					if left != 0 {
						t.Errorf("%s on side %d: diff's count is %d off", addr, side, left)
					}
				}
			}
			made := diffJSON(t, configs)
			if said := float64(made.Keys.Moved) / float64(made.Keys.Total); math.Abs(said-truth) > 0.01 || made.Keys.Total != 100_000 {
				t.Errorf("of %d made-up keys %.4f move, %.4f really do", made.Keys.Total, said, truth)
			}
		})
	}
}

// diffJSON runs diff, whose exit code must be that of what it says.
func diffJSON(t *testing.T, configs []string, args ...string) (d engine.Difference) {
	t.Helper()
	out, err := exec.Command(binary, append([]string{"diff", "--json", configs[0], configs[1]}, args...)...).Output()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &d); err != nil {
		t.Fatalf("%v: %s%s", err, out, ee.Stderr)
	}
	code := 0
	if ee != nil {
		code = ee.ExitCode()
	}
	if want := map[bool]int{true: 0, false: 1}[d.None()]; code != want {
		t.Errorf("exit code %d, want %d", code, want)
	}
	return d
}

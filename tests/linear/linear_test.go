package linear

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/leaf/command"
	"github.com/tidepool-proxy/tidepool/leaf/store"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
	"github.com/tidepool-proxy/tidepool/pools/backend/leafnats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// world is what a history is made of: how full memory is, and how slow the demoter that makes room.
type world struct {
	name     string
	pressure bool
	slow     bool // the demoter stops now and then, a shard's lock in its hand
	keys     int  // with pressure enough of them that some lie long unused
}

var worlds = []world{{"with room", false, false, 4}, {"full", true, false, 60}, {"full, demoter slow", true, true, 60}}

// seed is TIDEPOOL_SEED, or a new one; it is told either way.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	if s := os.Getenv("TIDEPOOL_SEED"); s != "" {
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("TIDEPOOL_SEED=%d", n)
	return n
}

// executor opens a store of this world whose evictions go into h.
func (w world) executor(t *testing.T, h *History, seed uint64) *command.Executor {
	t.Helper()
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, evictor))
	st, err := store.Open(store.Options{Memory: 2 << 20, MaxItem: 64 << 10, Evicted: func(it store.Item) {
		h.Evicted(it.Key)
		if w.slow {
			mu.Lock()
			wait := time.Duration(0)
			if r.IntN(50) == 0 {
				wait = time.Duration(r.IntN(2000)) * time.Microsecond
			}
			mu.Unlock()
			time.Sleep(wait)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	e, err := command.New(command.Options{Store: st, MaxItem: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// flood writes other keys, in one write, so that before long all memory has been written anew.
func (w world) flood(perOp int) func(int, Client) error {
	if !w.pressure {
		return nil
	}
	value := strings.Repeat("v", 2000)
	var mu sync.Mutex
	n := 0
	return func(_ int, ask Client) error {
		var b strings.Builder
		mu.Lock()
		for range perOp {
			n++
			fmt.Fprintf(&b, "ms other:%d 2000 q\r\n%s\r\n", n, value)
		}
		mu.Unlock()
		if got, err := ask(b.String()); err != nil || got != "" {
			return errors.Join(fmt.Errorf("flood: answered %q", got), err)
		}
		return nil
	}
}

// check judges a history, and that it was one of its world.
func (w world) check(t *testing.T, h *History) {
	t.Helper()
	if err := h.Check(patience); err != nil {
		t.Error(err)
	}
	t.Logf("%d operations, %d evictions of keys that were looked at", h.Len(), h.Evictions())
	if w.pressure != (h.Evictions() > 0) {
		t.Errorf("%d evictions", h.Evictions())
	}
}

// local makes a client of an executor.
func local(e *command.Executor) Client {
	var p mc.Parser
	var r mc.Request
	return func(request string) (string, error) {
		var out []byte
		for buf := []byte(request); len(buf) > 0; {
			n, _, err := p.Next(buf, &mc.Rules{MaxValue: 64 << 10}, &r)
			if err != nil {
				return "", err
			}
			buf = buf[n:]
			out = e.Exec(&r, out)
		}
		return string(out), nil
	}
}

// Commands on one store.
func TestCommands(t *testing.T) {
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			var h History
			n := seed(t)
			e := w.executor(t, &h, n)
			l := Load{Seed: n, Keys: w.keys, Ops: 300, Between: w.flood(20)}
			for range 8 {
				l.Clients = append(l.Clients, local(e))
			}
			if err := h.Run(l); err != nil {
				t.Fatal(err)
			}
			w.check(t, &h)
		})
	}
}

// The same through two proxies, each with several connections, to two leaves.
func TestProxies(t *testing.T) {
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			var h History
			n := seed(t)
			var urls []any
			for i := range 2 {
				e := w.executor(t, &h, n+uint64(i))
				l, err := leaf.Start(t.Context(), leaf.Options{Name: fmt.Sprintf("leaf-%d", i+1), MaxItem: 64 << 10, Exec: e.Exec})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = l.Close(ended()) })
				urls = append(urls, l.URL())
			}
			l := Load{Seed: n, Keys: w.keys, Ops: 80, Between: w.flood(30)}
			for range 2 {
				addr := startProxy(t, fmt.Sprintf(config, urls...))
				for range 3 {
					l.Clients = append(l.Clients, connect(t, addr))
				}
			}
			if err := h.Run(l); err != nil {
				t.Fatal(err)
			}
			w.check(t, &h)
		})
	}
}

// config routes through Lua and straight to the pool, in turn.
const config = `
function mcp_config_pools()
  return mcp.pool({ mcp.backend(%q), mcp.backend(%q) }, { name = "p" })
end
function mcp_config_routes(p)
  mcp.attach(mcp.CMD_ANY_STORAGE, p)
  mcp.attach(mcp.CMD_MG, function(r) return p(r) end)
  mcp.attach(mcp.CMD_SET, function(r) return p(r) end)
  mcp.attach(mcp.CMD_INCR, function(r) return p(r) end)
end`

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// startProxy runs a proxy in this process, and gives its address when its pool is up.
func startProxy(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "routes.lua")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := leaf.NewLocal(leaf.Options{Memory: 2 << 20, MaxItem: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	conns := leafnats.NewConns(leafnats.Access{})
	p, err := engine.Start(engine.Options{
		Files: []string{file}, Listen: []string{"127.0.0.1:0"}, Workers: 2, Local: own, Log: slog.New(slog.DiscardHandler),
		NewLeaf: func(s pools.Spec, tell func(backend.Event)) (backend.Backend, error) {
			return leafnats.New(leafnats.Options{URL: s.Addr.URL(), Conns: conns, OnEvent: tell, Timeout: patience})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		own.Close()
	})
	for until := time.Now().Add(patience); p.Ready(true) != nil; time.Sleep(time.Millisecond) { // its backends connect by themselves
		if time.Now().After(until) {
			t.Fatal(p.Ready(true))
		}
	}
	return p.Addrs()[0]
}

func connect(t *testing.T, addr string) Client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return OverConn(c)
}

package client

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/face"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
	"github.com/tidepool-proxy/tidepool/pools/backend/leafnats"
	"github.com/tidepool-proxy/tidepool/tests/natsd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test; nothing takes as long when the code is right.
const patience = 20 * time.Second

var bg = context.Background()

func startNATS(t testing.TB, change ...func(*natsserver.Options)) string {
	t.Helper()
	return "nats://" + natsd.Start(t, change...).Addr().String()
}

// startProxy runs leaves and a proxy that serves url. dead adds a pool of nobody for keys that begin with dead.
func startProxy(t testing.TB, url string, maxItem int) *engine.Proxy {
	t.Helper()
	var leaves []string
	for i := range 2 {
		l, err := leaf.Start(bg, leaf.Options{Name: fmt.Sprintf("leaf-%d", i+1), Memory: 64 << 20, Settle: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close(ended()) })
		leaves = append(leaves, fmt.Sprintf("mcp.backend(%q)", l.URL()))
	}
	config := filepath.Join(t.TempDir(), "routes.lua")
	text := `
function mcp_config_pools()
    mcp.backend_connect_timeout(0.2)
    return { main = mcp.pool({ ` + strings.Join(leaves, ", ") + ` }), dead = mcp.pool({ mcp.backend("dead", "127.0.0.1", 1) }) }
end
function mcp_config_routes(p)
    mcp.attach(mcp.CMD_ANY_STORAGE, function(r)
        local k = r:key()
        if k == "dead" then return p.dead(r) end
        if k == "broken" then error("oh") end
        if k == "busy" then return "SERVER_ERROR active request limit reached\r\n" end
        return p.main(r)
    end)
end`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	local, err := leaf.NewLocal(leaf.Options{Memory: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	conns := leafnats.NewConns(leafnats.Access{})
	p, err := engine.Start(engine.Options{
		Files: []string{config}, Listen: []string{"127.0.0.1:0"}, Workers: 2, Local: local, Log: log, MaxItem: maxItem,
		NewLeaf: func(s pools.Spec, tell func(backend.Event)) (backend.Backend, error) {
			return leafnats.New(leafnats.Options{URL: s.Addr.URL(), Conns: conns, OnEvent: tell})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := face.Start(face.Options{URL: url, Handler: p, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(bg, patience)
		defer cancel()
		if err := f.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := p.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		local.Close()
	})
	await("the leaves are up", func() bool {
		for _, pool := range p.Config().Pools {
			for _, b := range pool.Backends {
				if b.Addr != "127.0.0.1:1" && !b.Up {
					return false
				}
			}
		}
		return true
	})
	return p
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(bg)
	cancel()
	return ctx
}

func connect(t testing.TB, url string, o Options, opts ...nats.Option) *Client {
	t.Helper()
	c, err := Connect(url, o, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// await gives way to others until f is so.
func await(what string, f func() bool) {
	for limit := time.Now().Add(patience); !f(); runtime.Gosched() {
		if time.Now().After(limit) {
			panic("never: " + what)
		}
	}
}

// actor plays a proxy's part.
type actor struct {
	t    testing.TB
	asks chan *nats.Msg
}

func newActor(t testing.TB, url string) *actor {
	t.Helper()
	a := &actor{t, make(chan *nats.Msg, 1000)}
	closed := make(chan struct{})
	nc, err := nats.Connect(url, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); <-closed })
	if _, err := nc.ChanSubscribe("cache.>", a.asks); err != nil {
		t.Fatal(err)
	}
	if err := nc.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	return a
}

// sees waits for a request.
func (a *actor) sees() *nats.Msg {
	a.t.Helper()
	select {
	case m := <-a.asks:
		return m
	case <-time.After(patience):
		a.t.Fatal("no request comes")
		return nil
	}
}

// says answers: a payload, then headers as people write them.
func (a *actor) says(m *nats.Msg, payload string, headers ...string) {
	a.t.Helper()
	r := &nats.Msg{Data: []byte(payload), Header: nats.Header{}}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Add(name, value)
	}
	if err := m.RespondMsg(r); err != nil {
		a.t.Fatal(err)
	}
}

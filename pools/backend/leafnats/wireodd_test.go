// Servers and moments that a wire does not expect: frames are nats.go's then, or the session is made anew.

package leafnats

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/pools/backend"
	"github.com/tidepool-proxy/tidepool/tests/natsd"
)

// A server that writes what nats.go reads, but nats-server would not: from there on answers are nats.go's.
func TestWireGivesUp(t *testing.T) {
	l := startLeaf(t, leaf.Options{})
	r := newRelay(t, l.Addr())
	b := startBackend(t, Options{URL: "nats://" + r.ln.Addr().String(), Timeout: patience})
	c := newClient(t, 0)
	for _, edit := range []func([]byte) []byte{
		func(b []byte) []byte { return b },
		func(b []byte) []byte { return bytes.Replace(b, []byte("\r\n"), []byte(" \r\n"), 1) }, // the end of MSG's line
		func(b []byte) []byte { return b },
	} {
		r.edit.Store(&edit)
		if got := c.do(b, "mn\r\n"); got != "MN\r\n" {
			t.Fatal(got)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n, err := b.sess.sub.Delivered(); n < 2 || err != nil || b.sess.wire == nil {
		t.Errorf("nats.go had %d answers (%v)", n, err)
	}
}

// A limit that is lowered while a connection lives holds at once, if the server says so; else the server ends the connection, and there is another one.
func TestWirePayloadIsLowered(t *testing.T) {
	for _, tells := range []bool{true, false} {
		ev := newEvents()
		var o server.Options
		cluster := server.ClusterOpts{Name: "x", Host: "127.0.0.1", Port: -1}
		s := natsd.Start(t, func(p *server.Options) { p.MaxPayload, p.Cluster = 1<<20, cluster; o = *p })
		startLeaf(t, leaf.Options{NATS: s.ClientURL(), Settle: time.Millisecond})
		b := startBackend(t, Options{URL: s.ClientURL() + "/leaf-1", Timeout: patience, OnEvent: ev.on, Health: backend.HealthOptions{RetryMin: time.Millisecond}})
		ev.wait(t, backend.EventConnected)
		o.MaxPayload, o.Port, o.Cluster.Port = 64<<10, s.Addr().(*net.TCPAddr).Port, s.ClusterAddr().Port
		if err := s.ReloadOptions(&o); err != nil {
			t.Fatal(err)
		}
		large := set("k", strings.Repeat("v", 200<<10))
		if tells {
			natsd.Start(t, func(p *server.Options) {
				p.Cluster, p.Routes = cluster, server.RoutesFromStr("nats://"+s.ClusterAddr().String())
			})
			waitFor(t, "the new limit to be told", func() bool { return b.conn.newest().most.Load() == 64<<10 })
		} else {
			if got := newClient(t, 0).do(b, large); !strings.HasPrefix(got, "ERR") {
				t.Errorf("longer than the server takes: %q", got)
			}
			ev.wait(t, backend.EventConnected)
		}
		if got := newClient(t, 0).do(b, large); got != "STORED\r\n" {
			t.Errorf("told %v: %q", tells, got)
		}
	}
}

// A session that is made while the connection is lost and made again, and so may look for answers where none come, is not kept.
func TestWireOfYesterday(t *testing.T) {
	l := startLeaf(t, leaf.Options{})
	b := startBackend(t, Options{URL: l.URL(), HelloInterval: time.Hour}) // nobody wakes the writer but this test
	c := newClient(t, 0)
	c.do(b, "mn\r\n")
	b.mu.Lock()
	nc, ups := b.nc, b.ups
	b.ups++
	b.retireLocked()
	b.mu.Unlock()
	b.open(nc, ups)
	b.mu.Lock()
	if b.sess != nil || len(b.retired) != 2 {
		t.Errorf("session %v, %d retired", b.sess, len(b.retired))
	}
	b.mu.Unlock()
	b.wakeWriter()
	if got := c.do(b, "mn\r\n"); got != "MN\r\n" {
		t.Error(got)
	}
}

// The writer of a backend that is closed makes no session of a connection that others still use.
func TestCloseShared(t *testing.T) {
	l := startLeaf(t, leaf.Options{})
	conns := NewConns(Access{})
	other := startBackend(t, Options{URL: l.URL(), Conns: conns})
	b := startBackend(t, Options{URL: l.URL(), Conns: conns})
	for _, b := range []*Backend{other, b} {
		if got := newClient(t, 0).do(b, "mn\r\n"); got != "MN\r\n" {
			t.Fatal(got)
		}
	}
	b.Close()
	b.retired = []*session{{}}
	var found turn
	if !b.look(&found) || found.nc != nil || len(found.retired) != 1 {
		t.Errorf("found %+v", found)
	}
	if b.look(&found) {
		t.Errorf("found %+v again", found)
	}
	if got := newClient(t, 0).do(other, "mn\r\n"); got != "MN\r\n" {
		t.Error(got)
	}
}

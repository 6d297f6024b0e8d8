// A small DNS server, for a real resolver to ask.

package topo

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsServer answers from what it was given, over UDP on loopback.
type dnsServer struct {
	conn net.PacketConn

	mu    sync.Mutex
	hosts map[string][]netip.Addr // by name with the dot at its end
	srvs  map[string][]dnsmessage.SRVResource
	fails bool // SERVFAIL
	asked int
}

func startDNS(t *testing.T) *dnsServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &dnsServer{conn: conn, hosts: map[string][]netip.Addr{}, srvs: map[string][]dnsmessage.SRVResource{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.serve()
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return d
}

// resolver is Go's own, which asks this server.
func (d *dnsServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "udp", d.conn.LocalAddr().String())
	}}
}

func (d *dnsServer) host(name string, addrs ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hosts[name] = nil
	for _, a := range addrs {
		d.hosts[name] = append(d.hosts[name], netip.MustParseAddr(a))
	}
}

// srv sets a name's records to targets at a port. With a weight that depends on their number, as CoreDNS has it.
func (d *dnsServer) srv(name string, port uint16, targets ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.srvs[name] = nil
	for _, target := range targets {
		d.srvs[name] = append(d.srvs[name], dnsmessage.SRVResource{Weight: uint16(100 / len(targets)), Port: port, Target: dnsmessage.MustNewName(target)})
	}
}

func (d *dnsServer) fail(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = on
}

func (d *dnsServer) questions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func (d *dnsServer) serve() {
	buf := make([]byte, 4096)
	for {
		n, from, err := d.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var q dnsmessage.Message
		if err := q.Unpack(buf[:n]); err != nil || len(q.Questions) != 1 {
			continue
		}
		a := d.answer(q.Questions[0])
		a.ID, a.Response, a.RecursionAvailable = q.ID, true, true
		if out, err := a.Pack(); err == nil {
			_, _ = d.conn.WriteTo(out, from)
		}
	}
}

func (d *dnsServer) answer(q dnsmessage.Question) (m dnsmessage.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	m.Questions = []dnsmessage.Question{q}
	name := strings.ToLower(q.Name.String())
	addrs, isHost := d.hosts[name]
	srvs, isSRV := d.srvs[name]
	switch {
	case d.fails:
		m.RCode = dnsmessage.RCodeServerFailure
	case !isHost && !isSRV:
		m.RCode = dnsmessage.RCodeNameError
	}
	if m.RCode != dnsmessage.RCodeSuccess {
		return m
	}
	head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
	for _, a := range addrs {
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
		case q.Type == dnsmessage.TypeAAAA && a.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	for i := range srvs {
		if q.Type == dnsmessage.TypeSRV {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &srvs[i]})
		}
	}
	return m
}

// TLS: what is spoken, what is verified, and how failures look.

package memcached

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// identity is a self-signed certificate for 127.0.0.1 and cache.example, and its files.
type identity struct {
	pair      tls.Certificate
	cert, key string
}

func newIdentity(t testing.TB) identity {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"cache.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	id := identity{cert: filepath.Join(t.TempDir(), "cert.pem"), key: filepath.Join(t.TempDir(), "key.pem")}
	must(os.WriteFile(id.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(os.WriteFile(id.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	id.pair, err = tls.LoadX509KeyPair(id.cert, id.key)
	must(err)
	return id
}

// overTLS is a script over TLS.
func overTLS(conf *tls.Config, script func(p *peer)) func(p *peer) {
	return func(p *peer) {
		tc := tls.Server(p.Conn, conf)
		script(&peer{tc, bufio.NewReader(tc), p.n})
	}
}

func TestTLS(t *testing.T) {
	id := newIdentity(t)
	large := strings.Repeat("x", 1<<20)
	host, port := serveRaw(t, overTLS(&tls.Config{Certificates: []tls.Certificate{id.pair}}, greeted(func(p *peer) {
		for l := p.line(); l != ""; l = p.line() {
			for _, key := range strings.Fields(l)[1:] {
				value := key
				if key == "large" {
					value = large
				}
				p.say("VALUE %s 0 %d\r\n%s\r\n", key, len(value), value)
			}
			p.say("END\r\n")
		}
	})))
	b, ev := at(t, host, port, Options{TLS: backend.TLS{On: true}, ReadTimeout: time.Second, Multiget: backend.MultigetAlways})
	w := newWaiter()
	var ps []*backend.Pending
	for range 50 {
		ps = append(ps, send(t, b, w, "get a\r\n"), send(t, b, w, "get large\r\n"))
	}
	w.take(len(ps))
	for i, p := range ps {
		if got := text(p); i%2 == 0 && got != valueOf("a") || i%2 == 1 && (p.Err != nil || string(p.Resp.Value()) != large) {
			t.Fatalf("answer %d: %.80q", i, got)
		}
	}
	// The read deadline passes while nobody waits: the connection is still good.
	c := b.conns[0]
	for armed := true; armed; {
		c.mu.Lock()
		armed = c.armed
		c.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	if got := ask(t, b, "get a\r\n"); got != valueOf("a") {
		t.Errorf("after the deadline: %q", got)
	}
	if s := b.Status(); s.Opened != 1 || ev.kinds() != "" {
		t.Errorf("%+v, events %s", s, ev.kinds())
	}
}

// Who is trusted. want is the event of the first attempt, "" if it is well.
func TestTLSVerification(t *testing.T) {
	id, other := newIdentity(t), newIdentity(t)
	pool := x509.NewCertPool()
	pool.AddCert(id.pair.Leaf)
	plain := &tls.Config{Certificates: []tls.Certificate{id.pair}}
	f := func(name string, o backend.TLS, server *tls.Config, want backend.EventKind) {
		t.Run(name, func(t *testing.T) {
			host, port := serveRaw(t, overTLS(server, greeted(echo)))
			o.On = true
			b, ev := at(t, host, port, Options{TLS: o, FailureLimit: backend.NoTolerance, RetryWait: time.Hour, ReadTimeout: time.Minute})
			if want != "" {
				e := ev.wait(want)
				t.Log(e.Err)
				ev.wait(backend.EventMarkedBad)
			} else if got := ask(t, b, "get a\r\n"); got != valueOf("a") {
				t.Errorf("%q, events %s", got, ev.kinds())
			}
		})
	}
	f("not verified", backend.TLS{}, plain, "")
	f("known authority", backend.TLS{CA: id.cert}, plain, "")
	f("known authority and name", backend.TLS{CA: id.cert, Name: "cache.example"}, plain, "")
	f("another authority", backend.TLS{CA: other.cert}, plain, "badvalidate")
	f("another name", backend.TLS{CA: id.cert, Name: "other.example"}, plain, "badvalidate")
	f("the system's authorities", backend.TLS{Verify: true}, plain, "badvalidate")
	f("the system's authorities, by name", backend.TLS{Name: "cache.example"}, plain, "badvalidate")
	f("old version", backend.TLS{}, &tls.Config{Certificates: []tls.Certificate{id.pair}, MaxVersion: tls.VersionTLS12}, "badvalidate")
	wants := &tls.Config{Certificates: []tls.Certificate{id.pair}, ClientAuth: tls.RequireAnyClientCert}
	f("our own certificate", backend.TLS{Cert: other.cert, Key: other.key}, wants, "")
	f("no certificate of ours", backend.TLS{}, wants, "reading")
}

// Servers that are no TLS servers.
func TestTLSHandshakeFails(t *testing.T) {
	f := func(script func(p *peer), patience time.Duration, want backend.EventKind) {
		t.Helper()
		host, port := serveRaw(t, script)
		b, ev := at(t, host, port, Options{TLS: backend.TLS{On: true}, FailureLimit: backend.NoTolerance, RetryWait: time.Hour, ReadTimeout: patience})
		ev.wait(want)
		if got := ask(t, b, "get a\r\n"); got != backend.ErrDown.Error() {
			t.Errorf("%s: %q", want, got)
		}
	}
	f(func(p *peer) { p.line(); p.say("ERROR\r\n"); silent(p) }, time.Minute, "badvalidate")
	f(func(p *peer) { p.say("VERSION 1.2.3\r\n"); silent(p) }, time.Minute, "badvalidate")
	f(func(*peer) {}, time.Minute, "badvalidate")
	f(func(p *peer) { p.in.WriteTo(discard{}) }, 50*time.Millisecond, "readvalidate")
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// A server that has TLS is not spoken to in the clear.
func TestPlainToTLS(t *testing.T) {
	id := newIdentity(t)
	host, port := serveRaw(t, overTLS(&tls.Config{Certificates: []tls.Certificate{id.pair}}, greeted(echo)))
	_, ev := at(t, host, port, Options{FailureLimit: backend.NoTolerance, RetryWait: time.Hour, ReadTimeout: time.Minute})
	ev.wait(backend.EventMarkedBad)
}

func TestTLSOptionErrors(t *testing.T) {
	id := newIdentity(t)
	f := func(o Options, want string) {
		t.Helper()
		o.TLS.On = true
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o.TLS, err, want)
		}
	}
	at := Options{Host: "127.0.0.1", Port: "1"}
	at.TLS = backend.TLS{CA: "/none"}
	f(at, "cannot read tls_ca: open /none")
	at.TLS = backend.TLS{CA: id.key}
	f(at, "holds no PEM certificate")
	at.TLS = backend.TLS{Cert: id.cert, Key: id.cert}
	f(at, "cannot read tls_cert")
	f(Options{Path: "/s", TLS: backend.TLS{CA: id.cert}}, "cannot verify the certificate behind a unix socket without tls_name")
}

// A renewed authority is read at the next connect.
func TestTLSFilesAreReadAgain(t *testing.T) {
	id, other := newIdentity(t), newIdentity(t)
	host, port := serveRaw(t, overTLS(&tls.Config{Certificates: []tls.Certificate{id.pair}}, greeted(echo)))
	b, ev := at(t, host, port, Options{TLS: backend.TLS{On: true, CA: other.cert}, FailureLimit: backend.NoTolerance, RetryWait: 10 * time.Millisecond, ReadTimeout: time.Minute})
	ev.wait(backend.EventMarkedBad)
	good, err := os.ReadFile(id.cert)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other.cert, good, 0o600); err != nil {
		t.Fatal(err)
	}
	ev.wait(backend.EventConnected)
	if got := ask(t, b, "get a\r\n"); got != valueOf("a") {
		t.Errorf("%q", got)
	}
}

// pieces keeps what was written, call by call.
type pieces struct {
	net.Conn
	list []string
}

func (p *pieces) Write(b []byte) (int, error) {
	p.list = append(p.list, string(b))
	return len(b), nil
}

// No request begins in a TLS record that another has reached into: old memcached servers would not answer it.
func TestRecordsEndWithRequests(t *testing.T) {
	rnd := mrand.New(mrand.NewPCG(1, 2))
	for range 50 {
		b, err := New(Options{Host: "h", Port: "1", Down: true, TLS: backend.TLS{On: true}})
		if err != nil {
			t.Fatal(err)
		}
		c := b.conns[0]
		c.refuse = nil
		out := &pieces{}
		for range 2 { // the second time with buffers that were used
			var requests []string
			for range 1 + rnd.IntN(40) {
				s := "get k\r\n"
				if n := rnd.IntN(1 << (4 + rnd.IntN(12))); n%3 > 0 {
					s = fmt.Sprintf("set k 0 0 %d\r\n%s\r\n", n, strings.Repeat("v", n))
				}
				requests = append(requests, s)
				send(t, b, newWaiter(), s)
			}
			c.mu.Lock()
			c.armed = true // there is no socket to set a deadline on
			buf, cuts := c.takeLocked()
			c.spare, c.spareCut = buf[:0], cuts[:0]
			c.mu.Unlock()
			out.list = nil
			if err := writeCut(out, buf, cuts); err != nil {
				t.Fatal(err)
			}
			if strings.Join(out.list, "") != strings.Join(requests, "") {
				t.Fatal("what is written is not what was sent")
			}
			for _, piece := range out.list {
				n, first := 0, len(requests[0])
				for n < len(piece) {
					n += len(requests[0])
					requests = requests[1:]
				}
				if n != len(piece) || n > maxRecord && n != first {
					t.Fatalf("a piece of %d bytes, whose requests end at %d", len(piece), n)
				}
			}
		}
	}
}

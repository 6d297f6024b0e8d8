// The embedded server's listener, and the leaf's own connection, which comes through it.

package leaf

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/tidepool-proxy/tidepool/leaf/access"
	"github.com/tidepool-proxy/tidepool/leaf/pipe"
	"github.com/tidepool-proxy/tidepool/tests/pki"
)

// nats-server has taken the listener that was put where it looks for one. If it does not any more, a leaf is slower, and this is where it shows.
func TestListener(t *testing.T) {
	l := start(t, Options{})
	at := listenerOf(l.srv)
	if at == nil {
		t.Fatal("nats-server has no field for its listener")
	}
	if got, ok := (*at).(*listener); !ok || got.Addr() != l.srv.Addr() {
		t.Errorf("nats-server at %v has a %T", l.srv.Addr(), *at)
	}
	a, b := pipe.New()
	defer a.Close()
	defer b.Close()
	if got := l.nc.ConnectedAddr(); got != a.RemoteAddr().String() {
		t.Errorf("the leaf's own connection is to %q", got)
	}
}

// With TLS, which is asked of everybody that the listener gives, the leaf's own connection comes some other way, without.
func TestOwnConnectionBesidesTLS(t *testing.T) {
	ca := pki.New(t)
	pair := ca.Issue(t, time.Hour, "leaf")
	c, err := access.TLS{Cert: pair.Cert, Key: pair.Key}.Server()
	if err != nil {
		t.Fatal(err)
	}
	l := start(t, Options{TLS: c})
	if got := l.nc.ConnectedAddr(); got != "pipe" {
		t.Errorf("the leaf's own connection is to %q", got)
	}
	if _, err := l.nc.TLSConnectionState(); err == nil {
		t.Error("the leaf speaks TLS with itself")
	}
}

// The leaf comes back when its server has cut it off, and who may connect can change without that.
func TestOwnConnectionComesBack(t *testing.T) {
	l := start(t, Options{Users: []access.User{{Name: "u", Password: "old"}}})
	if err := l.Reload(Options{Users: []access.User{{Name: "u", Password: "new"}}}); err != nil {
		t.Fatal(err)
	}
	if n := l.nc.Stats().Reconnects; n != 0 {
		t.Errorf("reconnected %d times for others", n)
	}
	for n := range uint64(3) {
		id, err := l.nc.GetClientID()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.srv.DisconnectClientByID(id); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the leaf is back", func() bool { return l.nc.Stats().Reconnects == n+1 && l.nc.IsConnected() })
	}
	own := 0
	cz, err := l.srv.Connz(&server.ConnzOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cz.Conns {
		if c.Name == "tidepool leaf "+l.Name() {
			own++
		}
	}
	if own != 1 {
		t.Errorf("the server knows %d connections of the leaf", own)
	}
}

// listening is a listener as an embedded server has it.
func listening(t *testing.T) *listener {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{TCPListener: tcp.(*net.TCPListener), direct: &direct{}}
	t.Cleanup(func() { l.Close() })
	return l
}

// Connections of both kinds are accepted, whichever comes while which is waited for; none gets lost.
func TestAcceptBothKinds(t *testing.T) {
	const each = 50
	l := listening(t)
	var all sync.WaitGroup
	for _, dial := range []func() (net.Conn, error){
		l.InProcessConn,
		func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) },
	} {
		for range 2 {
			all.Go(func() {
				for range each {
					nc, err := dial()
					if err != nil {
						t.Error(err)
						return
					}
					nc.Write([]byte("x\n"))
					if _, err := io.ReadFull(nc, make([]byte, 2)); err != nil {
						t.Error(err)
					}
					nc.Close()
				}
			})
		}
	}
	for range 4 * each {
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			io.Copy(nc, nc)
			nc.Close()
		})
	}
	all.Wait()
}

// A listener that is closed leaves nobody waiting.
func TestListenerCloses(t *testing.T) {
	l := listening(t)
	early, err := l.InProcessConn()
	if err != nil {
		t.Fatal(err)
	}
	if nc, err := l.Accept(); err != nil {
		t.Error(err)
	} else {
		defer nc.Close()
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepted <- err
	}()
	l.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := l.InProcessConn(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("InProcessConn: %v", err)
	}
	if _, err := early.Write([]byte("x")); err != nil {
		t.Errorf("a connection that was accepted: %v", err)
	}
	early.Close()

	l = listening(t)
	late, err := l.InProcessConn()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := late.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a connection that nobody accepts: %v", err)
	}
}

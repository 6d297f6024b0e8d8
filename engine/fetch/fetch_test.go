// That what is under way is answered once, whatever happens. What is answered is tested through scripts, in package engine.

package fetch

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waiter takes answers.
type waiter chan *backend.Pending

func (w waiter) Done(p *backend.Pending) bool {
	w <- p
	return false
}

func (w waiter) Wake() {}

// ask sends a get.
func ask(t *testing.T, f *Fetcher, w backend.Waiter) {
	t.Helper()
	var r mc.Request
	if err := mc.NewRequest(&r, []byte("get k\r\n"), nil); err != nil {
		t.Fatal(err)
	}
	p := backend.NewPending()
	p.Waiter = w
	f.Send(&r, p)
}

func TestEndings(t *testing.T) {
	var conns atomic.Int32
	came, release := make(chan struct{}, 8), make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		<-release
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	options := Options{Before: server.URL + "/", Timeout: time.Hour, Max: 10, Connections: 2, Now: backend.Now}
	w := make(waiter, 8)
	f := New(options)
	ask(t, f, w)
	ask(t, f, w)
	<-came
	<-came
	ask(t, f, w)
	if p := <-w; !errors.Is(p.Err, backend.ErrOverloaded) {
		t.Errorf("the third of two: %v", p.Err)
	}
	f.Close()
	for range 2 {
		if p := <-w; !errors.Is(p.Err, backend.ErrClosed) {
			t.Errorf("under way when it was closed: %v", p.Err)
		}
	}
	options.Timeout = 10 * time.Millisecond
	f = New(options)
	ask(t, f, w)
	if p := <-w; !errors.Is(p.Err, backend.ErrTimeout) {
		t.Errorf("too slow: %v", p.Err)
	}
	f.Close()
	close(release)
	options.Timeout = time.Hour
	f = New(options)
	before := conns.Load()
	for range 3 {
		ask(t, f, w)
		if p := <-w; p.Err != nil || p.Resp.Code != mc.CodeOK || p.Resp.VLen() != 0 {
			t.Errorf("an empty value: %v %q", p.Err, p.Resp.Raw)
		}
	}
	if n := conns.Load() - before; n != 1 {
		t.Errorf("%d connections for three requests, want 1", n)
	}
	f.Close()
	server.Close()
	options.Before = server.URL + "/"
	f = New(options)
	ask(t, f, w)
	if p := <-w; !errors.Is(p.Err, backend.ErrDown) {
		t.Errorf("nobody there: %v", p.Err)
	}
	f.Close()
}

// releasing has the answer used again at once, as one that is awake does.
type releasing chan struct{}

func (r releasing) Done(p *backend.Pending) bool {
	p.Release()
	return true
}

func (r releasing) Wake() { r <- struct{}{} }

// An answer that has been handed over is not looked at any more.
func TestHandedOver(t *testing.T) {
	f := New(Options{Dry: true, Now: backend.Now})
	defer f.Close()
	w := make(releasing, 1)
	ask(t, f, w)
	<-w
}

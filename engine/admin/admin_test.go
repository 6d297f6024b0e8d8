// The admin face as its users meet it: over HTTP, on real sockets.

package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// leafLike is a Process without anything to reload.
type leafLike struct {
	ready, pools error
	cfg          any
}

func (p *leafLike) Config() any { return p.cfg }
func (p *leafLike) Ready(pools bool) error {
	if pools && p.ready == nil {
		return p.pools
	}
	return p.ready
}

// proxyLike is one that reloads.
type proxyLike struct {
	leafLike
	gen  atomic.Uint64
	fail error
}

func (p *proxyLike) Generation() uint64 { return p.gen.Load() }
func (p *proxyLike) Reload() (uint64, error) {
	if p.fail != nil {
		return 0, p.fail
	}
	return p.gen.Add(1), nil
}

// serve starts a Server with quiet logs on a loopback port (or o.Addr) and stops it with the test.
func serve(t *testing.T, o Options) (*Server, *http.Client) {
	t.Helper()
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	o.Log = slog.New(slog.DiscardHandler)
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if path, ok := strings.CutPrefix(s.Addr(), unixPrefix); ok {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr())
	}}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return s, &http.Client{Transport: tr}
}

// ask makes one request; headers are "Name: value".
func ask(t *testing.T, c *http.Client, method, path string, headers ...string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://admin"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestReads(t *testing.T) {
	hits := prometheus.NewCounter(prometheus.CounterOpts{Name: "tidepool_test_total", Help: "x"})
	hits.Add(7)
	p := &proxyLike{}
	p.gen.Store(3)
	p.cfg = map[string]any{"generation": 3}
	_, c := serve(t, Options{Process: p, Title: "a <proxy>", Collectors: []prometheus.Collector{hits}})

	f := func(path string, status int, want string) {
		t.Helper()
		got, body := ask(t, c, "GET", path)
		if got != status || !strings.Contains(body, want) {
			t.Errorf("GET %s: got %d %q, want %d with %q", path, got, body, status, want)
		}
	}
	f("/metrics", 200, "tidepool_test_total 7\n")
	f("/metrics", 200, "go_goroutines ")
	f("/metrics", 200, "process_open_fds ")
	f("/livez", 200, "ok\n")
	f("/readyz", 200, "ok\n")
	f("/readyz?pools=1", 200, "ok\n")
	f("/readyz?pools=yes", 400, `pools="yes": want 0 or 1`)
	f("/config", 200, "{\n  \"generation\": 3\n}\n")
	f("/debug/pprof/", 200, "goroutine")
	f("/", 200, "a &lt;proxy&gt;")
	f("/", 200, "generation 3")
	f("/", 200, `<a href="/metrics">`)
	f("/", 200, "<td>POST<td>/reload")
	f("/nothing", 404, "")
}

// gone is a reader that has gone.
type gone struct{ http.ResponseWriter }

func (gone) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// A scrape that is given up costs no line for each metric.
func TestMetricsReaderGone(t *testing.T) {
	var log bytes.Buffer
	h, err := metricsHandler(Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if r := recover(); r != http.ErrAbortHandler || log.Len() > 0 {
			t.Errorf("%v, log: %s", r, log.String())
		}
	}()
	h.ServeHTTP(gone{httptest.NewRecorder()}, httptest.NewRequest("GET", "/metrics", nil))
}

func TestReadyz(t *testing.T) {
	f := func(path string, ready, pools error, status int, want string) {
		t.Helper()
		_, c := serve(t, Options{Process: &leafLike{ready: ready, pools: pools}})
		if got, body := ask(t, c, "GET", path); got != status || body != want {
			t.Errorf("GET %s: got %d %q, want %d %q", path, got, body, status, want)
		}
	}
	down := errors.New(`pool "foo" has no backend that is up`)
	f("/readyz", nil, down, 200, "ok\n")
	f("/readyz?pools=0", nil, down, 200, "ok\n")
	f("/readyz?pools=1", nil, down, 503, "not ready: pool \"foo\" has no backend that is up\n")
	f("/readyz", errors.New("no generation is loaded"), nil, 503, "not ready: no generation is loaded\n")
	f("/livez", errors.New("no generation is loaded"), nil, 200, "ok\n")
}

func TestReload(t *testing.T) {
	p := &proxyLike{}
	_, c := serve(t, Options{Process: p})
	f := func(method string, status int, want string, headers ...string) {
		t.Helper()
		if got, body := ask(t, c, method, "/reload", headers...); got != status || !strings.Contains(body, want) {
			t.Errorf("%s /reload: got %d %q, want %d with %q", method, got, body, status, want)
		}
	}
	f("POST", 200, `{"generation":1}`)
	f("POST", 200, `{"generation":2}`)
	f("GET", 405, "")
	f("HEAD", 405, "")
	f("PUT", 405, "")
	f("POST", 403, "", "Sec-Fetch-Site: cross-site") // a page elsewhere that aims a browser at us
	f("POST", 403, "", "Origin: http://elsewhere.example")
	if got := p.Generation(); got != 2 {
		t.Errorf("generation %d after the refusals, want 2", got)
	}
	p.fail = errors.New("routes.lua:3: unexpected symbol near 'end'")
	f("POST", 422, "routes.lua:3: unexpected symbol near 'end'\n")
}

func TestALeafHasNoReload(t *testing.T) {
	_, c := serve(t, Options{Process: &leafLike{}})
	if got, _ := ask(t, c, "POST", "/reload"); got != 404 {
		t.Errorf("POST /reload: got %d, want 404", got)
	}
	if _, body := ask(t, c, "GET", "/"); strings.Contains(body, "reload") || strings.Contains(body, "generation") {
		t.Errorf("the index of a leaf speaks of reloading: %q", body)
	}
}

func TestConfigThatCannotBeShown(t *testing.T) {
	_, c := serve(t, Options{Process: &leafLike{cfg: func() {}}})
	if got, body := ask(t, c, "GET", "/config"); got != 500 || !strings.Contains(body, "cannot show the configuration: ") {
		t.Errorf("GET /config: got %d %q", got, body)
	}
}

// TestFromOutside asks a handler that was told its address is not local, on an address that is.
func TestFromOutside(t *testing.T) {
	f := func(o Options, method, path string, status int, headers ...string) {
		t.Helper()
		o.Process, o.Log = &proxyLike{}, slog.New(slog.DiscardHandler)
		h, err := newHandler(o, false)
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest(method, path, nil)
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			req.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if w.Code != status {
			t.Errorf("%s %s %q: got %d %q, want %d", method, path, headers, w.Code, w.Body, status)
		}
	}
	secret, open := Options{Token: "s3cret"}, Options{Insecure: true}
	f(secret, "GET", "/livez", 200)
	f(secret, "GET", "/config", 200)
	f(secret, "GET", "/debug/pprof/", 404)
	f(secret, "GET", "/debug/pprof/goroutine", 404)
	f(secret, "POST", "/reload", 401)
	f(secret, "POST", "/reload", 401, "Authorization: Bearer s3cre")
	f(secret, "POST", "/reload", 401, "Authorization: Bearer ")
	f(secret, "POST", "/reload", 401, "Authorization: Basic s3cret")
	f(secret, "POST", "/reload", 401, "Authorization: s3cret")
	f(secret, "POST", "/reload", 200, "Authorization: Bearer s3cret")
	f(secret, "POST", "/reload", 200, "Authorization: bearer s3cret")
	f(open, "GET", "/livez", 200)
	f(open, "POST", "/reload", 403)
	f(open, "POST", "/reload", 403, "Authorization: Bearer ")
	f(open, "GET", "/debug/pprof/", 404)
}

func TestLoopbackNeedsNoToken(t *testing.T) {
	_, c := serve(t, Options{Process: &proxyLike{}, Token: "s3cret"})
	if got, body := ask(t, c, "POST", "/reload"); got != 200 {
		t.Errorf("POST /reload: got %d %q, want 200", got, body)
	}
}

func TestStartRefuses(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "notes")
	if err := os.WriteFile(file, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := prometheus.NewCounter(prometheus.CounterOpts{Name: "tidepool_twice_total", Help: "x"})

	f := func(o Options, want string) {
		t.Helper()
		o.Process = &leafLike{}
		s, err := Start(o)
		if err == nil {
			_ = s.Shutdown(t.Context())
			t.Errorf("%q: started, want an error with %q", o.Addr, want)
			return
		}
		if !strings.HasPrefix(err.Error(), "cannot serve admin on \""+o.Addr+"\": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q, want %q", o.Addr, err, want)
		}
	}
	f(Options{Addr: ""}, `want "host:port" or "unix:/path"`)
	f(Options{Addr: "9411"}, `want "host:port" or "unix:/path"`)
	f(Options{Addr: "192.0.2.1:0"}, "want an admin token or --insecure")
	f(Options{Addr: ":0"}, "want an admin token or --insecure")
	f(Options{Addr: "127.0.0.1:nine"}, "unknown port")
	f(Options{Addr: busy.Addr().String()}, "address already in use")
	f(Options{Addr: "0.0.0.0:0"}, "want an admin token or --insecure")
	f(Options{Addr: "[::]:0"}, "want an admin token or --insecure")
	f(Options{Addr: "unix:"}, `want a path after "unix:"`)
	f(Options{Addr: "unix:" + file}, "a file that is no socket is in the way")
	f(Options{Addr: "unix:" + filepath.Join(dir, "none", "s")}, "no such file or directory")
	f(Options{Addr: "127.0.0.1:0", Collectors: []prometheus.Collector{one, one}}, "cannot register a metric: ")
	if b, _ := os.ReadFile(file); string(b) != "keep" {
		t.Errorf("the file in the way was changed: %q", b)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	left, err := net.Listen("unix", path) // what a killed process leaves: a file, and nobody behind it
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = left.Close()

	s, c := serve(t, Options{Addr: "unix:" + path, Process: &proxyLike{}})
	if s.Addr() != "unix:"+path {
		t.Errorf("Addr is %q", s.Addr())
	}
	for _, r := range [][2]string{{"GET", "/livez"}, {"POST", "/reload"}, {"GET", "/debug/pprof/"}} {
		if got, body := ask(t, c, r[0], r[1]); got != 200 {
			t.Errorf("%s %s: got %d %q", r[0], r[1], got, body)
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v (%v), want 0600", st.Mode(), err)
	}
	if _, err := Start(Options{Addr: "unix:" + path, Process: &leafLike{}}); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a second server on one socket: %v", err)
	}
	if got, _ := ask(t, c, "GET", "/livez"); got != 200 {
		t.Error("the refused second server took the socket away")
	}
}

// slow is a Process whose Ready waits until it is told to go on.
type slow struct {
	leafLike
	asked, answer chan struct{}
}

func (p *slow) Ready(bool) error {
	close(p.asked)
	<-p.answer
	return nil
}

func TestShutdownFinishesWhatIsUnderWay(t *testing.T) {
	p := &slow{asked: make(chan struct{}), answer: make(chan struct{})}
	s, c := serve(t, Options{Process: p})
	got := make(chan int)
	go func() {
		status, _ := ask(t, c, "GET", "/readyz")
		got <- status
	}()
	<-p.asked
	stopped := make(chan error)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	for { // the listener is closed first; only then does the request under way end
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(p.answer)
	if status := <-got; status != 200 {
		t.Errorf("the request under way got %d, want 200", status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsWhenItsTimeIsOver(t *testing.T) {
	p := &slow{asked: make(chan struct{}), answer: make(chan struct{})}
	s, c := serve(t, Options{Process: p})
	go func() { _, _ = c.Get("http://admin/readyz") }()
	<-p.asked
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "cannot finish admin requests: ") {
		t.Errorf("got %v", err)
	}
	close(p.answer)
}

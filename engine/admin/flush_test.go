package admin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"testing"
)

// flushing is a Process that notes what it is asked to flush.
type flushing struct {
	proxyLike
	asked []Flush
	fail  error
}

func (p *flushing) Flush(_ context.Context, f Flush) (string, error) {
	p.asked = append(p.asked, f)
	return "flushed it", p.fail
}

func TestFlush(t *testing.T) {
	p := &flushing{}
	_, c := serve(t, Options{Process: p})
	f := func(query string, status int, want string, asked ...Flush) {
		t.Helper()
		p.asked = nil
		got, body := ask(t, c, "POST", "/flush"+query)
		if got != status || body != want+"\n" || fmt.Sprint(p.asked) != fmt.Sprint(asked) {
			t.Errorf("%s: got %d %q and %v, want %d %q and %v", query, got, body, p.asked, status, want, asked)
		}
	}
	f("?pool=a", 200, "flushed it", Flush{Pool: "a"})
	f("?pool=a&prefix=b%3A%00%ff", 200, "flushed it", Flush{Pool: "a", Prefix: []byte("b:\x00\xff")})
	f("?all=1", 200, "flushed it", Flush{All: true})
	f("", 200, "flushed it", Flush{}) // what is missing is the process's to say
	f("?prefix=", 400, "cannot read query: prefix= is empty")
	f("?pool=a&pool=b", 400, "cannot read query: pool= is there 2 times")
	f("?pool=a&prefx=b", 400, `cannot read query: unknown prefx="b", want pool=NAME, prefix=PREFIX or all=1`)
	f("?all=0", 400, `cannot read query: unknown all="0", want pool=NAME, prefix=PREFIX or all=1`)
	f("?prefix=%zz", 400, `cannot read query "prefix=%zz": invalid URL escape "%zz"`)
	for err, status := range map[error]int{ErrForbidden: 403, ErrNotFound: 404, ErrBadRequest: 400, io.EOF: 502} {
		p.fail = fmt.Errorf("cannot flush: %w", err)
		f("?all=1", status, "cannot flush: "+err.Error(), Flush{All: true})
	}
	if got, _ := ask(t, c, "GET", "/flush?all=1"); got != 405 {
		t.Errorf("GET /flush: %d", got)
	}
}

// Only a process that can be flushed has the page, and from outside it wants the token.
func TestFlushIsGuarded(t *testing.T) {
	f := func(p Process, o Options, status int) {
		t.Helper()
		o.Process, o.Log = p, slog.New(slog.DiscardHandler)
		h, err := newHandler(o, false)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/flush?all=1", nil))
		if w.Code != status {
			t.Errorf("got %d %q, want %d", w.Code, w.Body, status)
		}
	}
	f(&proxyLike{}, Options{Token: "x"}, 404)
	p := &flushing{}
	f(p, Options{Token: "x"}, 401)
	f(p, Options{Insecure: true}, 403)
	if p.asked != nil {
		t.Errorf("a stranger flushed %v", p.asked)
	}
}

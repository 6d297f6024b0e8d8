// Explaining over HTTP: who may, and what is said.

package admin

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// explaining is a Process that notes what it is asked to explain.
type explaining struct {
	proxyLike
	asked []string
	fail  error
}

func (p *explaining) Explain(tag string, request []byte) (any, error) {
	p.asked = append(p.asked, tag+" "+string(request))
	return map[string]int{"took_us": 7}, p.fail
}

func TestExplain(t *testing.T) {
	p := &explaining{}
	h, err := newHandler(Options{Process: p, Token: "s3cret", Log: slog.New(slog.DiscardHandler)}, false)
	if err != nil {
		t.Fatal(err)
	}
	f := func(method, path, body string, status int, want string, headers ...string) {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		for _, x := range headers {
			name, value, _ := strings.Cut(x, ": ")
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got, _ := io.ReadAll(w.Body); w.Code != status || !strings.Contains(string(got), want) {
			t.Errorf("%s %s: got %d %q, want %d with %q", method, path, w.Code, got, status, want)
		}
	}
	const auth = "Authorization: Bearer s3cret"
	// A real request is sent: whoever may not reload may not do that.
	f("POST", "/explain", "get k\r\n", http.StatusUnauthorized, "want the admin token")
	f("GET", "/explain", "", http.StatusMethodNotAllowed, "", auth)
	f("POST", "/explain", "get k\r\n", http.StatusForbidden, "", auth, "Sec-Fetch-Site: cross-site")
	if len(p.asked) > 0 {
		t.Errorf("explained %q", p.asked)
	}
	f("POST", "/explain?tag=b", "get k\r\n", http.StatusOK, `"took_us": 7`, auth)
	f("POST", "/explain?tga=b", "get k\r\n", http.StatusBadRequest, `unknown "tga", want tag=NAME`, auth)
	f("POST", "/explain", strings.Repeat("x", maxExplained+1), http.StatusBadRequest, "cannot read the request: ", auth)
	if got := fmt.Sprint(p.asked); got != "[b get k\r\n]" {
		t.Errorf("explained %q", got)
	}
	for kind, status := range map[error]int{ErrBadRequest: 400, ErrBusy: 409, errors.New("it stops"): 503} {
		p.fail = fmt.Errorf("no: %w", kind)
		f("POST", "/explain", "get k\r\n", status, "no: ", auth)
	}
}

func TestALeafExplainsNothing(t *testing.T) {
	_, c := serve(t, Options{Process: &leafLike{}})
	if got, _ := ask(t, c, "POST", "/explain"); got != 404 {
		t.Errorf("POST /explain: got %d, want 404", got)
	}
}

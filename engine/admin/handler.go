// What is served where, and who may ask.

package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// page is one line of the index.
type page struct{ method, path, about string }

type handler struct {
	process  Process
	reloader Reloader  // nil: nothing to reload
	flusher  Flusher   // nil: nothing to flush
	explain  Explainer // nil: nothing to explain
	token    string
	local    bool // the address is loopback or a unix socket
	title    string
	log      *slog.Logger
	pages    []page
}

func newHandler(o Options, local bool) (http.Handler, error) {
	h := &handler{process: o.Process, token: o.Token, local: local, title: o.Title, log: o.Log}
	h.reloader, _ = o.Process.(Reloader)
	h.flusher, _ = o.Process.(Flusher)
	h.explain, _ = o.Process.(Explainer)

	metrics, err := metricsHandler(o)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	serve := func(method, path, about string, f http.Handler) {
		mux.Handle(method+" "+path, f)
		h.pages = append(h.pages, page{method, path, about})
	}
	serve("GET", "/metrics", "counters and histograms, for Prometheus", metrics)
	serve("GET", "/livez", "the process answers", http.HandlerFunc(h.livez))
	serve("GET", "/readyz", "it serves, and a leaf is warm; at a proxy ?pools=1 asks, too, that every pool has a backend that is up", http.HandlerFunc(h.readyz))
	serve("GET", "/config", "what is loaded, as JSON, without credentials", http.HandlerFunc(h.config))
	if h.reloader != nil {
		serve("POST", "/reload", "load the configuration again; answers the new generation", h.changes(http.HandlerFunc(h.reload)))
	}
	if h.flusher != nil {
		serve("POST", "/flush", "make items unreadable: ?pool= at a proxy, prefix= of their keys, or all=1 at a leaf", h.changes(http.HandlerFunc(h.flush)))
	}
	if h.explain != nil {
		serve("POST", "/explain", "serve the request in the body, of a client with ?tag=, and tell what it did; tidepool explain --live shows it", h.changes(http.HandlerFunc(h.explainOne)))
	}
	if local {
		serve("GET", "/debug/pprof/", "profiles, for go tool pprof", http.HandlerFunc(pprof.Index))
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	mux.HandleFunc("GET /{$}", h.index)
	return http.NewCrossOriginProtection().Handler(mux), nil
}

// metricsHandler has a registry of its own, so that several processes' worth of metrics live in one test process.
func metricsHandler(o Options) (http.Handler, error) {
	reg := prometheus.NewRegistry()
	all := append([]prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}, o.Collectors...)
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("cannot register a metric: %w", err)
		}
	}
	metrics := promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog:      slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
		ErrorHandling: promhttp.ContinueOnError, // one bad metric must not hide the others
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { metrics.ServeHTTP(untilGone{w}, r) }), nil
}

// untilGone ends the handler when its reader has gone: promhttp goes on otherwise, and logs it for each metric.
type untilGone struct{ http.ResponseWriter }

func (w untilGone) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	if err != nil {
		panic(http.ErrAbortHandler) // which net/http takes without a word
	}
	return n, nil
}

// changes lets a request in that changes something: locally, or with the token.
func (h *handler) changes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.local || h.authorized(r) {
			next.ServeHTTP(w, r)
			return
		}
		if h.token == "" {
			http.Error(w, "this address takes no changes: it is outside loopback and has no admin token", http.StatusForbidden)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="tidepool admin"`)
		http.Error(w, "want the admin token: Authorization: Bearer TOKEN", http.StatusUnauthorized)
	})
}

// authorized compares digests, so that neither the token's bytes nor its length show in the time it takes.
func (h *handler) authorized(r *http.Request) bool {
	scheme, got, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || h.token == "" || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(h.token))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func (h *handler) livez(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok") }

func (h *handler) readyz(w http.ResponseWriter, r *http.Request) {
	pools := false
	switch v := r.URL.Query().Get("pools"); v {
	case "", "0":
	case "1":
		pools = true
	default:
		text(w, http.StatusBadRequest, fmt.Sprintf("cannot read pools=%q: want 0 or 1", v))
		return
	}
	if err := h.process.Ready(pools); err != nil {
		text(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
		return
	}
	text(w, http.StatusOK, "ok")
}

func (h *handler) config(w http.ResponseWriter, _ *http.Request) {
	out, err := json.MarshalIndent(h.process.Config(), "", "  ")
	if err != nil {
		text(w, http.StatusInternalServerError, "cannot show the configuration: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(out, '\n'))
}

// reload answers {"generation": N}, or 422 with the reason as one line of text: the old generation goes on.
func (h *handler) reload(w http.ResponseWriter, _ *http.Request) {
	gen, err := h.reloader.Reload()
	if err != nil {
		text(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct {
		Generation uint64 `json:"generation"`
	}{gen})
}

func (h *handler) index(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	title := html.EscapeString(h.title)
	fmt.Fprintf(&b, "<!doctype html><meta charset=utf-8><title>%s</title>\n<h1>%s</h1>\n", title, title)
	if h.reloader != nil {
		fmt.Fprintf(&b, "<p>generation %d</p>\n", h.reloader.Generation())
	}
	b.WriteString("<table>\n")
	for _, p := range h.pages {
		path := html.EscapeString(p.path)
		if p.method == http.MethodGet {
			path = fmt.Sprintf("<a href=%q>%s</a>", path, path)
		}
		fmt.Fprintf(&b, "<tr><td>%s<td>%s<td>%s\n", p.method, path, html.EscapeString(p.about))
	}
	b.WriteString("</table>\n")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(b.String()))
}

// text answers one line.
func text(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(line + "\n"))
}

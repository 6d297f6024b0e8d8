// Flushing over HTTP: what is asked for, and what its errors are there.

package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// flush answers one line: what was flushed, or why not.
func (h *handler) flush(w http.ResponseWriter, r *http.Request) {
	f, err := parseFlush(r.URL.RawQuery)
	if err != nil {
		text(w, http.StatusBadRequest, err.Error())
		return
	}
	done, err := h.flusher.Flush(r.Context(), f)
	if err != nil {
		text(w, flushStatus(err), err.Error())
		return
	}
	text(w, http.StatusOK, done)
}

// parseFlush reads a query. What it does not know, or what is there and empty, it refuses: a flush with a word mistyped must not be a
// larger one.
func parseFlush(query string) (f Flush, err error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return f, fmt.Errorf("cannot read query %q: %w", query, err)
	}
	for name, values := range q {
		v := values[0]
		switch {
		case len(values) > 1:
			return f, fmt.Errorf("cannot read query: %s= is there %d times", name, len(values))
		case v == "":
			return f, fmt.Errorf("cannot read query: %s= is empty", name)
		case name == "pool":
			f.Pool = v
		case name == "prefix":
			f.Prefix = []byte(v)
		case name == "all" && v == "1":
			f.All = true
		default:
			return f, fmt.Errorf("cannot read query: unknown %s=%.100q, want pool=NAME, prefix=PREFIX or all=1", name, v)
		}
	}
	return f, nil
}

func flushStatus(err error) int {
	switch {
	case errors.Is(err, ErrForbidden):
		return http.StatusForbidden
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, ErrBadRequest):
		return http.StatusBadRequest
	}
	return http.StatusBadGateway
}

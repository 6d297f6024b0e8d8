// One request, served and told about over HTTP.

package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// maxExplained is the longest request that is explained, in bytes, its value included.
const maxExplained = 2 << 20

// explainOne answers with JSON, or with one line that says why not.
func (h *handler) explainOne(w http.ResponseWriter, r *http.Request) {
	for name := range r.URL.Query() {
		if name != "tag" {
			text(w, http.StatusBadRequest, fmt.Sprintf("cannot read query: unknown %.100q, want tag=NAME", name))
			return
		}
	}
	request, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxExplained))
	if err != nil {
		text(w, http.StatusBadRequest, fmt.Sprintf("cannot read the request: %v", err))
		return
	}
	what, err := h.explain.Explain(r.URL.Query().Get("tag"), request)
	switch {
	case errors.Is(err, ErrBadRequest):
		text(w, http.StatusBadRequest, err.Error())
		return
	case errors.Is(err, ErrBusy):
		text(w, http.StatusConflict, err.Error())
		return
	case err != nil:
		text(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(what) // an error is the client's, who has gone
}

// tidepool explain --live: one request through a running proxy, by way of its admin address.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/admin"
)

// Explain implements admin.Explainer.
func (i inspected) Explain(tag string, request []byte) (any, error) {
	l, err := i.Proxy.ExplainLive(tag, request)
	unknown := (*engine.UnknownTag)(nil)
	switch {
	case errors.As(err, &unknown), errors.Is(err, engine.ErrLiveRequest):
		return nil, adminError{err, admin.ErrBadRequest}
	case errors.Is(err, engine.ErrLiveBusy):
		return nil, adminError{err, admin.ErrBusy}
	case err != nil:
		return nil, err
	}
	return l, nil
}

// liveFlags say where the proxy is.
type liveFlags struct{ admin, token string }

// livePatience is how long a request may take: routes may wait.
const livePatience = 2 * time.Minute

// ask has the proxy serve a request, and tell of it.
func (f *liveFlags) ask(ctx context.Context, tag, request string) (*engine.Live, error) {
	token, err := readToken(f.token)
	if err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(f.admin, "/")
	client := &http.Client{Timeout: livePatience}
	switch path, unix := strings.CutPrefix(base, "unix:"); {
	case unix:
		client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}
		base = "http://admin"
	case !strings.HasPrefix(base, "http://") && !strings.HasPrefix(base, "https://"):
		base = "http://" + base
	}
	fail := func(err error) (*engine.Live, error) {
		return nil, fmt.Errorf("cannot explain a request at %q: %w", f.admin, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/explain?tag="+url.QueryEscape(tag), strings.NewReader(request))
	if err != nil {
		return fail(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(r)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fail(err)
	}
	if resp.StatusCode != http.StatusOK {
		return fail(fmt.Errorf("%s: %.500s", resp.Status, strings.TrimSpace(string(body))))
	}
	var l engine.Live
	if err := json.Unmarshal(body, &l); err != nil {
		return fail(err)
	}
	return &l, nil
}

// run explains the request that args are.
func (f *liveFlags) run(c *cobra.Command, args []string, tag string, asJSON bool) error {
	request, err := requestOf(args)
	if err != nil {
		return usageError{c.CommandPath(), err.Error()}
	}
	l, err := f.ask(c.Context(), tag, request)
	if err != nil {
		return err
	}
	if asJSON {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(l)
	}
	var p explainPrinter
	p.live(request, l)
	_, err = c.OutOrStdout().Write(p.b.Bytes())
	return err
}

// live prints what a request has done.
func (p *explainPrinter) live(request string, l *engine.Live) {
	p.head(request, l.Route, l.Tree, l.Native)
	level := 0
	for i, st := range l.Steps {
		for j, s := range st.Sent {
			label := "sent to"
			if j > 0 {
				label = ""
			}
			p.sent(label, &s.Sent, level)
			p.line(level, "", "   %s", timesOf(s))
		}
		for _, w := range st.Waits {
			p.waited(w, level)
		}
		if i < len(l.Steps)-1 {
			level++
		}
	}
	text := fmt.Sprintf("%q", l.Answer)
	if l.From > 0 {
		text += fmt.Sprintf(", from %d", l.From)
	}
	p.line(level, "answer", "%s", text)
	p.line(0, "took", "%s, in generation %d", micros(l.Took), l.Generation)
}

// timesOf words when a request was where.
func timesOf(s *engine.LiveSent) string {
	text := "queued at " + micros(s.Queued)
	if s.Written > 0 {
		text += fmt.Sprintf(", written at %s", micros(s.Written))
	}
	switch {
	case s.Answered == 0:
		return text + ", not answered"
	case s.Error != "":
		return text + fmt.Sprintf(", failed at %s: %s", micros(s.Answered), s.Error)
	}
	text += fmt.Sprintf(", answered at %s: %q", micros(s.Answered), s.Result)
	if s.Written > 0 {
		text += fmt.Sprintf(" (queue %s, wire %s)", micros(s.Written-s.Queued), micros(s.Answered-s.Written))
	}
	return text
}

// waited prints what a wait was for, and why it ended.
func (p *explainPrinter) waited(w *engine.LiveWait, level int) {
	text := "from " + micros(w.From)
	if w.Within > 0 {
		text += fmt.Sprintf(", %s at most", micros(w.Within))
	}
	switch {
	case w.To == 0:
		text += ", until the end"
	case w.Over:
		text += fmt.Sprintf(", to %s: time was over", micros(w.To))
	default:
		text += ", to " + micros(w.To)
	}
	if len(w.Got) > 0 {
		text += ", with the answer of"
		for i, n := range w.Got {
			if i > 0 {
				text += " and"
			}
			text += fmt.Sprintf(" %d", n)
		}
	}
	if w.By != "" {
		text += ", by " + w.By
	}
	p.line(level, "waited", "%s", text)
}

func micros(us float64) string {
	if us < 100 {
		return fmt.Sprintf("%.1f µs", us)
	}
	return fmt.Sprintf("%.0f µs", us)
}

// Package fetch answers gets by fetching: a target for requests whose values an HTTP server has.
//
// The engine makes a Fetcher for each mcp.http of a configuration. Send may be called by any goroutine and never blocks; each request that is under
// way has a goroutine of its own, of which there are at most Connections, and is answered exactly once. Nothing is queued: what is one too many
// fails at once, as at a backend that is full.
package fetch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Options make a Fetcher. All must be set.
type Options struct {
	Before, After string        // the URL of a key is Before, the key escaped, After
	Timeout       time.Duration // of a request, all of it
	Max           int           // bytes of a value; more is an error
	Connections   int           // requests under way at once
	Now           func() int64  // backend.Now, but in tests
	Dry           bool          // nothing is fetched, and everything is a miss
}

// Fetcher fetches. It implements luaapi.Target.
type Fetcher struct {
	o      Options
	client http.Client
	room   chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	open   sync.WaitGroup
}

// New makes a Fetcher; Close ends it.
func New(o Options) *Fetcher {
	f := &Fetcher{o: o, room: make(chan struct{}, o.Connections)}
	f.client = http.Client{
		Transport: &http.Transport{
			Proxy:               nil, // only what the configuration names
			MaxIdleConnsPerHost: o.Connections,
			MaxConnsPerHost:     o.Connections,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// Close gives up what is under way, waits for it and closes the connections.
func (f *Fetcher) Close() error {
	f.cancel()
	f.open.Wait()
	f.client.CloseIdleConnections()
	return nil
}

// Name implements luaapi.Target.
func (f *Fetcher) Name() string { return f.o.Before + "%k" + f.o.After }

// Send implements luaapi.Target. r's bytes are not used after it has returned.
func (f *Fetcher) Send(r *mc.Request, p *backend.Pending) {
	key, err := r.DecodeKey(nil)
	if r.Cmd != mc.CmdGet && r.Cmd != mc.CmdGets && r.Cmd != mc.CmdMG || err != nil {
		f.done(p, backend.ErrRefused)
		return
	}
	if f.o.Dry {
		p.Buf = mc.AppendNull(p.Buf[:0], r)
		_, _, err := mc.ParseResponse(p.Buf, &p.Resp)
		f.done(p, err)
		return
	}
	select {
	case f.room <- struct{}{}:
	default:
		f.done(p, backend.ErrOverloaded)
		return
	}
	line, null := append([]byte(nil), r.Line...), mc.AppendNull(nil, r)
	cmd := r.Cmd
	f.open.Add(1)
	go func() {
		defer f.open.Done()
		err := f.fetch(string(key), line, null, cmd, p)
		<-f.room
		f.done(p, err)
	}()
}

// done hands p over: it is its waiter's then.
func (f *Fetcher) done(p *backend.Pending, err error) {
	p.Err, p.End = err, f.o.Now()
	if waiter := p.Waiter; waiter.Done(p) {
		waiter.Wake()
	}
}

// fetch asks for a key and makes p the answer to what the client asked; null is a miss.
func (f *Fetcher) fetch(key string, line, null []byte, cmd mc.Cmd, p *backend.Pending) error {
	ctx, cancel := context.WithTimeout(f.ctx, f.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.o.Before+url.PathEscape(key)+f.o.After, nil)
	if err != nil {
		return backend.ErrRefused
	}
	req.Header.Set("User-Agent", "tidepool")
	resp, err := f.client.Do(req)
	if err != nil {
		return failure(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(f.o.Max)+1))
	if err != nil {
		return failure(ctx, err)
	}
	switch {
	case resp.StatusCode == http.StatusOK && len(body) > f.o.Max:
		p.Buf = append(p.Buf[:0], "SERVER_ERROR the fetched value is too large\r\n"...)
	case resp.StatusCode == http.StatusOK:
		p.Buf = appendHit(p.Buf[:0], cmd, line, body, maxAge(resp.Header))
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		p.Buf = append(p.Buf[:0], null...)
	default:
		p.Buf = append(append(p.Buf[:0], "SERVER_ERROR fetched "...), strconv.Itoa(resp.StatusCode)+"\r\n"...)
	}
	if _, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil {
		return backend.ErrProtocol
	}
	return nil
}

// failure says why there is no answer.
func failure(ctx context.Context, err error) error {
	var t interface{ Timeout() bool }
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.As(err, &t) && t.Timeout():
		return backend.ErrTimeout
	case ctx.Err() != nil:
		return backend.ErrClosed
	}
	return backend.ErrDown
}

// maxAge is for how many seconds the server lets the value be kept; "" if it does not say.
func maxAge(h http.Header) string {
	for _, part := range strings.Split(h.Get("Cache-Control"), ",") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(strings.ToLower(part)), "max-age="); ok {
			if n, err := strconv.ParseInt(v, 10, 32); err == nil && n > 0 {
				return strconv.FormatInt(n, 10)
			}
		}
	}
	return ""
}

// appendHit appends the answer to a get, or to mg with the flags that can be told: f s t k O. t is max-age, or -1.
func appendHit(dst []byte, cmd mc.Cmd, line, body []byte, age string) []byte {
	words := strings.Fields(string(line))
	switch cmd {
	case mc.CmdGet, mc.CmdGets:
		dst = append(append(append(dst, "VALUE "...), words[1]...), " 0 "...)
		dst = strconv.AppendInt(dst, int64(len(body)), 10)
		if cmd == mc.CmdGets {
			dst = append(dst, " 0"...)
		}
		return append(append(append(dst, "\r\n"...), body...), "\r\nEND\r\n"...)
	}
	value, base64 := false, false
	for _, w := range words[2:] {
		value, base64 = value || w == "v", base64 || w == "b"
	}
	if value {
		dst = strconv.AppendInt(append(dst, "VA "...), int64(len(body)), 10)
	} else {
		dst = append(dst, "HD"...)
	}
	for _, w := range words[2:] {
		switch w[0] {
		case 'f':
			dst = append(dst, " f0"...)
		case 'c':
			dst = append(dst, " c0"...)
		case 's':
			dst = strconv.AppendInt(append(dst, " s"...), int64(len(body)), 10)
		case 't':
			if dst = append(dst, " t"...); age == "" {
				dst = append(dst, "-1"...)
			}
			dst = append(dst, age...)
		case 'O':
			dst = append(append(dst, ' '), w...)
		case 'k':
			if dst = append(append(dst, " k"...), words[1]...); base64 {
				dst = append(dst, " b"...)
			}
		}
	}
	dst = append(dst, "\r\n"...)
	if value {
		dst = append(append(dst, body...), "\r\n"...)
	}
	return dst
}

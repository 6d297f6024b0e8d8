// Package admin is the HTTP face for people and their tools: metrics, health, the loaded configuration, reload and
// profiles. It knows nothing of proxies or leaves beyond two small interfaces, and is wired up by cmd.
//
// What only reads is open to whoever reaches the address; what changes something is a POST, and is let in on
// loopback, on a unix socket, or with the token. Profiles are served on loopback and unix sockets alone. A browser
// that is led to the address by another site is refused whatever the address.
//
// Everything may be called at once. Start returns when the address is bound; Shutdown ends the serving goroutine
// before it returns.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Process is what is looked at: a proxy or a leaf.
type Process interface {
	// Ready gives nil when the process serves; with pools also only when every pool has a backend that is up.
	Ready(pools bool) error
	// Config is what is loaded, made for encoding/json and without credentials.
	Config() any
}

// Reloader is a Process that can load its configuration again. One that is not has no /reload.
type Reloader interface {
	// Reload loads the files again and gives the new generation, or says at which file:line it failed; then what
	// was loaded before goes on.
	Reload() (generation uint64, err error)
	// Generation is the one that serves.
	Generation() uint64
}

// Flusher is a Process whose items can be flushed. One that is not has no /flush.
type Flusher interface {
	// Flush does it and gives what is said of it, in one line. An error may wrap one of those below.
	Flush(ctx context.Context, f Flush) (string, error)
}

// Explainer is a Process that can serve one request and tell what it did. One that is not has no /explain.
type Explainer interface {
	// Explain serves request, a whole one in memcached's protocol, as of a client of listeners with tag. What it gives is made for
	// encoding/json; an error may wrap ErrBadRequest or ErrBusy.
	Explain(tag string, request []byte) (any, error)
}

// Flush says what is to be flushed, as asked for.
type Flush struct {
	Pool   string // "": none was named
	Prefix []byte // of keys; empty: none was given
	All    bool   // all=1 was given
}

// What a flush or an explanation may fail by, beyond not working.
var (
	ErrForbidden  = errors.New("not allowed")
	ErrNotFound   = errors.New("not there")
	ErrBadRequest = errors.New("cannot be meant")
	ErrBusy       = errors.New("busy")
)

// Options of a Server.
type Options struct {
	Addr       string                 // "host:port" or "unix:/path"; required
	Process    Process                // required; may be a Reloader, a Flusher and an Explainer
	Title      string                 // what the index page is headed with; "" = "tidepool"
	Token      string                 // lets a POST in from anywhere as "Authorization: Bearer TOKEN"; "" = no token
	Insecure   bool                   // allow an address outside loopback without a token
	Collectors []prometheus.Collector // shown by /metrics beside the Go runtime's and the process's own
	Log        *slog.Logger           // nil = slog.Default
}

// Limits of a connection: a scrape or a profile is the longest thing that is asked for here.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 2 * time.Minute // profiles take 30 s unless asked for longer
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10 // bytes
)

// Server serves one address until Shutdown.
type Server struct {
	http *http.Server
	ln   net.Listener
	done chan struct{} // closed when the serving goroutine has ended
}

// Start binds the address and serves it. An address outside loopback wants a token or Insecure.
func Start(o Options) (*Server, error) {
	if o.Title == "" {
		o.Title = "tidepool"
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	addr, err := parseAddress(o.Addr)
	if err != nil {
		return nil, fmt.Errorf("cannot serve admin on %q: %w", o.Addr, err)
	}
	if !addr.local && o.Token == "" && !o.Insecure {
		return nil, fmt.Errorf("cannot serve admin on %q: it is reached from outside this machine; want an admin token or --insecure", o.Addr)
	}
	h, err := newHandler(o, addr.local)
	if err != nil {
		return nil, fmt.Errorf("cannot serve admin on %q: %w", o.Addr, err)
	}
	ln, err := addr.listen()
	if err != nil {
		return nil, fmt.Errorf("cannot serve admin on %q: %w", o.Addr, err)
	}
	s := &Server{
		ln:   ln,
		done: make(chan struct{}),
		http: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: headerTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
		},
	}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("admin stopped serving", "addr", s.Addr(), "err", err)
		}
	}()
	return s, nil
}

// Addr is the bound address, in the form that Options.Addr takes.
func (s *Server) Addr() string {
	if a, ok := s.ln.Addr().(*net.UnixAddr); ok {
		return unixPrefix + a.Name
	}
	return s.ln.Addr().String()
}

// Shutdown stops accepting and waits for what is under way until ctx ends; then it cuts.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
		err = fmt.Errorf("cannot finish admin requests: %w", err)
	}
	<-s.done
	return err
}

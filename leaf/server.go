// The embedded nats-server and the leaf's own connection to it (or to the NATS system it joins).

package leaf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// serverMaxPending is what the embedded server holds for one connection before it cuts it off, in bytes. The default (64 MiB)
// is less than what a few proxies may send to a leaf at once; what proxies may have in flight is the real bound.
const serverMaxPending = 256 << 20

// embed starts a nats-server inside this process, its log lines to ours. The leaf's own connection to it comes from own.
func embed(ctx context.Context, o *Options, d *direct) (srv *server.Server, own nats.InProcessConnProvider, err error) {
	so, err := serverOptions(o)
	if err != nil {
		return nil, nil, err
	}
	lg := &serverLog{log: o.Log, now: o.Now, fatal: make(chan string, 1)}
	if srv, err = server.NewServer(so); err != nil {
		return nil, nil, fmt.Errorf("cannot make a nats-server: %w", err)
	}
	srv.SetLoggerV2(lg, o.Log.Enabled(ctx, slog.LevelDebug), false, false)
	if own, err = listen(ctx, srv, so, d); err == nil {
		srv.Start()
		err = lg.awaitReady(ctx, srv)
	}
	if err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return nil, nil, fmt.Errorf("cannot listen on %q: %w", o.Listen, err)
	}
	return srv, own, nil
}

// awayEvery is the least time between two log lines that say why NATS cannot be reached again.
const awayEvery = 10 * time.Second

// tellAway gives handlers that log that NATS went away, now and then why it stays away, and that it is back. nats.go calls its
// handlers one after the other.
func tellAway(o *Options, connected func(*nats.Conn)) []nats.Option {
	var said time.Time
	away := func(_ *nats.Conn, err error) {
		if err == nil || o.Now().Sub(said) < awayEvery { // nil: we have closed it
			return
		}
		said = o.Now()
		o.Log.Warn("leaf: NATS is away", "leaf", o.Name, "err", err)
	}
	return []nats.Option{
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) { said = time.Time{}; away(nc, err); said = time.Time{} }),
		nats.ReconnectErrHandler(away),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			connected(nc)
			o.Log.Info("leaf: NATS is back", "leaf", o.Name, "server", nc.ConnectedAddr())
		}),
	}
}

// ownPatience is how long a leaf waits for its own server: only a machine without time for either keeps it waiting.
const ownPatience = 20 * time.Second

// connect makes the leaf's connection: to srv, by own, if there is one. It never gives up: a leaf without its NATS system waits for it.
func connect(o *Options, srv *server.Server, own nats.InProcessConnProvider, connected func(*nats.Conn)) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name("tidepool leaf " + o.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // answers are worth nothing after a reconnect
		nats.ReconnectWait(100 * time.Millisecond),
		nats.PingInterval(5 * time.Second),
		nats.IgnoreAuthErrorAbort(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			o.Log.Warn("leaf: NATS error", "leaf", o.Name, "err", err)
		}),
	}
	url := o.NATS
	if srv != nil {
		url = "nats://" + srv.Addr().String() // never tls://: that would be asked for in-process too
		opts = append(opts, nats.InProcessServer(own), nats.Timeout(ownPatience))
	} else if o.TLS != nil {
		opts = append(opts, nats.Secure(o.TLS))
	}
	opts = append(opts, tellAway(o, connected)...)
	nc, err := nats.Connect(url, append(opts, o.ownAuth(srv != nil)...)...)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to NATS at %q: %w", redact(url), err)
	}
	return nc, nil
}

// serverLog passes nats-server's log on: what it calls a notice is detail to us. Of warnings it passes warnBurst, and then one a second:
// a server whose certificate is refused comes back dozens of times a second.
type serverLog struct {
	log   *slog.Logger
	now   func() time.Time
	fatal chan string // the first fatal message before the server is ready, such as a port that is taken: embed tells it

	mu      sync.Mutex
	ready   bool      // from now on nobody reads fatal
	paid    time.Time // each warning that was passed costs a second from here
	dropped int       // since the last that was passed
}

const warnBurst = 10

func (l *serverLog) warn(f string, v []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.paid.Before(now) {
		l.paid = now
	}
	if l.paid.Sub(now) > (warnBurst-1)*time.Second {
		l.dropped++
		return
	}
	l.paid = l.paid.Add(time.Second)
	var dropped []any
	if l.dropped > 0 {
		dropped = []any{"dropped", l.dropped}
	}
	l.dropped = 0
	l.log.Warn("nats-server: "+fmt.Sprintf(f, v...), dropped...)
}

func (l *serverLog) Noticef(f string, v ...any) { l.log.Debug("nats-server: " + fmt.Sprintf(f, v...)) }
func (l *serverLog) Debugf(f string, v ...any)  { l.log.Debug("nats-server: " + fmt.Sprintf(f, v...)) }
func (l *serverLog) Tracef(string, ...any)      {}
func (l *serverLog) Warnf(f string, v ...any)   { l.warn(f, v) }
func (l *serverLog) Errorf(f string, v ...any)  { l.warn(f, v) }

func (l *serverLog) Fatalf(f string, v ...any) {
	msg := fmt.Sprintf(f, v...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ready {
		select {
		case l.fatal <- msg:
			return
		default:
		}
	}
	l.log.Error("nats-server: " + msg)
}

// awaitReady waits until the server listens, says why it cannot, or ctx ends.
func (l *serverLog) awaitReady(ctx context.Context, srv *server.Server) error {
	for {
		select {
		case msg := <-l.fatal:
			return errors.New(msg)
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		if srv.ReadyForConnections(20 * time.Millisecond) {
			return l.begin()
		}
	}
}

// begin is called when the server is ready. What was fatal just before is returned, what is later is logged.
func (l *serverLog) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready = true
	select {
	case msg := <-l.fatal:
		return errors.New(msg)
	default:
		return nil
	}
}

// addr is where clients reach the embedded server; "" without one.
func (l *Leaf) addr() string {
	if l.srv == nil {
		return ""
	}
	a, ok := l.srv.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	return a.String()
}

// redact takes out of URLs who is named in them.
func redact(urls string) string {
	all := strings.Split(urls, ",")
	for i, s := range all {
		scheme, rest, ok := strings.Cut(s, "://")
		if !ok {
			scheme, rest = "nats", s
		}
		all[i] = scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
	}
	return strings.Join(all, ",")
}

// joined is where a proxy reaches the leaf of that name in a NATS system, in the form that pools take.
func joined(urls, name string) string {
	all := strings.Split(redact(urls), ",")
	for i, s := range all {
		scheme, hostPort, _ := strings.Cut(strings.TrimRight(s, "/"), "://")
		if _, _, err := net.SplitHostPort(hostPort); err != nil {
			hostPort += ":4222" // as nats.go has it
		}
		all[i] = hostPort
		if i == 0 {
			all[i] = scheme + "://" + hostPort
		}
	}
	return strings.Join(all, ",") + "/" + name
}

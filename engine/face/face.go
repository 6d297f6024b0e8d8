// A face's life: it connects, subscribes, serves, and leaves nobody without an answer.

package face

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/face/wire"
	"github.com/tidepool-proxy/tidepool/engine/stat"
)

// Face serves requests that come over NATS. Make one with Start.
type Face struct {
	intake
	o       Options
	nc      *nats.Conn
	sub     *nats.Subscription
	publish func(*nats.Msg) error // the connection's

	nextID   atomic.Uint64
	requests *stat.Counters // by op and status
	counted  counters
	gone     chan struct{} // closed when the connection is, and its goroutines with it
	drained  chan struct{} // closed when the subscription is, and everything that it was sent was received
}

const (
	connectTimeout = 5 * time.Second
	writeTimeout   = 5 * time.Second // for a server that does not read
	flushTimeout   = 2 * time.Second // of the last answers
)

// Start connects to NATS and serves. A system that cannot be reached is waited for in the background, and said so in the log; one
// that does not let us in is an error.
func Start(o Options) (*Face, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("cannot start the NATS face: %w", err)
	}
	f := &Face{o: o, requests: newRequests(), gone: make(chan struct{}), drained: make(chan struct{})}
	f.empty = make(chan struct{}, 1)
	if err := f.connect(); err != nil {
		return nil, fmt.Errorf("cannot connect to NATS at %q: %w", redact(o.URL), err)
	}
	f.publish = f.nc.PublishMsg
	if err := f.subscribe(); err != nil {
		f.nc.Close()
		<-f.gone
		return nil, fmt.Errorf("cannot serve %q over NATS: %w", o.Prefix+".>", err)
	}
	return f, nil
}

func (f *Face) connect() (err error) {
	opts := append([]nats.Option{
		nats.Name("tidepool face"),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // who asked has given up when the connection is back
		nats.PingInterval(5 * time.Second),
		nats.Timeout(connectTimeout),
		nats.FlusherTimeout(writeTimeout),
		nats.ReconnectOnFlusherError(),
		nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(reconnectDelay),
		nats.ConnectHandler(func(*nats.Conn) { f.o.Log.Info("NATS face connected", "prefix", f.o.Prefix) }),
		nats.ReconnectHandler(func(*nats.Conn) { f.o.Log.Info("NATS face connected again", "prefix", f.o.Prefix) }),
		nats.DisconnectErrHandler(f.onDown),
		nats.ClosedHandler(func(*nats.Conn) { close(f.gone) }),
		nats.ErrorHandler(f.onError),
	}, f.o.Connect...)
	f.nc, err = nats.Connect(f.o.URL, opts...)
	if err != nil && away(err) {
		f.o.Log.Warn("NATS face: not connected yet, trying on", "url", redact(f.o.URL), "err", err)
		f.nc, err = nats.Connect(f.o.URL, append(opts, nats.RetryOnFailedConnect(true))...)
	}
	return err
}

// away: nobody is there, as opposed to somebody who does not let us in.
func away(err error) bool {
	var ne net.Error
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.As(err, &ne)
}

// reconnectDelay is how long nats.go waits before its n-th attempt after a disconnect.
func reconnectDelay(n int) time.Duration {
	const least, most = 20 * time.Millisecond, time.Second
	d := min(least<<min(n, 10), most)
	return d + time.Duration(rand.Int64N(int64(d/4)))
}

// subscribe begins to receive. If there is a server by now it has said whether we may.
func (f *Face) subscribe() (err error) {
	if f.sub, err = f.nc.QueueSubscribe(f.o.Prefix+".>", wire.Queue, f.receive); err != nil {
		return err
	}
	f.sub.SetClosedHandler(func(string) { close(f.drained) })
	if !f.nc.IsConnected() {
		return nil
	}
	if err = f.nc.FlushTimeout(connectTimeout); err == nil {
		err = f.nc.LastError() // "permissions violation" comes so
	}
	return err
}

func (f *Face) onDown(_ *nats.Conn, err error) {
	if err != nil && !f.closing.Load() {
		f.o.Log.Warn("NATS face disconnected", "prefix", f.o.Prefix, "err", err)
	}
}

// onError is told of what goes wrong by the way: requests that NATS dropped because we were slow, permissions that are missing.
func (f *Face) onError(_ *nats.Conn, _ *nats.Subscription, err error) {
	if n, ok := f.counted.trouble(f.o.Now()); ok {
		f.o.Log.Warn("NATS face: NATS error", "err", err, "since_last", n)
	}
}

// maxPayload is the largest message that the server takes.
func (f *Face) maxPayload() int64 { return f.nc.MaxPayload() }

// Close stops receiving, answers all that was received, and disconnects. When ctx ends before that, what waits is given up, and the
// error says so; requests that are with the engine then end without an answer, and no new one goes to it after Close has returned.
func (f *Face) Close(ctx context.Context) error {
	f.closing.Store(true)
	err := f.drain(ctx)
	f.dismiss()
	if f.nc.IsConnected() {
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		_ = f.nc.FlushWithContext(flush) // a connection that broke now has its own log line
		cancel()
	}
	f.nc.Close()
	<-f.gone
	if err == nil {
		f.hands.Wait()
	}
	return err
}

// drain waits until all that the server has sent us is answered.
func (f *Face) drain(ctx context.Context) error {
	if f.nc.IsConnected() && f.sub.Drain() == nil {
		select {
		case <-f.drained:
		case <-ctx.Done():
		}
	}
	for f.inFlight.Load() > 0 {
		select {
		case <-f.empty:
		case <-ctx.Done():
			if n := f.inFlight.Load(); n > 0 {
				return fmt.Errorf("cannot answer %d requests over NATS in time: %w", n, ctx.Err())
			}
		}
	}
	return nil
}

// Connected reports whether NATS can be reached at the moment.
func (f *Face) Connected() bool { return f.nc.IsConnected() }

// redact takes out of URLs who is named in them.
func redact(urls string) string {
	all := strings.Split(urls, ",")
	for i, s := range all {
		if scheme, rest, ok := strings.Cut(s, "://"); ok {
			all[i] = scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
		} else {
			all[i] = s[strings.LastIndexByte(s, '@')+1:]
		}
	}
	return strings.Join(all, ",")
}

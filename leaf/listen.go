// The listener of the embedded server: its clients' sockets, read and written as package sock does it and past it where frames are concerned (door.go), and the leaf's own
// connection, which is none.
//
// nats-server's own sockets take a third more of a leaf's processor time at one request in flight: the scheduler notes each system call, and
// wakes its monitor thread for many of them. Its own way to connect within the process is a net.Pipe, where a write waits for who reads it. A
// server makes its listener itself, unless it finds one where it keeps it. That field is not exported: if there is no such field in a later
// version, the server listens for itself, and the leaf is as slow as it would be otherwise.

package leaf

import (
	"context"
	"errors"
	"net"
	"os"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/sock"
	"github.com/tidepool-proxy/tidepool/leaf/pipe"
)

// listen has srv, which has not been started, take its clients from a listener of ours. The leaf's own connection comes from own, and what is for
// lanes is taken off it for d. An error is why nobody can listen there.
func listen(ctx context.Context, srv *server.Server, so *server.Options, d *direct) (own nats.InProcessConnProvider, err error) {
	field := listenerOf(srv)
	if field == nil {
		return srv, nil
	}
	host, port := so.Host, max(so.Port, 0) // server.RANDOM_PORT is -1
	if host == "" {
		host = server.DEFAULT_HOST
	}
	lc := net.ListenConfig{KeepAlive: -1} // as nats-server, which has its own pings
	tcp, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	l := &listener{TCPListener: tcp.(*net.TCPListener), direct: d, most: int(so.MaxPayload), tls: so.TLS}
	*field = l
	if so.TLS {
		return srv, nil // TLS is asked of all that a listener gives
	}
	return l, nil
}

// listenerOf is where srv looks for a listener; nil if that is not known.
func listenerOf(srv *server.Server) *net.Listener {
	f := reflect.ValueOf(srv).Elem().FieldByName("listener")
	if !f.IsValid() || f.Type() != reflect.TypeFor[net.Listener]() {
		return nil
	}
	return (*net.Listener)(f.Addr().UnsafePointer())
}

// listener gives the connections of others, wrapped, and those of the leaf. nats-server has one goroutine read a connection, and at most one
// at a time write.
type listener struct {
	*net.TCPListener
	direct *direct
	most   int  // the longest message that the server takes, in bytes
	tls    bool // all clients are asked for TLS

	mu     sync.Mutex
	own    []net.Conn // of the leaf, to be accepted
	closed bool
}

// past is a deadline that has come.
var past = time.Unix(1, 0)

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		if nc := l.ours(); nc != nil {
			return nc, nil
		}
		nc, err := l.TCPListener.Accept()
		if err == nil && l.tls {
			return sock.Wrap(nc), nil
		}
		if err == nil {
			return newDoor(sock.Wrap(nc), l.direct, l.most), nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
	}
}

// ours is the next of the leaf's own connections. If there is none, the next to come will end an Accept that waits for others.
func (l *listener) ours() net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.own) == 0 {
		_ = l.SetDeadline(time.Time{}) // an error: it is closed, as Accept will say
		return nil
	}
	nc := l.own[0]
	l.own = l.own[1:]
	return nc
}

// InProcessConn implements nats.InProcessConnProvider.
func (l *listener) InProcessConn() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, net.ErrClosed
	}
	mine, theirs := pipe.New()
	l.own = append(l.own, l.direct.tap(mine, theirs))
	_ = l.SetDeadline(past)
	return mine, nil
}

// Close implements net.Listener. Who was not accepted finds its connection closed.
func (l *listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, nc := range l.own {
		_ = nc.Close()
	}
	l.own = nil
	return l.TCPListener.Close()
}

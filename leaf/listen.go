// The sockets of the embedded server's clients, read and written as package sock does it.
//
// nats-server's own take a third more of a leaf's processor time at one request in flight: the scheduler notes each system call, and
// wakes its monitor thread for many of them. A server makes its listener itself, unless it finds one where it keeps it. That field is not
// exported: if there is no such field in a later version, the server listens for itself, and the leaf is as slow as it would be otherwise.

package leaf

import (
	"context"
	"net"
	"reflect"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/tidepool-proxy/tidepool/engine/sock"
)

// listen has srv, which has not been started, take its clients from a listener of ours. An error is why nobody can listen there.
func listen(ctx context.Context, srv *server.Server, so *server.Options) error {
	field := listenerOf(srv)
	if field == nil {
		return nil
	}
	host, port := so.Host, max(so.Port, 0) // server.RANDOM_PORT is -1
	if host == "" {
		host = server.DEFAULT_HOST
	}
	lc := net.ListenConfig{KeepAlive: -1} // as nats-server, which has its own pings
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	*field = &listener{l}
	return nil
}

// listenerOf is where srv looks for a listener; nil if that is not known.
func listenerOf(srv *server.Server) *net.Listener {
	f := reflect.ValueOf(srv).Elem().FieldByName("listener")
	if !f.IsValid() || f.Type() != reflect.TypeFor[net.Listener]() {
		return nil
	}
	return (*net.Listener)(f.Addr().UnsafePointer())
}

// listener wraps what it accepts. nats-server has one goroutine read a connection, and at most one at a time write.
type listener struct{ net.Listener }

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return sock.Wrap(nc), nil
}

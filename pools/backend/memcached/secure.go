// TLS on a connection that was just made.

package memcached

import (
	"crypto/tls"
	"net"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// tlsConn closes the socket without a farewell: tls.Conn's Close may wait seconds for a server that does not read.
type tlsConn struct {
	*tls.Conn
	socket net.Conn
}

func (c tlsConn) Close() error { return c.socket.Close() }

// secure does the handshake over nc, the connection's socket, and gives what encrypts over it. A server that is slow here is slow to
// greet, one that fails has greeted badly: upstream's names for it too.
func (c *conn) secure(nc net.Conn) (net.Conn, *failure) {
	o := &c.b.o
	conf, err := o.TLS.Config(o.Host)
	if err != nil {
		return nil, failed(backend.EventConnecting, backend.ErrDisconnected, "%w", err)
	}
	if err := nc.SetDeadline(time.Now().Add(o.ReadTimeout)); err != nil {
		return nil, failed(backend.EventConnecting, backend.ErrDisconnected, "cannot set deadline: %w", err)
	}
	tc := tlsConn{tls.Client(nc, conf), nc}
	if err := tc.Handshake(); isTimeout(err) {
		return nil, failed(backend.EventReadValidate, backend.ErrDisconnected, "no TLS handshake: %w", err)
	} else if err != nil {
		return nil, failed(backend.EventBadValidate, backend.ErrProtocol, "TLS handshake failed: %w", err)
	}
	c.mu.Lock()
	c.nc = tc
	c.mu.Unlock()
	return tc, nil
}

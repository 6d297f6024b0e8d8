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

// maxRecord is what a TLS record holds, and memcached's read buffer too, in bytes.
const maxRecord = 16 << 10

// cutLocked notes where records must end on behalf of the request that was just queued at that place of wbuf: none begins in a record
// that another has reached into. memcached before 1.6.39 reads the rest of such a value by itself, does not look for what else the record
// held, and sleeps on it until more comes; to us that is a timeout.
func (c *conn) cutLocked(at int) {
	from, end := 0, len(c.wbuf)
	if k := len(c.cuts); k > 0 {
		from = c.cuts[k-1]
	}
	if at > from && end-from > maxRecord {
		c.cuts = append(c.cuts, at)
	}
	if end-at > maxRecord {
		c.cuts = append(c.cuts, end)
	}
}

// inRecordLocked reports whether the request queued last can grow by n bytes and not reach into another record.
func (c *conn) inRecordLocked(n int) bool {
	from := 0
	if k := len(c.cuts); k > 0 {
		from = c.cuts[k-1]
	}
	return len(c.wbuf)+n-from <= maxRecord
}

// writeCut writes buf, whole or in pieces that end at each of cuts.
func writeCut(nc net.Conn, buf []byte, cuts []int) error {
	from := 0
	for _, to := range cuts {
		if _, err := nc.Write(buf[from:to]); err != nil {
			return err
		}
		from = to
	}
	if from == len(buf) {
		return nil
	}
	_, err := nc.Write(buf[from:])
	return err
}

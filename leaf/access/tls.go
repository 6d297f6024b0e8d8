// Certificates: for those who listen, for those who connect, and for routes, where both ends do both.

package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
)

// TLS names PEM files. The zero value is no TLS.
type TLS struct {
	Cert, Key string // what is shown to the other side; both or neither
	CA        string // who may have signed what the other side shows; "": for servers the system's authorities, for clients nobody
}

// Any reports whether a file is named.
func (t TLS) Any() bool { return t != TLS{} }

// Server is for a listener. Clients must show a certificate if there is a CA.
func (t TLS) Server() (*tls.Config, error) {
	cert, pool, err := t.load()
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*cert}}
	if pool != nil {
		c.ClientCAs, c.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// Route is for both ends of a route between servers: each shows its certificate, and each wants one that a CA of these has signed.
func (t TLS) Route() (*tls.Config, error) {
	if t.CA == "" {
		return nil, errors.New("cannot use TLS for routes: without a CA anybody could be a server")
	}
	c, err := t.Server()
	if err != nil {
		return nil, err
	}
	c.RootCAs = c.ClientCAs
	return c, nil
}

// load reads the files of one who listens.
func (t TLS) load() (*tls.Certificate, *x509.CertPool, error) {
	if t.Cert == "" || t.Key == "" {
		return nil, nil, errors.New("cannot use TLS: want a certificate and its key")
	}
	cert, err := t.certificate()
	if err != nil {
		return nil, nil, err
	}
	if err := current(t.Cert, cert); err != nil {
		return nil, nil, err
	}
	if t.CA == "" {
		return cert, nil, nil
	}
	pool, err := readPool(t.CA)
	return cert, pool, err
}

// Client is for connections. It refuses servers without TLS. The files are read now, to see whether they can be, and again for
// each connection.
func (t TLS) Client() (nats.Option, error) {
	var certificate func() (tls.Certificate, error)
	var roots func() (*x509.CertPool, error)
	if t.Cert != "" {
		cert, err := t.certificate()
		if err == nil {
			err = current(t.Cert, cert)
		}
		if err != nil {
			return nil, err
		}
		certificate = func() (tls.Certificate, error) {
			cert, err := t.certificate()
			if err != nil {
				return tls.Certificate{}, err
			}
			return *cert, nil
		}
	}
	if t.CA != "" {
		if _, err := readPool(t.CA); err != nil {
			return nil, err
		}
		roots = func() (*x509.CertPool, error) { return readPool(t.CA) }
	}
	return func(o *nats.Options) error {
		// nats.ClientTLSConfig would try the files here and give up for good; a file that is being replaced is there at the next attempt.
		o.Secure = true
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		o.TLSCertCB, o.RootCAsCB = certificate, roots
		return nil
	}, nil
}

// certificate reads Cert and Key.
func (t TLS) certificate() (*tls.Certificate, error) {
	cert, err := os.ReadFile(t.Cert)
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate: %w", err)
	}
	key, err := os.ReadFile(t.Key)
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate's key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("cannot use certificate %q with key %q: %w", t.Cert, t.Key, err)
	}
	return &pair, nil
}

// current refuses a certificate that nobody would accept any more.
func current(path string, c *tls.Certificate) error {
	if c.Leaf != nil && time.Now().After(c.Leaf.NotAfter) {
		return fmt.Errorf("cannot use certificate %q: it expired at %s", path, c.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

func readPool(path string) (*x509.CertPool, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the authorities' certificates: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("cannot read the authorities' certificates: %q holds none", path)
	}
	return pool, nil
}

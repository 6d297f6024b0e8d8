// TLS: how a connection to a memcached server is encrypted, and whether the server must prove who it is.

package backend

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// TLS says how to encrypt. It is comparable, being a part of what makes a backend that backend: files are named here and read at each
// connect, so that a renewed certificate needs no reload. The zero value is no TLS. On alone encrypts as memcached's proxy does, TLS
// 1.3 or later without looking at the server's certificate; Verify, CA or Name have it verified.
type TLS struct {
	On        bool
	Verify    bool   // by the system's certificate authorities and the backend's host
	CA        string // PEM file of the authorities to trust instead
	Name      string // that the server's certificate must be for; "": the backend's host
	Cert, Key string // PEM files of our own certificate, for servers that ask for one
}

// Verifies reports whether the server's certificate is looked at.
func (t TLS) Verifies() bool { return t.Verify || t.CA != "" || t.Name != "" }

// Validate reports what cannot be, without reading files.
func (t TLS) Validate() error {
	switch {
	case !t.On && t != TLS{}:
		return errors.New("tls_ca, tls_name, tls_verify, tls_cert and tls_key need tls = true")
	case (t.Cert == "") != (t.Key == ""):
		return errors.New("tls_cert and tls_key go together")
	}
	return nil
}

// Config reads the files. host is the backend's, "" for a unix socket.
func (t TLS) Config(host string) (*tls.Config, error) {
	c := &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		ServerName:                  host,
		InsecureSkipVerify:          !t.Verifies(), // as upstream; see the type
		DynamicRecordSizingDisabled: true,          // a record is a write: as large as they get
	}
	if t.Name != "" {
		c.ServerName = t.Name
	}
	if c.ServerName == "" {
		if !c.InsecureSkipVerify {
			return nil, errors.New("cannot verify the certificate behind a unix socket without tls_name")
		}
	}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("cannot read tls_ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cannot read tls_ca: %q holds no PEM certificate", t.CA)
		}
	}
	if t.Cert != "" {
		cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("cannot read tls_cert %q and tls_key %q: %w", t.Cert, t.Key, err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

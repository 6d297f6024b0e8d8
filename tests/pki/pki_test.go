package pki

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"
)

func TestIssue(t *testing.T) {
	ca, stranger := New(t), New(t)
	good, old := ca.Issue(t, time.Hour, "leaf", "127.0.0.1"), ca.Issue(t, -time.Minute, "leaf")
	f := func(p Pair, by *CA, name string, want bool) {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
		if err != nil {
			t.Fatal(err)
		}
		pem, err := os.ReadFile(by.File)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, KeyUsages: []x509.ExtKeyUsage{use}})
			if (err == nil) != want {
				t.Errorf("%s for %q: %v, want good: %v", p.Cert, name, err, want)
			}
		}
	}
	f(good, ca, "leaf", true)
	f(good, ca, "127.0.0.1", true)
	f(good, ca, "other", false)
	f(good, stranger, "leaf", false)
	f(old, ca, "leaf", false)
	ca.Renew(t, good, time.Hour, "other")
	f(good, ca, "other", true)
}

// Addresses: the forms in which a configuration names a backend.

package pools

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Kind is what sort of backend an address leads to.
type Kind uint8

// The kinds.
const (
	Memcached Kind = iota // a memcached server over TCP or a unix socket
	Leaf                  // a leaf over NATS
)

// Address is where a backend is. It is comparable. For a memcached server Host and Port are kept as written, because rings
// hash them so; hosts are looked up at each connect.
type Address struct {
	Kind Kind
	Host string // without brackets
	Port string
	Path string // of a unix socket; then Host and Port are empty
	Name string // Leaf: the leaf's name; "": the leaf that is the server at Host:Port
	More string // Leaf: other servers of the same NATS system, for when Host is not there: "host:port,host:port"; "": none
	User string // Leaf: "user:password" or a token, as in the URL; "": none
	TLS  bool   // Leaf: nothing is said before the connection is encrypted
}

// maxLeafName is the longest name of a leaf, in bytes.
const maxLeafName = 63

// ParseAddr reads an address:
//
//	nats://host:port          the leaf that is that NATS server
//	nats://host:port/name     the leaf of that name, through any server of a NATS system; host:port,host:port where there are more
//	tls://...                 the same two over TLS: NATS's own word for it, so it never means memcached
//	memcached://host:port     a memcached server
//	host:port                 the same
//	unix:/path                a memcached server's unix socket
//
// A NATS address may hold user:password@ before the host. IPv6 hosts are in brackets.
func ParseAddr(s string) (Address, error) {
	a, err := parseAddr(s)
	if err != nil {
		return Address{}, fmt.Errorf("cannot read backend address %q: %w", redact(s), err)
	}
	return a, nil
}

func parseAddr(s string) (Address, error) {
	scheme, rest, found := strings.Cut(s, "://")
	switch {
	case s == "":
		return Address{}, errors.New("it is empty")
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return Address{}, errors.New("it holds a space or a control character")
	case !found && strings.HasPrefix(s, "unix:"):
		path := s[len("unix:"):]
		if !strings.HasPrefix(path, "/") {
			return Address{}, errors.New("want unix:/path with an absolute path")
		}
		return Address{Path: path}, nil
	case !found:
		return hostPort(Address{}, s)
	case scheme == "memcached":
		return hostPort(Address{}, rest)
	case scheme == "nats", scheme == "tls":
		return parseLeaf(Address{Kind: Leaf, TLS: scheme == "tls"}, rest)
	}
	return Address{}, fmt.Errorf("unknown scheme %q, want nats://, tls:// (NATS over TLS), memcached://, unix: or plain host:port", scheme)
}

func parseLeaf(a Address, rest string) (Address, error) {
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		a.User, rest = rest[:i], rest[i+1:]
		if _, err := url.ParseRequestURI("nats://" + a.User + "@h"); err != nil || a.User == "" {
			return a, errors.New("want user:password@, percent-encoded, before the host")
		}
	}
	rest, name, slash := strings.Cut(rest, "/")
	if slash && !ValidLeafName(name) {
		return a, fmt.Errorf("leaf name %q: want 1 to %d of a-z, 0-9 and -", name, maxLeafName)
	}
	a.Name = name
	first, more, several := strings.Cut(rest, ",")
	if several && !slash {
		return a, errors.New("several servers want a leaf's name after them: nats://host:port,host:port/name")
	}
	if several {
		for s := range strings.SplitSeq(more, ",") {
			if _, err := hostPort(a, s); err != nil {
				return a, err
			}
		}
		a.More = more
	}
	return hostPort(a, first)
}

// hostPort fills a's Host and Port.
func hostPort(a Address, s string) (Address, error) {
	var err error
	if a.Host, a.Port, err = net.SplitHostPort(s); err != nil {
		var ae *net.AddrError
		if errors.As(err, &ae) {
			return a, fmt.Errorf("want host:port: %s", ae.Err)
		}
		return a, fmt.Errorf("want host:port: %w", err)
	}
	if a.Host == "" {
		return a, errors.New("want host:port: the host is missing")
	}
	if strings.ContainsAny(a.Host, "/@?#[]") {
		return a, fmt.Errorf("want host:port: %q is no host", a.Host)
	}
	if strings.Contains(a.Host, ":") {
		if _, err := netip.ParseAddr(a.Host); err != nil {
			return a, fmt.Errorf("want host:port: %q is no IPv6 address", a.Host)
		}
	}
	if n, err := strconv.ParseUint(a.Port, 10, 16); err != nil || n == 0 {
		return a, fmt.Errorf("want host:port: port %q is not a number from 1 to 65535", a.Port)
	}
	return a, nil
}

// ValidLeafName reports whether s may be a leaf's name: [a-z0-9-]{1,63}.
func ValidLeafName(s string) bool {
	if s == "" || len(s) > maxLeafName {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// redact hides what may be credentials.
func redact(s string) string {
	from := 0
	if i := strings.Index(s, "://"); i >= 0 {
		from = i + 3
	}
	if i := strings.LastIndexByte(s, '@'); i >= from {
		return s[:from] + "***" + s[i:]
	}
	return s
}

// URL is the address in full, credentials included: for dialling, never for people.
func (a Address) URL() string {
	switch {
	case a.Path != "":
		return "unix:" + a.Path
	case a.Kind == Memcached:
		return net.JoinHostPort(a.Host, a.Port)
	}
	s := "nats://"
	if a.TLS {
		s = "tls://"
	}
	if a.User != "" {
		s += a.User + "@"
	}
	s += net.JoinHostPort(a.Host, a.Port)
	if a.More != "" {
		s += "," + a.More
	}
	if a.Name != "" {
		s += "/" + a.Name
	}
	return s
}

// HashAs is what a ring hashes: a leaf that has a name by its name, since many are reached through one server and keep their keys
// when they move; a unix socket by its path.
func (a Address) HashAs() (host, port string) {
	if a.Path != "" {
		return a.Path, ""
	}
	if a.Name != "" {
		return a.Name, ""
	}
	return a.Host, a.Port
}

// String is the address for people: credentials are hidden.
func (a Address) String() string { return redact(a.URL()) }

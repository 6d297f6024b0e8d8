// Targets: where a NATS system is reached and as whom, read from a URL and from what holds for all of a proxy's connections.

package leafnats

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
)

// Access is what connections present to NATS servers and what they want of them. The zero value presents nothing, and uses TLS
// with the system's roots where a server wants it.
type Access struct {
	TLS  nats.Option // makes TLS, such as nats.ClientTLSConfig: then a server without it is refused. nil: none
	Auth nats.Option // nil: nobody in particular
}

// target is a URL's parts.
type target struct {
	scheme string        // nats or tls
	user   *url.Userinfo // nil: none
	hosts  []string      // host:port; the first is tried first
	name   string        // of a leaf
}

// parseTarget reads nats://[user[:password]@]host:port[,host:port...][/name].
func parseTarget(s string) (target, error) {
	bad := errors.New("cannot read leaf address: want nats://host:port") // what else it says may be a password
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "nats" && scheme != "tls" {
		return target{}, bad
	}
	t := target{scheme: scheme}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		u, err := url.Parse("nats://" + rest[:i] + "@h")
		if err != nil || u.User == nil {
			return t, bad
		}
		t.user, rest = u.User, rest[i+1:]
	}
	rest, t.name, _ = strings.Cut(rest, "/")
	t.hosts = strings.Split(rest, ",")
	for _, h := range t.hosts {
		if u, err := url.Parse("nats://" + h); err != nil || u.Port() == "" || u.Host != h {
			return t, fmt.Errorf("cannot read leaf address %q: want nats://host:port", t)
		}
	}
	return t, nil
}

// String is the target for people.
func (t target) String() string {
	s := t.scheme + "://" + strings.Join(t.hosts, ",")
	if t.name != "" {
		s += "/" + t.name
	}
	return s
}

// urls is what nats.go takes. Nobody is named in it: what a URL says of that is not presented to servers that are found out later.
func (t target) urls() string {
	return t.scheme + "://" + strings.Join(t.hosts, ","+t.scheme+"://")
}

// key is the target as a part of a connection's identity.
func (t target) key() string {
	t.name = ""
	if t.user == nil {
		return t.String()
	}
	return t.user.String() + "@" + t.String()
}

// auth gives who is presented: whoever the URL names, or else.
func (t target) auth(otherwise nats.Option) nats.Option {
	if t.user == nil {
		return otherwise
	}
	if password, ok := t.user.Password(); ok {
		return nats.UserInfo(t.user.Username(), password)
	}
	return nats.Token(t.user.Username())
}

// Whose items a leaf takes, as people write it.

package leaf

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// splitSource reads one of Recover.From: a name, or scheme://host:port with or without one.
func splitSource(from string) (url, name string, err error) {
	scheme, rest, ok := strings.Cut(from, "://")
	if !ok {
		if !ValidName(from) {
			return "", "", errors.New("want the name of a leaf, or nats://host:port/name")
		}
		return "", from, nil
	}
	hostPort, name, named := strings.Cut(rest, "/")
	host, port, splitErr := net.SplitHostPort(hostPort)
	switch {
	case scheme != "nats" && scheme != "tls":
		return "", "", fmt.Errorf("scheme %q: want nats or tls", scheme)
	case strings.Contains(hostPort, "@"):
		return "", "", errors.New("an address with a password in it: want that presented otherwise")
	case splitErr != nil || host == "" || port == "":
		return "", "", errors.New("want nats://host:port/name")
	case named && !ValidName(name):
		return "", "", fmt.Errorf("leaf name %q: want [a-z0-9-]{1,63}", name)
	}
	return scheme + "://" + hostPort, name, nil
}

// checkRecover fills what is zero of Recover and refuses what cannot work.
func (o *Options) checkRecover() error {
	r := &o.Recover
	def(&r.Timeout, defaultRecoverTimeout)
	def(&r.Settle, defaultRecoverSettle)
	def(&r.Wait, defaultRecoverWait)
	if len(r.From) > store.MaxSources {
		return fmt.Errorf("cannot recover from %d leaves: want at most %d", len(r.From), store.MaxSources)
	}
	if len(r.From) > 0 && o.Exec != nil {
		return errors.New("cannot recover: the leaf has no store of its own")
	}
	for i, from := range r.From {
		url, name, err := splitSource(from)
		switch {
		case err != nil && strings.Contains(from, "@"):
			return fmt.Errorf("cannot recover: %w", err) // which is not quoted
		case err != nil:
			return fmt.Errorf("cannot recover from %q: %w", from, err)
		case slices.Contains(r.From[:i], from):
			return fmt.Errorf("cannot recover from %q: it is there twice", from)
		case url == "" && name == o.Name, url != "" && url[strings.Index(url, "://")+3:] == o.Listen:
			return fmt.Errorf("cannot recover from %q: %w", from, errItself)
		case url == "" && o.NATS == "" && o.Cluster.Listen == "":
			return fmt.Errorf("cannot recover from %q: a leaf outside this one's NATS system is named by its address, nats://host:port/%s", from, name)
		}
	}
	return nil
}

// Dialling by hand: one connection to a leaf for an operator's command, and flushing by it.

package leafnats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Dial connects once, not in the background, to the leaf that a URL names as Options.URL does, and gives its name. The connection is
// the caller's; it is not made again when it is lost.
func Dial(url string, a Access, opts ...nats.Option) (nc *nats.Conn, leaf string, err error) {
	t, err := parseTarget(url)
	if err != nil {
		return nil, "", err
	}
	opts = append([]nats.Option{
		nats.NoReconnect(), nats.Timeout(defaultConnectTimeout), nats.PingInterval(5 * time.Second), nats.DontRandomize(),
	}, opts...)
	if auth := t.auth(a.Auth); auth != nil {
		opts = append(opts, auth)
	}
	if a.TLS != nil {
		opts = append(opts, a.TLS)
	}
	nc, err = nats.Connect(t.urls(), opts...)
	if err != nil {
		return nil, "", fmt.Errorf("cannot connect to %q: %w", t, err)
	}
	if t.name == "" {
		t.name = nc.ConnectedServerName()
	}
	if !validName(t.name) {
		nc.Close()
		return nil, "", fmt.Errorf("cannot tell which leaf is meant: NATS server %q is not one (the address wants /NAME at its end)", t.name)
	}
	return nc, t.name, nil
}

// flushTime is how long an answer is waited for: a leaf with many prefixes flushed at a time looks at every item.
const flushTime = 10 * time.Second

// Flush flushes a leaf over a connection: the items whose keys begin with prefix, or all if it is empty. It returns when
// nothing that it covers can be read, or with an error after which that is not known unless it is a backend.ErrRefused.
func Flush(ctx context.Context, nc *nats.Conn, leaf string, prefix []byte) error {
	ask, err := json.Marshal(&frame.FlushRequest{Prefix: prefix, All: len(prefix) == 0})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, frame.FlushSubject(leaf), ask)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("cannot flush leaf %q: no leaf of that name is there that takes flushes: %w", leaf, backend.ErrDown)
	case err != nil:
		return fmt.Errorf("cannot flush leaf %q: no answer, so it may or may not have been done: %w", leaf, err)
	}
	var r frame.FlushReply
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return fmt.Errorf("cannot flush leaf %q: cannot read its answer: %w", leaf, backend.ErrProtocol)
	}
	if r.Error != "" {
		return fmt.Errorf("cannot flush leaf %q: it says %q: %w", leaf, r.Error, backend.ErrRefused)
	}
	return nil
}

var _ backend.PrefixFlusher = (*Backend)(nil)

// FlushPrefix implements backend.PrefixFlusher.
func (b *Backend) FlushPrefix(ctx context.Context, prefix []byte) error {
	if len(prefix) == 0 {
		return fmt.Errorf("cannot flush leaf %q: want a prefix", b.o.Label)
	}
	b.mu.Lock()
	nc, name, ok := b.nc, "", b.sess != nil
	if ok {
		name = b.sess.name
	}
	b.mu.Unlock()
	if nc == nil || !ok {
		return fmt.Errorf("cannot flush leaf %q: %w", b.o.Label, backend.ErrDisconnected)
	}
	return Flush(ctx, nc, name, prefix)
}

// Flushing a pool on an operator's word.

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Why nothing was flushed.
var (
	ErrFlushForbidden = errors.New("this proxy flushes nothing (--allow-flush allows it)")
	ErrNoPool         = errors.New("there is no such pool")
	ErrNoPrefixFlush  = errors.New("a memcached server cannot flush a prefix")
)

// Flush flushes the backends of a pool: the items whose keys begin with prefix, or all if it is empty. It gives the names of those that
// did it, and an error if that is not all of them. With an error that wraps one of the above nothing was sent to any.
func (p *Proxy) Flush(ctx context.Context, pool string, prefix []byte) (done []string, err error) {
	if !p.opts.AllowFlush {
		return nil, fmt.Errorf("cannot flush pool %q: %w", pool, ErrFlushForbidden)
	}
	g := p.current.Load()
	for !g.hold() {
		if p.stopped.Load() { // admin is there longer than what it shows
			return nil, fmt.Errorf("cannot flush pool %q: the proxy stops", pool)
		}
		g = p.current.Load()
	}
	defer g.release()
	members, names := g.membersOf(pool)
	if members == nil {
		return nil, fmt.Errorf("cannot flush pool %q: %w: want %s", pool, ErrNoPool, strings.Join(names, ", "))
	}
	flush := flushAllOf
	if len(prefix) > 0 {
		for _, b := range members {
			if _, ok := backend.As[backend.PrefixFlusher](b); !ok {
				return nil, fmt.Errorf("cannot flush prefix %q of pool %q: backend %q: %w", prefix, pool, b.Name(), ErrNoPrefixFlush)
			}
		}
		flush = func(b backend.Backend) error {
			f, _ := backend.As[backend.PrefixFlusher](b)
			return f.FlushPrefix(ctx, prefix)
		}
	}
	errs := make([]error, len(members))
	var all sync.WaitGroup
	for i, b := range members {
		all.Go(func() { errs[i] = flush(b) })
	}
	all.Wait()
	var failed []string
	for i, b := range members {
		if errs[i] == nil {
			done = append(done, b.Name())
		} else {
			failed = append(failed, fmt.Sprintf("backend %q: %v", b.Name(), errs[i]))
		}
	}
	p.log.Info("pool flushed", "pool", pool, "prefix", string(prefix), "done", done, "failed", len(failed))
	if len(failed) > 0 {
		err = fmt.Errorf("cannot flush all of pool %q: %d of %d backends failed: %s", pool, len(failed), len(members), strings.Join(failed, "; "))
	}
	return done, err
}

// membersOf gives the backends of the pools of that name, each once; nil and all names if there is none.
func (g *generation) membersOf(pool string) (list []backend.Backend, names []string) {
	var found bool
	for _, p := range g.pools {
		if p.Name() != pool {
			if n := fmt.Sprintf("%q", p.Name()); p.Name() != "" && !slices.Contains(names, n) {
				names = append(names, n)
			}
			continue
		}
		found = true
		list = appendBackends(list, p)
	}
	if found && list == nil {
		list = []backend.Backend{} // a pool without backends
	}
	return list, names
}

func appendBackends(list []backend.Backend, p *pools.Pool) []backend.Backend {
	for _, m := range p.Members() {
		if !slices.Contains(list, m.Backend) {
			list = append(list, m.Backend)
		}
	}
	return list
}

// flushAllOf sends flush_all and waits for the answer.
func flushAllOf(b backend.Backend) error {
	var r mc.Request
	var parser mc.Parser
	if _, _, err := parser.Next([]byte("flush_all\r\n"), &mc.Rules{}, &r); err != nil {
		return err
	}
	return broadcast([]backend.Backend{b}, &r, 0)[0]
}

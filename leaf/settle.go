// Settling: waiting until every proxy that writes to a neighbour sends its requests here, too.

package leaf

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// settle returns when the neighbours' items may be read; false if there is no neighbour, or no time.
func (r *recovery) settle(ctx context.Context) bool {
	found := slices.DeleteFunc(slices.Clone(r.sources), func(s *source) bool { return s.failed() })
	if len(found) == 0 || ctx.Err() != nil {
		return false
	}
	r.enter(RecoverSettling)
	if missing := r.awaitProxies(ctx, found); len(missing) > 0 {
		r.log.Warn("recovery: proxies of neighbours send nothing here; what they write meanwhile may be missed", "proxies", missing)
	}
	r.store.Settling()
	if !pause(ctx, r.o.Settle) {
		return false
	}
	r.store.Settled()
	return true
}

// awaitProxies waits until all proxies that the neighbours know send requests here, and gives those that still do not, and the
// neighbours that do not say whom they know: a busy one, or one that a link was cut to, is written to all the same.
func (r *recovery) awaitProxies(ctx context.Context, found []*source) (missing []string) {
	give := time.Now().Add(r.o.Wait)
	for {
		missing = r.missing(ctx, found)
		if len(missing) == 0 || time.Now().After(give) || !pause(ctx, settleEvery) {
			return missing
		}
	}
}

const settleEvery = 100 * time.Millisecond

func (r *recovery) missing(ctx context.Context, found []*source) (names []string) {
	here := r.l.peers.sending(r.l.o.Now(), r.l.instance)
	for _, s := range found {
		h, err := s.hello(ctx)
		if err != nil {
			names = append(names, fmt.Sprintf("those of %s (%v)", s.from, err))
			continue
		}
		for _, name := range h.Proxies {
			if !here[name] && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// pause waits; false if ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

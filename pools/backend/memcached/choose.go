// Which connection a request takes.

package memcached

import (
	"sync"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// numPlaces is of how many lanes of a worker the choices are remembered apart. A lane is a client connection's number; those that share a
// place share a connection while any of them waits for answers.
const numPlaces = 1024

// place is where the requests of some lanes go.
type place struct {
	mu   sync.Mutex // held while one is queued: what is sent first is queued first
	conn *conn      // that of the last one; nil: there was none
	last uint64     // its number there
}

// enqueue queues a request on the right connection, or says why not. What a client sends before it has all its answers goes the way of
// what it sent before, or its requests could overtake one another: a get the set before it. (Upstream keeps no such order: it chooses
// for each batch that it reads.) Only from a connection that has gone bad, and has failed what it had, they part.
func (b *Backend) enqueue(r *mc.Request, p *backend.Pending) error {
	workers := uint32(b.o.Workers)
	worker := p.Lane % workers
	first := int(worker) * b.o.Connections
	if b.o.Connections == 1 {
		_, err := b.conns[first].enqueue(r, p)
		return err
	}
	pl := &b.places[worker*numPlaces+p.Lane/workers%numPlaces]
	pl.mu.Lock()
	defer pl.mu.Unlock()
	c := pl.conn
	if c == nil || c.finished.Load() >= pl.last || !c.health.Allow() {
		c = b.leastBusy(first)
	}
	n, err := c.enqueue(r, p)
	if err == nil {
		pl.conn, pl.last = c, n
	}
	return err
}

// leastBusy is, of a worker's connections, the first that is not bad and has nothing to do, else the one with the least to do; upstream
// chooses so too.
func (b *Backend) leastBusy(first int) *conn {
	best, least := b.conns[first], int64(-1)
	for _, c := range b.conns[first : first+b.o.Connections] {
		if !c.health.Allow() {
			continue
		}
		d := c.depth.Load()
		if d == 0 {
			return c
		}
		if least < 0 || d < least {
			best, least = c, d
		}
	}
	return best
}

// Which connection a request takes.

package memcached

// lastChoices is how many lanes' choices are remembered. A lane is a client connection's number: clients that are busy at the same time
// seldom share a place, and if they do, no more is lost than the order of one's pipelined requests.
const lastChoices = 4096

// choose gives the connection for a request of lane that was queued at start: of those of the lane's worker the first that is not bad
// and has nothing to do, else the one with the least to do. What a client pipelines has one start and goes one way, or its
// requests could overtake one another; upstream sends it so too.
func (b *Backend) choose(lane uint32, start int64) *conn {
	n := b.o.Connections
	first := int(lane%uint32(b.o.Workers)) * n
	if n == 1 {
		return b.conns[first]
	}
	const bits = 0xff // for the connection, counted from 1
	place := &b.last[lane%lastChoices]
	batch := (uint64(start) ^ uint64(lane)<<40) &^ bits
	if v := place.Load(); v&^bits == batch && v&bits != 0 {
		if c := b.conns[first+int(v&bits)-1]; c.health.Allow() {
			return c
		}
	}
	i := b.leastBusy(first)
	place.Store(batch | uint64(i+1))
	return b.conns[first+i]
}

// leastBusy looks through a worker's connections, the first of which is given.
func (b *Backend) leastBusy(first int) int {
	best, least := 0, int64(-1)
	for i, c := range b.conns[first : first+b.o.Connections] {
		if !c.health.Allow() {
			continue
		}
		d := c.depth.Load()
		if d == 0 {
			return i
		}
		if least < 0 || d < least {
			best, least = i, d
		}
	}
	return best
}

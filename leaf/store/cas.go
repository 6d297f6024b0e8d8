// CAS numbers: fresh ones, and room for those that come from other stores.

package store

// CASSpaces is how many spaces CAS numbers fall into: a number's remainder. Two stores of different spaces never give the
// same number, so one that recovers items from the other can keep their numbers: a number that a client was given by this
// store in a former life still means the value that it meant then, or none.
const CASSpaces = 8

const (
	// casPerMilli numbers of a space fall to each millisecond: a store that writes less than 500,000 items a second on the
	// average of its life gives none again after a restart.
	casPerMilli = 500
	// maxOwnCAS is what counting by the clock reaches in 2041, and a float64 (Lua's number) holds exactly. Greater ones were
	// chosen by clients (the meta flag E), who look after their uniqueness.
	maxOwnCAS = 1 << 53
)

// firstCAS begins the counting.
func (s *Store) firstCAS() {
	if s.o.FirstCAS > 0 {
		s.casStep = 1
		s.cas.Store(s.o.FirstCAS - 1)
		return
	}
	s.casStep = CASSpaces
	s.cas.Store(uint64(max(0, s.base))*casPerMilli*CASSpaces + uint64(s.o.CASSpace%CASSpaces))
}

// NextCAS gives a fresh CAS number, greater than every one before; with NoCAS, 0.
func (s *Store) NextCAS() uint64 {
	if s.o.NoCAS {
		return 0
	}
	return s.cas.Add(s.casStep)
}

// passCAS has numbers given from here on be greater than one that came from another store.
func (s *Store) passCAS(cas uint64) {
	if cas >= maxOwnCAS {
		return
	}
	for old := s.cas.Load(); cas > old; old = s.cas.Load() {
		steps := (cas - old + s.casStep - 1) / s.casStep
		if s.cas.CompareAndSwap(old, old+steps*s.casStep) {
			return
		}
	}
}

// Renew empties the store at once and has CAS numbers begin again as they did when it was opened, for tests that want a store that looks new.
// Nothing may use it meanwhile.
func (s *Store) Renew() {
	s.flushMu.Lock()
	s.flushLocked()
	s.flushMu.Unlock()
	s.firstCAS()
}

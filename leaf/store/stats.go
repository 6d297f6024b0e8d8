// What the store counts.

package store

// Stats are the store's figures of one moment; each shard's are taken under its lock, one after the other.
type Stats struct {
	Items     int64 // held, among them expired ones that nobody has asked for yet
	ItemBytes int64 // of them: headers, keys and values
	Bytes     int64 // taken of Limit: segments, large items, index, sketch and the rest
	Limit     int64

	WindowItems, WindowBytes int64 // not yet judged by ristretto; bytes of whole segments
	MainBytes                int64 // of whole segments that ristretto holds
	Segments                 int64

	TotalItems int64 // stored since the start
	Evictions  int64 // items that went for want of memory
	Rejected   int64 // of them, because ristretto refused their segment
	Expired    int64 // expired or flushed items removed without being asked for
	Survived   int64 // items that stayed when their segment went
	Inline     int64 // segments reclaimed by a writer because the demoter was late
}

// Stats gives the figures of now.
func (s *Store) Stats() Stats {
	st := Stats{
		Bytes: s.mem.used.Load(), Limit: s.o.Memory,
		WindowBytes: s.window.bytes.Load(), MainBytes: s.mainBytes.Load(),
	}
	for i := range s.shards {
		s.shards[i].addTo(&st)
	}
	return st
}

func (sh *shard) addTo(st *Stats) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	st.Items += int64(sh.index.count)
	for _, g := range sh.segs {
		if g == nil {
			continue
		}
		st.Segments++
		st.ItemBytes += int64(g.live)
		if g.state != inMain {
			st.WindowItems += int64(g.items)
		}
	}
	st.TotalItems += sh.n.stored
	st.Evictions += sh.n.evicted
	st.Rejected += sh.n.rejected
	st.Expired += sh.n.expired
	st.Survived += sh.n.survived
	st.Inline += sh.n.inline
}

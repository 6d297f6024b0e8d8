// The store's invariants, checked from inside.

package store

// failer is a testing.TB or a *rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// run has the demoter's goroutine run f.
func (s *Store) run(f func()) {
	done := make(chan struct{})
	s.ask <- func() { defer close(done); f() } // f may end the goroutine, if it is a test's
	<-done
}

// verify checks every invariant of a store that no one else uses; the demoter is held meanwhile.
func verify(t failer, s *Store) {
	t.Helper()
	s.run(func() { s.settle(); verifyHeld(t, s) })
}

func verifyHeld(t failer, s *Store) {
	t.Helper()
	segments, tables, filters := int64(0), int64(0), int64(0)
	inMainBytes, windowBytes := int64(0), int64(0)
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		live, items := map[*segment]int{}, map[*segment]int{}
		last, n := uint64(0), 0
		for at, e := range sh.index.table {
			if e == 0 {
				continue
			}
			n++
			if e>>32 < last>>32 || at < sh.index.home(tagOf(e)) {
				t.Fatalf("shard %d: index out of order at %d", i, at)
			}
			last = e
			g, off := sh.deref(uint32(e))
			if g == nil || g.state == dead || off >= g.used {
				t.Fatalf("shard %d: entry points to nothing: %+v", i, g)
			}
			b := g.at(off)
			if h := s.hash(b.key()); tagOfHash(h) != tagOf(e) || h>>s.shardShift != uint64(i) {
				t.Fatalf("shard %d: item %q under another key's tag", i, b.key())
			}
			if exp := b.exp(); exp != 0 && (g.minExp == 0 || g.minExp > exp) {
				t.Fatalf("shard %d: item expires at %d, its segment not before %d", i, exp, g.minExp)
			}
			live[g] += b.size()
			items[g]++
		}
		if n != sh.index.count {
			t.Fatalf("shard %d: index counts %d, holds %d", i, sh.index.count, n)
		}
		aged := map[*segment]bool{}
		for g := sh.ages.oldest; g != nil; g = g.newer {
			aged[g] = true
		}
		for slot, g := range sh.segs {
			if g == nil {
				continue
			}
			segments += g.cost()
			if int(g.slot) != slot || g.state == dead || g.live != live[g] || g.items != items[g] || aged[g] != (g.state != open) {
				t.Fatalf("shard %d: slot %d: %+v, live %d, items %d, aged %v", i, slot, g, live[g], items[g], aged[g])
			}
			if g.state != open && g.live == 0 {
				t.Fatalf("shard %d: empty segment kept", i)
			}
			delete(aged, g)
			switch g.state {
			case inMain:
				inMainBytes += g.cost()
			case inWindow:
				windowBytes += g.cost()
			}
		}
		if len(aged) > 0 || sh.pinned != nil || sh.unfreed != nil {
			t.Fatalf("shard %d: %d segments too many, pinned %v, unfreed %v", i, len(aged), sh.pinned, sh.unfreed)
		}
		tables += indexBytes(int(sh.index.homes)) - indexBytes(indexMin)
		filters += int64(len(sh.claimed)) * 8
		sh.mu.Unlock()
	}
	queued := int64(0)
	for g := s.window.oldest; g != nil; g = g.winNewer {
		queued += g.cost()
	}
	if windowBytes != queued || windowBytes != s.window.bytes.Load() || inMainBytes != s.mainBytes.Load() {
		t.Fatalf("window %d, queued %d, counted %d; main %d, counted %d", windowBytes, queued, s.window.bytes.Load(), inMainBytes, s.mainBytes.Load())
	}
	fixed := s.fixedBytes(int(s.o.Memory) / s.mem.segSize)
	if want, used := fixed+segments+tables+filters, s.mem.used.Load(); used != want || used > s.o.Memory {
		t.Fatalf("counted %d of %d, want %d", used, s.o.Memory, want)
	}
	s.dropForgotten()
	if s.cache.MaxCost()-s.cache.RemainingCost() != inMainBytes {
		t.Fatalf("ristretto counts %d, main has %d", s.cache.MaxCost()-s.cache.RemainingCost(), inMainBytes)
	}
}

package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// More prefixes than are noted: each flush is complete when it returns, what is written later stays, and after a sweep there is room
// for notes again.
func TestManyPrefixes(t *testing.T) {
	s := openTest(t, Options{Memory: 16 << 20})
	const names, each = maxPrefixes + 50, 20
	name := func(i, j int) []byte { return fmt.Appendf(nil, "ns%d:%d", i, j) }
	for i := range names {
		for j := range each {
			put(s, name(i, j), []byte("v"))
		}
	}
	s.run(func() { // the sweeper waits, so that notes stay
		for i := range names {
			if err := s.FlushPrefix(fmt.Appendf(nil, "ns%d:", i)); err != nil {
				t.Fatal(err)
			}
			if n := len(s.names.Load().from); n > maxPrefixes {
				t.Fatalf("%d notes", n)
			}
			for j := range each {
				if get(s, name(i, j)) != nil {
					t.Fatalf("%s is there after flush %d", name(i, j), i)
				}
			}
			if i+1 < names && get(s, name(i+1, 0)) == nil {
				t.Fatalf("flush %d took another's items", i)
			}
			put(s, name(i, 0), []byte("new"))
		}
		for i := range names {
			if string(get(s, name(i, 0))) != "new" {
				t.Fatalf("what was written after flush %d is gone", i)
			}
		}
		if err := s.FlushPrefix([]byte("ns")); err != nil || len(s.names.Load().from) != 1 {
			t.Errorf("a prefix of all others: %v, %d notes", err, len(s.names.Load().from))
		}
	})
	s.run(s.sweep)
	if s.names.Load() != nil || s.Stats().Items != 0 {
		t.Errorf("after a sweep: notes %v, %d items", s.names.Load(), s.Stats().Items)
	}
	verify(t, s)
}

// The same while others write: who saw a flush return sees nothing older.
func TestManyPrefixesWhileWriting(t *testing.T) {
	s := openTest(t, Options{Memory: 16 << 20})
	noteMost := func() {
		for i := range maxPrefixes {
			s.FlushPrefix(fmt.Appendf(nil, "none%d:", i))
		}
	}
	var flushes atomic.Int64 // begun
	stop := make(chan struct{})
	var work sync.WaitGroup
	for g := range 2 {
		work.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				put(s, fmt.Appendf(nil, "a:%d:%d", g, i%5000), fmt.Append(nil, flushes.Load()))
			}
		})
	}
	for f := range int64(20) {
		noteMost()
		flushes.Store(f + 1) // what is written from now on may stay; what was written with less must not
		if err := s.FlushPrefix([]byte("a:")); err != nil {
			t.Fatal(err)
		}
		for i := range 5000 {
			// A writer may have read the number before the flush and have written after it: at most one item each.
			if v := get(s, fmt.Appendf(nil, "a:0:%d", i)); v != nil {
				var n int64
				if fmt.Sscan(string(v), &n); n < f {
					t.Fatalf("an item from before flush %d is there after flush %d", n, f)
				}
			}
		}
	}
	close(stop)
	work.Wait()
	verify(t, s)
}

func TestManyPrefixesWhileRecovering(t *testing.T) {
	s := openTest(t, Options{})
	r, err := s.Recover(1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.End()
	r.Settling()
	r.Settled()
	for i := range maxPrefixes {
		if err := s.FlushPrefix(fmt.Appendf(nil, "ns%d:", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.FlushPrefix([]byte("one more:")); !errors.Is(err, ErrPrefixes) {
		t.Errorf("got %v", err)
	}
	if got := r.Put(0, &Item{Key: []byte("ns7:a")}, 0); got != TakenGone {
		t.Errorf("an item under a flushed prefix was taken: %d", got)
	}
	if err := s.FlushPrefix([]byte("ns")); err != nil {
		t.Errorf("a prefix that covers others: %v", err)
	}
}

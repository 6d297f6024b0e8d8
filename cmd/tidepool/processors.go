// As many processors as there is work for.
//
// Go's scheduler wakes an idle processor whenever a goroutine becomes ready and one is free. In a proxy, where each goroutine works for some
// microseconds and hands over to the next, that costs more than it gains while one processor could do the work: on 2 processors,
// shared with clients and servers, a fifth of a proxy's processor time at one request in flight, and a third of its p99. (memcached
// with one thread where its default of four is not needed shows the same.) So GOMAXPROCS follows the load here, for the whole process.

package main

import (
	"os"
	"runtime"
	"time"
)

const (
	sizeEvery = 50 * time.Millisecond // how often processor time is looked at
	sizeCalm  = time.Second           // over how long it is averaged before processors are given up
	sizeFull  = 0.95                  // the share of the processors, two looks in a row, from which there are to be more
	sizeUse   = 0.85                  // the share of them that is to be in use when there are to be fewer
	sizeHold  = 30                    // means for which one that starved is left with all
)

// ownsProcessors is whether GOMAXPROCS is ours to set. Whoever has set it in the environment knows better.
func ownsProcessors() bool { return os.Getenv("GOMAXPROCS") == "" }

// allProcessors lets the process use what it may: something is about to work for long, such as the loading of a configuration.
func allProcessors() {
	if ownsProcessors() {
		runtime.SetDefaultGOMAXPROCS()
	}
}

// sizeProcessors sets GOMAXPROCS by the load until done, and to all then. used is the processor time of the process so far; waited how
// long its threads have waited for a processor that others had, and is asked more seldom.
func sizeProcessors(done <-chan struct{}, used, waited func() (time.Duration, bool)) {
	last, ok := used()
	if !ok || !ownsProcessors() {
		return
	}
	ticker := time.NewTicker(sizeEvery)
	defer ticker.Stop()
	defer allProcessors()
	s := sizer{waited: func() time.Duration { w, _ := waited(); return w }}
	at := time.Now()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		now := time.Now()
		u, _ := used()
		n := runtime.GOMAXPROCS(0)
		switch m := s.next(n, u-last, now.Sub(at)); {
		case m > n:
			allProcessors()
		case m < n:
			runtime.GOMAXPROCS(m)
		}
		at, last = now, u
	}
}

// sizer decides. Up it goes at once and all the way, down slowly and as far as the mean says: too few hold requests up, too many only
// cost. On a machine that others fill, a process gets time by the number of its threads: one that with fewer than all gets less than
// half of what it asks for has all of them for a while.
type sizer struct {
	waited func() time.Duration // in all

	n, most    int           // processors at the last look, and at any
	full       int           // looks in a row at which they were all busy
	hold       int           // means that are not acted upon
	used, took time.Duration // since the averaging began
	wait       time.Duration // waited when it began
}

// all is more processors than any machine has.
const all = 1 << 20

// next is told of processor time used on n processors in some time, and gives how many there are to be.
func (s *sizer) next(n int, used, took time.Duration) int {
	if n != s.n { // by us, or by allProcessors
		s.n, s.most, s.full = n, max(n, s.most), 0
		s.used, s.took, s.wait = 0, 0, s.waited()
		return n
	}
	if used < time.Duration(sizeFull*float64(n)*float64(took)) {
		s.full = 0
	} else if s.full++; s.full == 2 {
		s.full = 0
		return all
	}
	s.used += used
	s.took += took
	if s.took < sizeCalm {
		return n
	}
	wait := s.waited()
	busy, asked := float64(s.used)/float64(s.took), float64(s.used+wait-s.wait)/float64(s.took)
	s.used, s.took, s.wait = 0, 0, wait
	switch {
	case s.hold > 0:
		s.hold--
		return n
	case n < s.most && asked > 2*busy && asked > sizeUse:
		s.hold = sizeHold
		return all
	}
	return min(n, 1+int(busy/sizeUse))
}

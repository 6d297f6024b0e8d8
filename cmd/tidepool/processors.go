// As many processors as there is work for.
//
// Go's scheduler wakes an idle processor whenever a goroutine becomes ready and one is free. In a proxy, where each goroutine works for some
// microseconds and hands over to the next, that costs more than it gains while one processor could do the work: on 2 processors,
// shared with clients and servers, a fifth of a proxy's processor time at one request in flight, and a third of its p99. (memcached
// with one thread where its default of four is not needed shows the same.) So GOMAXPROCS follows the load here, for the whole process. And
// because a process that hands over all the time uses more processors when it may without doing more, what counts is the requests: processors
// are kept only while more is served than those before could have.

package main

import (
	"os"
	"runtime"
	"time"
)

const (
	sizeEvery = 50 * time.Millisecond  // how often processor time is looked at
	sizeCalm  = time.Second            // over how long it is averaged before processors are given up
	sizeFull  = 0.95                   // the share of the processors, two looks in a row, from which there are to be more
	sizeUse   = 0.85                   // the share of them that is to be in use when there are to be fewer
	sizeHold  = 30                     // means for which one that starved is left with all
	sizeTrial = 300 * time.Millisecond // after which more processors are judged:
	sizeGain  = 1.05                   // so many times the requests are to be served with them, or
	sizeOther = 1.25                   // so many times the processors to be in use, for something else
	sizeWary  = 8                      // means for which none are added after they were of no use; the first time a quarter
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
// long its threads have waited for a processor that others had, and served (nil: it serves none) how many requests it has answered, are asked
// more seldom.
func sizeProcessors(done <-chan struct{}, used, waited func() (time.Duration, bool), served func() uint64) {
	if !ownsProcessors() {
		return
	}
	if served == nil {
		served = func() uint64 { return 0 }
	}
	defer allProcessors()
	s := sizer{waited: func() time.Duration { w, _ := waited(); return w }, served: served}
	watchUse(done, sizeEvery, used, func(used, took time.Duration) {
		n := runtime.GOMAXPROCS(0)
		switch m := s.next(n, used, took); {
		case m > n:
			allProcessors()
		case m < n:
			runtime.GOMAXPROCS(m)
		}
	})
}

// watchUse calls f every so often until done with the processor time that the process has used since the last time, and how long ago that was. It
// does nothing where used does not know.
func watchUse(done <-chan struct{}, every time.Duration, used func() (time.Duration, bool), f func(used, took time.Duration)) {
	last, ok := used()
	if !ok {
		return
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for at := time.Now(); ; {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		now := time.Now()
		u, _ := used()
		f(u-last, now.Sub(at))
		at, last = now, u
	}
}

// sizer decides. Up it goes at once and all the way, down slowly and as far as the mean says: too few hold requests up, too many only
// cost. What fewer processors served when they were all busy says whether more are of use: if more is not served with more, they are given up
// soon, and some time goes by before it is tried again. On a machine that others fill, a process gets time by the number
// of its threads: one that with fewer than all gets less than half of what it asks for has all of them for a while.
type sizer struct {
	waited func() time.Duration // in all
	served func() uint64        // in all

	n, most    int           // processors at the last look, and at any
	full       int           // looks in a row at which they were all busy
	mark       uint64        // served at the end of the first of them
	hold       int           // means that are not acted upon
	used, took time.Duration // since the averaging began
	wait       time.Duration // waited when it began
	done       uint64        // served when it began

	fewer int     // from which it went up last
	rate  float64 // requests/s that they served, all busy; 0: not known
	trial bool    // what is there now has yet to show its worth
	calm  int     // means before more are tried again
	wary  int     // what calm was last; 0: more were of use
}

// all is more processors than any machine has.
const all = 1 << 20

// next is told of processor time used on n processors in some time, and gives how many there are to be.
func (s *sizer) next(n int, used, took time.Duration) int {
	if n != s.n { // by us, or by allProcessors
		s.n, s.most, s.full = n, max(n, s.most), 0
		s.trial = s.trial && n > s.fewer
		s.begin()
		return n
	}
	if used < time.Duration(sizeFull*float64(n)*float64(took)) {
		s.full = 0
	} else if s.full++; s.full == 1 {
		s.mark = s.served()
	} else if s.full = 0; n == s.most || s.calm == 0 {
		if n < s.most {
			s.fewer, s.rate = n, float64(s.served()-s.mark)/took.Seconds()
			s.trial = s.rate > 0
		}
		return all
	}
	s.used += used
	s.took += took
	switch {
	case s.trial && s.took >= sizeTrial:
		return s.judge(n)
	case s.took < sizeCalm:
		return n
	}
	return s.settle(n)
}

// begin begins the averaging anew.
func (s *sizer) begin() { s.used, s.took, s.wait, s.done = 0, 0, s.waited(), s.served() }

// mean is how many processors were in use since then, and how many requests/s were served.
func (s *sizer) mean() (busy, rate float64) {
	return float64(s.used) / float64(s.took), float64(s.served()-s.done) / s.took.Seconds()
}

// judge ends a trial. Who uses many more processors may have other work than requests.
func (s *sizer) judge(n int) int {
	busy, rate := s.mean()
	s.trial = false
	if rate >= sizeGain*s.rate || busy >= sizeOther*float64(s.fewer) {
		s.wary = 0
		return n
	}
	s.wary = min(max(2*s.wary, sizeWary/4), sizeWary)
	s.calm = s.wary
	return s.fewer
}

// settle acts upon a mean.
func (s *sizer) settle(n int) int {
	busy, rate := s.mean()
	asked := busy + float64(s.waited()-s.wait)/float64(s.took)
	s.begin()
	s.calm = max(s.calm-1, 0)
	switch {
	case s.hold > 0:
		s.hold--
		return n
	case n < s.most && asked > 2*busy && asked > sizeUse:
		s.hold = sizeHold
		return all
	case rate > 0 && s.rate == 0: // how many it takes is found out once
		return min(n, max(int(busy), 1))
	case s.fewer < n && rate < sizeUse*s.rate:
		n = s.fewer
	}
	return min(n, 1+int(busy/sizeUse))
}

// Log-linear latency histograms: 1 ns to 18 minutes, with an error of at most 3.2 %.

package stat

import (
	"math"
	"math/bits"
	"sync/atomic"
)

const (
	subBits = 4 // each power of two is divided into 1<<subBits equal buckets
	subs    = 1 << subBits
	maxBits = 40 // values of 1<<maxBits ns (18 minutes) and more go to the last bucket

	// Buckets is the number of buckets of a histogram: one for each value below 16 ns, then 16 for each power of two.
	Buckets = subs + (maxBits-subBits)*subs
)

// bucket is the number of the bucket that holds v nanoseconds.
func bucket(v int64) int {
	if v < subs {
		return int(max(v, 0))
	}
	shift := bits.Len64(uint64(v)) - 1 - subBits
	return min(shift*subs+int(v>>shift), Buckets-1)
}

// bounds are the least and the greatest value that bucket i holds.
func bounds(i int) (lo, hi int64) {
	if i < subs {
		return int64(i), int64(i)
	}
	shift := i/subs - 1
	lo = int64(subs+i%subs) << shift
	return lo, lo + 1<<shift - 1
}

// Histogram counts durations in nanoseconds. Make it with NewHistogram. A stripe takes 5 kB from its first observation on.
type Histogram struct {
	mask    uint32
	stripes []atomic.Pointer[histogramStripe]
}

type histogramStripe struct {
	counts [Buckets]atomic.Uint64
	sum    atomic.Uint64
	max    atomic.Int64
	_      [line]byte
}

// NewHistogram makes an empty histogram.
func NewHistogram() *Histogram {
	n := stripes()
	return &Histogram{mask: uint32(n - 1), stripes: make([]atomic.Pointer[histogramStripe], n)}
}

// Observe counts one duration of v nanoseconds; a negative one counts as 0.
func (h *Histogram) Observe(stripe uint32, v int64) {
	p := &h.stripes[stripe&h.mask]
	s := p.Load()
	if s == nil {
		p.CompareAndSwap(nil, new(histogramStripe))
		s = p.Load()
	}
	v = max(v, 0)
	s.counts[bucket(v)].Add(1)
	s.sum.Add(uint64(v))
	for m := s.max.Load(); v > m && !s.max.CompareAndSwap(m, v); m = s.max.Load() {
	}
}

// Snapshot adds what h has counted so far to s. Several histograms may be added into one.
func (h *Histogram) Snapshot(s *Snapshot) {
	for i := range h.stripes {
		p := h.stripes[i].Load()
		if p == nil {
			continue
		}
		for b := range p.counts {
			if n := p.counts[b].Load(); n > 0 {
				s.Counts[b] += n
				s.Count += n
			}
		}
		s.Sum += p.sum.Load()
		s.Max = max(s.Max, p.max.Load())
	}
}

// Snapshot is a histogram at one moment, or one that a single goroutine fills. The zero value is empty. It is 5 kB: pass
// pointers.
type Snapshot struct {
	Counts [Buckets]uint64
	Count  uint64 // sum of Counts
	Sum    uint64 // nanoseconds
	Max    int64  // the largest observation, exact, in nanoseconds
}

// Observe counts one duration of v nanoseconds; not for concurrent use.
func (s *Snapshot) Observe(v int64) {
	v = max(v, 0)
	s.Counts[bucket(v)]++
	s.Count++
	s.Sum += uint64(v)
	s.Max = max(s.Max, v)
}

// Merge adds o to s.
func (s *Snapshot) Merge(o *Snapshot) {
	for i, n := range o.Counts {
		s.Counts[i] += n
	}
	s.Count += o.Count
	s.Sum += o.Sum
	s.Max = max(s.Max, o.Max)
}

// Since takes old, an earlier snapshot of the same histogram, away from s: what remains was observed in between. Max
// cannot be taken apart and becomes the upper bound of the highest bucket that is not empty.
func (s *Snapshot) Since(old *Snapshot) {
	top := -1
	for i, n := range old.Counts {
		s.Counts[i] -= n
		if s.Counts[i] > 0 {
			top = i
		}
	}
	s.Count -= old.Count
	s.Sum -= old.Sum
	if top < 0 {
		s.Max = 0
	} else if _, hi := bounds(top); hi < s.Max {
		s.Max = hi
	}
}

// Quantile is the duration, in nanoseconds, that the fraction q of all observations did not exceed: the middle of its bucket.
// 0 without observations; Max for q >= 1.
func (s *Snapshot) Quantile(q float64) int64 {
	if s.Count == 0 {
		return 0
	}
	if q >= 1 {
		return s.Max
	}
	rank := max(uint64(math.Ceil(q*float64(s.Count))), 1)
	var seen uint64
	for i, n := range s.Counts {
		if seen += n; seen >= rank {
			lo, hi := bounds(i)
			return min(lo+(hi-lo)/2, s.Max)
		}
	}
	return s.Max
}

// Mean is the mean in nanoseconds; 0 without observations.
func (s *Snapshot) Mean() int64 {
	if s.Count == 0 {
		return 0
	}
	return int64(s.Sum / s.Count)
}

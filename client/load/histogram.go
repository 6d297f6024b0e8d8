// Latencies of one connection, counted finely.

package load

import (
	"math"
	"math/bits"
)

// histogram counts durations in nanoseconds in buckets of at most 0.4 % of their value: 256 to each power of two. The proxy's own
// (engine/stat) are coarser, and made for many writers; this has one, and a page of buckets where there are observations.
// The zero value is empty.
type histogram struct {
	pages [64 - pageBits]*[1 << pageBits]uint32
	count uint64
	sum   uint64
	max   int64
}

const pageBits = 8

// observe counts v; a negative one counts as 0.
func (h *histogram) observe(v int64) {
	v = max(v, 0)
	h.count++
	h.sum += uint64(v)
	h.max = max(h.max, v)
	page, i := 0, int(v)
	if v >= 1<<pageBits {
		page = bits.Len64(uint64(v)) - pageBits
		i = int(v>>(page-1)) - 1<<pageBits
	}
	p := h.pages[page]
	if p == nil {
		p = new([1 << pageBits]uint32)
		h.pages[page] = p
	}
	p[i]++
}

// middle is the value that stands for a bucket.
func middle(page, i int) int64 {
	if page == 0 {
		return int64(i)
	}
	return int64(i+1<<pageBits)<<(page-1) + 1<<(page-1)/2
}

// add takes o's observations in.
func (h *histogram) add(o *histogram) {
	for page, p := range o.pages {
		if p == nil {
			continue
		}
		if h.pages[page] == nil {
			h.pages[page] = new([1 << pageBits]uint32)
		}
		for i, n := range p {
			h.pages[page][i] += n
		}
	}
	h.count += o.count
	h.sum += o.sum
	h.max = max(h.max, o.max)
}

// mean is 0 without observations.
func (h *histogram) mean() float64 {
	if h.count == 0 {
		return 0
	}
	return float64(h.sum) / float64(h.count)
}

// quantiles gives, for each fraction of qs, which rise, the duration that so many of the observations did not exceed. The last
// observation is exact: it is the greatest.
func (h *histogram) quantiles(qs []float64) []int64 {
	out := make([]int64, len(qs))
	next, seen := 0, uint64(0)
	for page, p := range h.pages {
		if p == nil {
			continue
		}
		for i, n := range p {
			if seen += uint64(n); n == 0 {
				continue
			}
			for ; next < len(qs) && seen >= h.rank(qs[next]); next++ {
				out[next] = min(middle(page, i), h.max)
				if h.rank(qs[next]) == h.count {
					out[next] = h.max
				}
			}
		}
	}
	return out
}

// rank is which observation, of those in order and from 1, is at fraction q.
func (h *histogram) rank(q float64) uint64 {
	return min(max(uint64(math.Ceil(q*float64(h.count))), 1), h.count)
}

// percentiles are the fractions of a plot by percentile, up to the one that the last observation is: five for each halving of
// what remains above.
func (h *histogram) percentiles() (qs []float64) {
	for rest := 1.0; rest > 1/float64(h.count+1); rest /= 2 {
		for tick := range 5 {
			qs = append(qs, 1-rest*(1-float64(tick)/10))
		}
	}
	return append(qs, 1)
}

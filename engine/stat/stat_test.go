// Tests: sums under concurrency, precision of histograms, the Prometheus form.

package stat

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func TestCountersAddUpAcrossStripesAndGoroutines(t *testing.T) {
	c := NewCounters(3)
	var wg sync.WaitGroup
	for g := range uint32(100) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 1000 {
				c.Add(g, 0, 1)
				c.Add(g, 2, 2)
			}
		}()
	}
	wg.Wait()
	for i, want := range []uint64{100_000, 0, 200_000} {
		if got := c.Value(i); got != want {
			t.Errorf("counter %d: %d, want %d", i, got, want)
		}
	}
	if c.Len() != 3 {
		t.Errorf("Len %d, want 3", c.Len())
	}
}

func TestStripesShareNoCacheLine(t *testing.T) {
	for _, n := range []int{1, 15, 16, 17, 200} {
		c := NewCounters(n)
		if len(c.cells) == c.row {
			t.Skip("one processor, one stripe")
		}
		last := uintptr(unsafe.Pointer(&c.cells[n-1]))
		next := uintptr(unsafe.Pointer(&c.cells[c.row]))
		if last/64 == next/64 || next-last < 64 {
			t.Errorf("%d counters: stripe 0 ends at %#x, stripe 1 begins at %#x", n, last, next)
		}
	}
}

func TestGauge(t *testing.T) {
	var g Gauge
	g.Set(5)
	if got := g.Add(-7); got != -2 || g.Value() != -2 {
		t.Errorf("got %d and %d, want -2", got, g.Value())
	}
}

func TestBucketsCoverEveryValueOnce(t *testing.T) {
	next := int64(0)
	for i := range Buckets {
		lo, hi := bounds(i)
		if lo != next || hi < lo {
			t.Fatalf("bucket %d is %d to %d, want it to begin at %d", i, lo, hi, next)
		}
		if bucket(lo) != i || bucket(hi) != i {
			t.Fatalf("bucket %d is %d to %d, but these go to %d and %d", i, lo, hi, bucket(lo), bucket(hi))
		}
		next = hi + 1
	}
	if next != 1<<maxBits {
		t.Errorf("buckets end at %d, want %d", next, int64(1)<<maxBits)
	}
	for v, want := range map[int64]int{-1: 0, math.MinInt64: 0, next: Buckets - 1, math.MaxInt64: Buckets - 1} {
		if got := bucket(v); got != want {
			t.Errorf("bucket(%d) = %d, want %d", v, got, want)
		}
	}
}

func TestQuantilesAreWithinFourPercent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	h := NewHistogram()
	var all []int64
	for i := range 50_000 {
		v := int64(math.Exp(rng.Float64()*24) * 10) // 10 ns to 4 minutes, evenly over the orders
		all = append(all, v)
		h.Observe(uint32(i), v)
	}
	var s Snapshot
	h.Snapshot(&s)
	slices.Sort(all)
	for _, q := range []float64{0.001, 0.01, 0.5, 0.9, 0.99, 0.999, 0.9999} {
		want := all[int(math.Ceil(q*float64(len(all))))-1]
		got := s.Quantile(q)
		if e := math.Abs(float64(got-want)) / float64(want); e > 0.04 {
			t.Errorf("quantile %v: %d, want %d: off by %.1f %%", q, got, want, e*100)
		}
	}
	if want := all[len(all)-1]; s.Quantile(1) != want || s.Max != want {
		t.Errorf("max %d and %d, want %d", s.Quantile(1), s.Max, want)
	}
	var sum int64
	for _, v := range all {
		sum += v
	}
	if s.Count != uint64(len(all)) || s.Sum != uint64(sum) || s.Mean() != sum/int64(len(all)) {
		t.Errorf("count %d sum %d mean %d, want %d %d %d", s.Count, s.Sum, s.Mean(), len(all), sum, sum/int64(len(all)))
	}
}

func TestEmptySnapshot(t *testing.T) {
	var s Snapshot
	NewHistogram().Snapshot(&s)
	if s.Quantile(0.5) != 0 || s.Quantile(1) != 0 || s.Mean() != 0 || s.Count != 0 {
		t.Errorf("an empty histogram has quantile %d, max %d, mean %d, count %d", s.Quantile(0.5), s.Quantile(1), s.Mean(), s.Count)
	}
}

func TestMergeAndSince(t *testing.T) {
	var a, b, both Snapshot
	for i := range int64(1000) {
		a.Observe(i * 1000)
		both.Observe(i * 1000)
		b.Observe(i * i)
		both.Observe(i * i)
	}
	sum := a
	sum.Merge(&b)
	if sum != both {
		t.Error("a merged with b is not what one histogram of both holds")
	}
	sum.Since(&a)
	if sum.Counts != b.Counts || sum.Count != b.Count || sum.Sum != b.Sum {
		t.Error("both since a is not b")
	}
	if sum.Max < b.Max || float64(sum.Max) > float64(b.Max)*1.07 {
		t.Errorf("max since a is %d, want %d to 7 %% more", sum.Max, b.Max)
	}
	b.Since(&b)
	if b.Max != 0 || b.Count != 0 {
		t.Errorf("a snapshot since itself has max %d, count %d", b.Max, b.Count)
	}
}

func TestHistogramUnderConcurrency(t *testing.T) {
	h := NewHistogram()
	var wg sync.WaitGroup
	for g := range uint32(16) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range int64(2000) {
				h.Observe(g, i)
				if i == 1000 {
					h.Snapshot(new(Snapshot))
				}
			}
		}()
	}
	wg.Wait()
	var s Snapshot
	h.Snapshot(&s)
	if s.Count != 32_000 || s.Sum != 16*1999*1000 || s.Max != 1999 {
		t.Errorf("count %d sum %d max %d", s.Count, s.Sum, s.Max)
	}
}

func TestPrometheusForm(t *testing.T) {
	h := NewHistogram()
	for _, v := range []int64{40_000, 90_000, 900_000, 40e9, 3600e9} { // the last is beyond the last bucket
		h.Observe(0, v)
	}
	var s Snapshot
	h.Snapshot(&s)
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(Collector(func(emit func(prometheus.Metric)) {
		emit(s.Metric(RouteSeconds, "main"))
		emit(CounterMetric(RequestsTotal, 7, "get", "hit"))
		emit(GaugeMetric(BackendUp, 1, "p", "b"))
	}))
	got, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*dto.Metric{}
	for _, f := range got {
		byName[f.GetName()] = f.GetMetric()[0]
	}
	hist := byName["tidepool_route_seconds"].GetHistogram()
	if hist.GetSampleCount() != 5 || math.Abs(hist.GetSampleSum()-3640.00103) > 1e-6 {
		t.Errorf("count %d sum %v", hist.GetSampleCount(), hist.GetSampleSum())
	}
	for bound, want := range map[float64]uint64{50e-6: 1, 100e-6: 2, 750e-6: 2, 1e-3: 3, 30: 3} {
		i := slices.IndexFunc(hist.Bucket, func(b *dto.Bucket) bool { return b.GetUpperBound() == bound })
		if i < 0 || hist.Bucket[i].GetCumulativeCount() != want {
			t.Errorf("bucket le=%v: %v, want %d", bound, hist.Bucket, want)
		}
	}
	if v := byName["tidepool_requests_total"].GetCounter().GetValue(); v != 7 {
		t.Errorf("counter is %v, want 7", v)
	}
	if v := byName["tidepool_backend_up"].GetGauge().GetValue(); v != 1 {
		t.Errorf("gauge is %v, want 1", v)
	}
}

func TestHotPathAllocatesNothing(t *testing.T) {
	c, h := NewCounters(4), NewHistogram()
	h.Observe(3, 1)
	if n := testing.AllocsPerRun(100, func() { c.Add(3, 1, 1); h.Observe(3, 12345) }); n != 0 {
		t.Errorf("Add and Observe allocate %v times", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	h := NewHistogram()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		stripe, v := rand.Uint32(), int64(0)
		for pb.Next() {
			h.Observe(stripe, v&0xfffff)
			v += 997
		}
	})
}

func BenchmarkCounter(b *testing.B) {
	c := NewCounter()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		stripe := rand.Uint32()
		for pb.Next() {
			c.Add(stripe, 1)
		}
	})
}

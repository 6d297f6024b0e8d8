// Command benchwarm measures what a database sees when a pool grows from three leaves to four, with and without warming. `make bench-warm`
// runs it.
//
// Leaves, NATS and the proxy's pool are real and in this process (tests/warm). Clients read keys by a Zipf distribution and store what they
// miss, as applications do. There are more keys than the leaves hold, so that some reads miss at all times. When that has
// become steady a fourth leaf becomes an owner, and the miss rate of each window from then on is compared with the mean before. The
// highest window before says how much of that is chance. Every value is checked. With -drain a leaf goes instead, in order, and what is left of its items is
// counted.
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/warm"
)

// settings are the flags.
type settings struct {
	keys    uint64
	zipf    float64
	memory  int64
	clients int
	value   int
	warm    time.Duration
	steady  time.Duration
	after   time.Duration
	window  time.Duration
	aim     float64
	seed    uint64
	quiet   bool
}

func main() {
	s := settings{}
	flag.Uint64Var(&s.keys, "keys", 1_000_000, "keys that are read")
	flag.Float64Var(&s.zipf, "zipf", 1.05, "the distribution's exponent, above 1")
	memory := flag.Int("memory", 16, "MiB of each leaf")
	flag.IntVar(&s.clients, "clients", 32, "clients, each with one request under way")
	flag.IntVar(&s.value, "value", 100, "bytes of a value")
	flag.DurationVar(&s.warm, "warm", time.Minute, "how long previous owners are asked")
	flag.DurationVar(&s.steady, "steady", 20*time.Second, "how long is measured before")
	flag.DurationVar(&s.after, "after", 20*time.Second, "how long is measured after")
	flag.DurationVar(&s.window, "window", time.Second, "one window")
	flag.Float64Var(&s.aim, "aim", 1.3, "the run fails if the highest window with warming is above so many times the mean before")
	flag.Uint64Var(&s.seed, "seed", 1, "of the keys that are read")
	flag.BoolVar(&s.quiet, "quiet", false, "with -drain: nobody reads while the leaf hands over, so that nothing is brought because it was asked for")
	var leaves ints
	flag.Var(&leaves, "drain", "measure instead what is left of a leaf's items when it drains, of so many leaves: 2,3,4")
	flag.Parse()
	s.memory = int64(*memory) << 20
	measure := func() error { return run(&s, os.Stdout) }
	if len(leaves) > 0 {
		measure = func() error { return runDrains(&s, os.Stdout, leaves) }
	}
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, "benchwarm:", err)
		os.Exit(1)
	}
}

// ints is a flag of numbers above 1, separated by commas.
type ints []int

// String implements flag.Value.
func (l *ints) String() string { return strings.Trim(fmt.Sprint(*l), "[]") }

// Set implements flag.Value.
func (l *ints) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 2 {
			return fmt.Errorf("%q: want numbers above 1, separated by commas", text)
		}
		*l = append(*l, n)
	}
	return nil
}

func run(s *settings, w io.Writer) error {
	fmt.Fprintf(w, "%d keys, Zipf %v, values of %d bytes, 3 -> 4 leaves of %d MiB, %d clients; windows of %v\n\n",
		s.keys, s.zipf, s.value, s.memory>>20, s.clients, s.window)
	fmt.Fprintf(w, "%-16s %10s %14s %14s %14s %8s %16s\n", "", "req/s", "misses before", "highest before", "highest after", "times", "misses it costs")
	var with result
	for _, warm := range []time.Duration{0, s.warm} {
		res, err := measure(s, warm)
		if err != nil {
			return err
		}
		name := "without warming"
		if warm > 0 {
			name, with = "with warming", res
		}
		fmt.Fprintf(w, "%-16s %10.0f %13.2f%% %13.2f%% %13.2f%% %8.2f %16.0f\n",
			name, res.rate, 100*res.mean, 100*res.highBefore, 100*res.highAfter, res.highAfter/res.mean, res.cost)
		fmt.Fprintf(w, "  after, %%: %s\n  %s\n", strings.Join(res.after, " "), res.leaf)
	}
	if times := with.highAfter / with.mean; times > s.aim {
		return fmt.Errorf("the miss rate rose to %.2f times what it was: want at most %v", times, s.aim)
	}
	return nil
}

// result is one turn.
type result struct {
	rate, mean, highBefore, highAfter float64
	cost                              float64 // misses after the change above what the mean before would have given
	after                             []string
	leaf                              string
}

// bench is one turn under way.
type bench struct {
	s           *settings
	reads, miss atomic.Int64
	wrong       atomic.Pointer[error]

	watched                   []bool // by key: reads of it are counted apart; nil: of none
	watchedReads, watchedMiss atomic.Int64

	stop chan struct{}
	over sync.Once
	done sync.WaitGroup
}

func measure(s *settings, warmFor time.Duration) (res result, err error) {
	w := warm.NewWorld(warm.Options{Memory: s.memory, Warm: warmFor})
	defer w.Close()
	p, err := w.NewProxy()
	if err != nil {
		return res, err
	}
	for i := 1; i <= 4; i++ {
		if err := w.Start(fmt.Sprint("leaf-", i)); err != nil {
			return res, err
		}
	}
	time.Sleep(2 * time.Millisecond) // epochs are times
	w.Decide(nil, "leaf-1", "leaf-2", "leaf-3")
	if err := w.Tell(); err != nil {
		return res, err
	}
	b := &bench{s: s, stop: make(chan struct{})}
	if err := b.prefill(p, 3); err != nil {
		return res, err
	}
	for i := range s.clients {
		c := p.Client(i)
		r := rand.New(rand.NewPCG(s.seed, uint64(i)))
		b.done.Go(func() { b.client(c, r) })
	}
	b.windows(s.steady / 2) // until it is steady
	reads := b.reads.Load()
	before := b.windows(s.steady)
	res.rate = float64(b.reads.Load()-reads) / s.steady.Seconds()
	res.mean, res.highBefore = mean(before), highest(before)
	reads, miss := b.reads.Load(), b.miss.Load()
	w.Decide(nil, "leaf-1", "leaf-2", "leaf-3", "leaf-4")
	if err := w.Tell(); err != nil {
		return res, err
	}
	after := b.windows(s.after)
	res.highAfter = highest(after)
	res.cost = float64(b.miss.Load()-miss) - res.mean*float64(b.reads.Load()-reads)
	for _, x := range after {
		res.after = append(res.after, fmt.Sprintf("%.1f", 100*x))
	}
	st := w.Leaf("leaf-4").Stats()
	res.leaf = fmt.Sprintf("leaf-4: %d requests had to wait for a previous owner, %d fills, %d items pulled", st.Elsewhere, st.Filled, st.Pulled)
	close(b.stop)
	b.done.Wait()
	if e := b.wrong.Load(); e != nil {
		return res, *e
	}
	return res, nil
}

// prefill stores as many keys as so many leaves hold, the most read last.
func (b *bench) prefill(p *warm.Proxy, leaves int) error {
	n := min(b.s.keys, uint64(leaves)*uint64(b.s.memory)/uint64(b.s.value+72))
	var done sync.WaitGroup
	var failed atomic.Pointer[error]
	for i := range b.s.clients {
		c := p.Client(i)
		done.Go(func() {
			for k := int64(n) - 1 - int64(i); k >= 0; k -= int64(b.s.clients) {
				if _, err := c.Do(b.set(uint64(k))); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	done.Wait()
	if e := failed.Load(); e != nil {
		return *e
	}
	return nil
}

func (b *bench) value(k uint64) string {
	v := fmt.Sprintf("value of %d ", k)
	return v + strings.Repeat("v", max(0, b.s.value-len(v)))
}

func (b *bench) set(k uint64) string {
	v := b.value(k)
	return fmt.Sprintf("set key-%d 0 0 %d\r\n%s\r\n", k, len(v), v)
}

// client reads until it is stopped.
func (b *bench) client(c *warm.Client, r *rand.Rand) {
	z := rand.NewZipf(r, b.s.zipf, 1, b.s.keys-1)
	for {
		select {
		case <-b.stop:
			return
		default:
		}
		k := z.Uint64()
		answer, err := c.Do(fmt.Sprintf("get key-%d\r\n", k))
		missed := err == nil && answer == "END\r\n"
		if missed {
			b.miss.Add(1)
			_, err = c.Do(b.set(k))
		} else if err == nil && !strings.Contains(answer, b.value(k)) {
			err = fmt.Errorf("key-%d: wrong answer %.100q", k, answer)
		}
		b.reads.Add(1)
		if b.watched != nil && b.watched[k] {
			b.watchedReads.Add(1)
			if missed {
				b.watchedMiss.Add(1)
			}
		}
		if err != nil {
			b.wrong.CompareAndSwap(nil, &err)
			return
		}
	}
}

// windows gives the miss rate of each window of d.
func (b *bench) windows(d time.Duration) (rates []float64) {
	t := time.NewTicker(b.s.window)
	defer t.Stop()
	reads, miss := b.reads.Load(), b.miss.Load()
	for range max(1, int(d/b.s.window)) {
		<-t.C
		r, m := b.reads.Load(), b.miss.Load()
		rates = append(rates, float64(m-miss)/float64(max(1, r-reads)))
		reads, miss = r, m
	}
	return rates
}

func mean(list []float64) (m float64) {
	for _, x := range list {
		m += x / float64(len(list))
	}
	return m
}

func highest(list []float64) (m float64) {
	for _, x := range list {
		m = max(m, x)
	}
	return m
}

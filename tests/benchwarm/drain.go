// Draining: what of a leaf's items the others have when it has handed over and gone.

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/warm"
)

// handOver is how long a leaf may take: --drain with etcd, less what it keeps for itself.
const handOver = 23 * time.Second

// drained is what became of one leaf of several that were full.
type drained struct {
	held, kept   int64   // its items before, and those of its keys that can be read after
	hits, stayed float64 // of what is read of its keys by Zipf: found before, found after
	took         time.Duration
	left         int // heirs that had not read all
}

// runDrains has a leaf of each number of leaves drain.
func runDrains(s *settings, w io.Writer, leaves []int) error {
	fmt.Fprintf(w, "%d keys, Zipf %v, values of %d bytes, full leaves of %d MiB, %d clients\n\n", s.keys, s.zipf, s.value, s.memory>>20, s.clients)
	fmt.Fprintf(w, "%-8s %10s %10s %8s %12s %12s %8s %8s %6s\n", "leaves", "held", "kept", "share", "hits before", "hits after", "share", "took", "left")
	for _, n := range leaves {
		d, err := drain(s, n)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%d -> %d %12d %10d %7.1f%% %11.1f%% %11.1f%% %7.1f%% %8v %6d\n", n, n-1, d.held, d.kept, 100*float64(d.kept)/float64(max(1, d.held)),
			100*d.hits, 100*d.stayed, 100*d.stayed/d.hits, d.took.Round(10*time.Millisecond), d.left)
	}
	return nil
}

func drain(s *settings, n int) (d drained, err error) {
	w := warm.NewWorld(warm.Options{Memory: s.memory, Warm: s.warm})
	defer w.Close()
	p, err := w.NewProxy()
	if err != nil {
		return d, err
	}
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("leaf-", i+1))
		if err := w.Start(names[i]); err != nil {
			return d, err
		}
	}
	time.Sleep(2 * time.Millisecond) // epochs are times
	w.Decide(nil, names...)
	if err := w.Tell(); err != nil {
		return d, err
	}
	b := &bench{s: s, stop: make(chan struct{})}
	goes := names[n-1]
	b.watch(p, goes)
	if err := b.prefill(p, n); err != nil {
		return d, err
	}
	for i := range s.clients {
		c, r := p.Client(i), rand.New(rand.NewPCG(s.seed, uint64(i)))
		b.done.Go(func() { b.client(c, r) })
	}
	b.windows(s.steady)
	reads, miss := b.watchedReads.Load(), b.watchedMiss.Load()
	b.windows(s.steady)
	d.hits = 1 - float64(b.watchedMiss.Load()-miss)/float64(max(1, b.watchedReads.Load()-reads))
	if s.quiet {
		b.end()
	}
	d.held = w.Leaf(goes).Local().Store.Stats().Items
	began := time.Now()
	w.Decide(nil, names[:n-1]...)
	if err := w.Tell(); err != nil {
		return d, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), handOver)
	defer cancel()
	h := w.Leaf(goes).AwaitHandOver(ctx)
	d.took, d.left = time.Since(began), len(h.Left)
	b.end()
	w.Kill(goes)
	if e := b.wrong.Load(); e != nil {
		return d, *e
	}
	d.kept, d.stayed, err = b.survey(p)
	return d, err
}

// end stops the clients. It may be called again.
func (b *bench) end() {
	b.over.Do(func() { close(b.stop) })
	b.done.Wait()
}

// watch has reads of the keys counted that a leaf owns.
func (b *bench) watch(p *warm.Proxy, name string) {
	b.watched = make([]bool, b.s.keys)
	members := p.Pool.Members()
	for k := range b.watched {
		i, _ := p.Pool.Pick(fmt.Appendf(nil, "key-%d", k))
		b.watched[k] = members[i].Name == name
	}
}

// survey reads every key that is watched, once, and gives how many there are and what part of the reads by Zipf they are.
func (b *bench) survey(p *warm.Proxy) (kept int64, share float64, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	var failed atomic.Pointer[error]
	var have, sum float64
	for i := range b.s.clients {
		c := p.Client(i)
		all.Go(func() {
			n, mine, total := int64(0), 0.0, 0.0
			for k := i; k < len(b.watched); k += b.s.clients {
				if !b.watched[k] {
					continue
				}
				answer, err := c.Do(fmt.Sprintf("mg key-%d k\r\n", k))
				if err != nil {
					failed.Store(&err)
					return
				}
				weight := math.Pow(float64(k+1), -b.s.zipf)
				if total += weight; strings.HasPrefix(answer, "HD") {
					n++
					mine += weight
				}
			}
			mu.Lock()
			defer mu.Unlock()
			kept, have, sum = kept+n, have+mine, sum+total
		})
	}
	all.Wait()
	if e := failed.Load(); e != nil {
		return 0, 0, *e
	}
	return kept, have / sum, nil
}

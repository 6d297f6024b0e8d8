// What is watched beside the answers: memory and goroutines.

package main

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// admin asks admin addresses.
var admin = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// seen is what came by. Its methods may be called concurrently.
type seen struct {
	mu      sync.Mutex
	begin   time.Time
	base    [3]float64 // goroutines before the load: proxy, leaf-1, leaf-2
	rss     [3][]int64 // bytes, once a second while it lived
	kills   int
	hangs   int
	reloads int
}

func (w *world) members() [3]*member { return [3]*member{w.proxy, w.leaves[0], w.leaves[1]} }

func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(w.s.out, "%6.1fs  %s\n", time.Since(w.begin).Seconds(), fmt.Sprintf(format, args...))
}

func (w *world) count(f func(*seen)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.seen)
}

// metric reads one gauge or counter without regard to its labels; NaN if there is none.
func (m *member) metric(name string) float64 {
	res, err := admin.Get("http://" + m.admin + "/metrics")
	if err != nil {
		return math.NaN()
	}
	defer res.Body.Close()
	for s := bufio.NewScanner(res.Body); s.Scan(); {
		rest, ok := strings.CutPrefix(s.Text(), name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err == nil {
			return v
		}
	}
	return math.NaN()
}

// measureBase notes what the processes hold when nothing has been asked of them, with both leaves known to the proxy.
func (w *world) measureBase(ctx context.Context) error {
	w.begin = time.Now()
	if err := w.whole(ctx); err != nil {
		return err
	}
	for i, m := range w.members() {
		w.base[i] = m.metric("go_goroutines")
	}
	return nil
}

// whole waits until the proxy reaches both leaves.
func (w *world) whole(ctx context.Context) error {
	return until(ctx, "the proxy reaches both leaves", func() bool {
		res, err := admin.Get("http://" + w.proxy.admin + "/readyz?pools=1")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// watch notes resident memory once a second, and says it ten times in all.
func (w *world) watch(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	told := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-second.C:
		}
		for i, m := range w.members() {
			if rss, err := m.life.Load().RSS(); err == nil { // it may be dead just now
				w.mu.Lock()
				w.rss[i] = append(w.rss[i], rss)
				w.mu.Unlock()
			}
		}
		if time.Since(told) > w.s.duration/10 {
			told = time.Now()
			w.tell()
		}
	}
}

// tell says how it goes.
func (w *world) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(w.s.out, "%6.1fs  %d kills, %d hangs, %d reloads; MiB resident now (most):", time.Since(w.begin).Seconds(), w.kills, w.hangs, w.reloads)
	for i, m := range w.members() {
		if n := len(w.rss[i]); n > 0 {
			fmt.Fprintf(w.s.out, "  %s %d (%d)", m.name, w.rss[i][n-1]>>20, peak(w.rss[i])>>20)
		}
	}
	fmt.Fprintln(w.s.out)
}

func peak(all []int64) (most int64) {
	for _, v := range all {
		most = max(most, v)
	}
	return most
}

// Slack of what may remain: a collection that has not run, a connection to admin that is being closed.
const (
	memorySlack    = 24 << 20
	goroutineSlack = 3
)

// judge looks at what is left when the load and the faults have ended.
func (w *world) judge(ctx context.Context) error {
	for _, m := range w.members() {
		if err := m.alive(); err != nil {
			return err
		}
	}
	if err := w.whole(ctx); err != nil {
		return err
	}
	for i, m := range w.members() {
		if err := until(ctx, m.name+" has as many goroutines as before", func() bool {
			return m.metric("go_goroutines") <= w.base[i]+goroutineSlack
		}); err != nil {
			return fmt.Errorf("%w: %.0f, before %.0f", err, m.metric("go_goroutines"), w.base[i])
		}
	}
	limit := int64(w.s.memory) << 20
	for i := range w.leaves {
		if most := peak(w.rss[1+i]); most > limit*3/2+64<<20 {
			return fmt.Errorf("%s took %d MiB of memory with a limit of %d", w.leaves[i].name, most>>20, w.s.memory)
		}
	}
	if n := len(w.rss[0]); n >= 40 { // the first tenth of the time fills pools and buffers
		early, late := peak(w.rss[0][n/10:n/2]), peak(w.rss[0][n/2:])
		if late > early*5/4+memorySlack {
			return fmt.Errorf("the proxy's memory grows: %d MiB at most in the first half, %d MiB in the second", early>>20, late>>20)
		}
	}
	return nil
}

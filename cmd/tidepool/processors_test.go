// GOMAXPROCS follows the load.

package main

import (
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSizer(t *testing.T) {
	type look struct {
		n    int     // processors
		busy float64 // of them
		want int
		wait float64 // for others
		done uint64  // requests
	}
	many := func(times int, l look) []look {
		var ls []look
		for range times {
			ls = append(ls, l)
		}
		return ls
	}
	looks := func(parts ...[]look) (ls []look) {
		for _, p := range parts {
			ls = append(ls, p...)
		}
		return ls
	}
	first := func(n int) []look { return []look{{n: n, want: n}} } // a number that is new is not judged
	one := looks(many(19, look{n: 2, want: 2}), []look{{n: 2, want: 1}})
	full := look{n: 1, busy: 1, want: 1, done: 100}
	up := looks(first(2), one, first(1), []look{full, {1, 1, all, 0, 100}}, first(2))
	vain := looks(up, many(5, look{2, 1.1, 2, 0, 104}), []look{{2, 1.1, 1, 0, 104}}, first(1))
	stays := looks(up, many(25, look{2, 1.1, 2, 0, 106}))
	for name, ls := range map[string][]look{
		"idle: one, after a second":          looks(first(8), many(19, look{8, 0, 8, 0, 0}), []look{{8, 0, 1, 0, 0}}),
		"as many as the mean asks for":       looks(first(8), many(19, look{8, 2.2, 8, 0, 0}), []look{{8, 2.2, 3, 0, 0}}),
		"no fewer than are in use":           looks(first(2), many(45, look{2, 1, 2, 0, 0})),
		"never more for the mean":            looks(first(4), many(45, look{4, 3.7, 4, 0, 0})),
		"full once is chance":                looks(first(1), many(30, look{1, 0.9, 1, 0, 0}), []look{{1, 1, 1, 0, 0}, {1, 0.5, 1, 0, 0}, {1, 1, 1, 0, 0}, {1, 0.5, 1, 0, 0}}),
		"full twice: all":                    looks(first(1), []look{{1, 0.96, 1, 0, 0}, {1, 1, all, 0, 0}}),
		"another's change begins a new mean": looks(first(4), many(19, look{4, 0, 4, 0, 0}), first(8), many(19, look{8, 0, 8, 0, 0}), []look{{8, 0, 1, 0, 0}}),
		"half of what it asks for":           looks(first(2), one, first(1), many(60, look{1, 0.6, 1, 0.4, 0})),
		"less than half": looks(first(2), one, first(1), many(19, look{1, 0.3, 1, 0.7, 0}), []look{{1, 0.3, all, 0.7, 0}},
			first(2), many(20*sizeHold, look{2, 0.7, 2, 1.3, 0}), many(19, look{2, 0.7, 2, 1.3, 0}), []look{{2, 0.7, 1, 1.3, 0}}),
		"with all there are it is not known":    looks(first(2), many(19, look{2, 0.7, 2, 1.3, 0}), []look{{2, 0.7, 1, 1.3, 0}}),
		"it asks for little":                    looks(first(2), one, first(1), many(60, look{1, 0.1, 1, 0.3, 0})),
		"a load that comes and goes is smooth":  looks(first(2), many(9, look{2, 1.8, 2, 0, 0}), many(9, look{2, 0.2, 2, 0, 0}), many(2, look{2, 1, 2, 0, 0})),
		"more that serve no more are given up":  vain,
		"and not tried again for a while":       looks(vain, many(41, full), []look{{1, 1, all, 0, 100}}),
		"and then for a longer one":             looks(vain, many(41, full), []look{{1, 1, all, 0, 100}}, first(2), many(5, look{2, 1, 2, 0, 90}), []look{{2, 1, 1, 0, 90}}, first(1), many(81, full), []look{{1, 1, all, 0, 100}}),
		"more that serve more stay":             stays,
		"until fewer could do it":               looks(stays, many(34, look{2, 1.1, 2, 0, 84}), []look{{2, 1.1, 1, 0, 84}}),
		"who uses more may have other work":     looks(up, many(25, look{2, 1.25, 2, 0, 90})),
		"what fewer would do is found out once": looks(first(4), many(19, look{4, 3.6, 4, 0, 100}), []look{{4, 3.6, 3, 0, 100}}, first(3), []look{{3, 3, 3, 0, 90}, {3, 3, all, 0, 90}}, first(4), many(60, look{4, 3.6, 4, 0, 100})),
	} {
		var waited time.Duration
		var served uint64
		s := sizer{waited: func() time.Duration { return waited }, served: func() uint64 { return served }}
		for i, l := range ls {
			waited += time.Duration(l.wait * float64(sizeEvery))
			served += l.done
			if got := s.next(l.n, time.Duration(l.busy*float64(sizeEvery)), sizeEvery); got != l.want {
				t.Errorf("%s: look %d: %d processors, want %d", name, i, got, l.want)
				break
			}
		}
	}
}

// sized runs sizeProcessors over a process that uses and waits for some share of the time, which goes by as it does.
func sized(t *testing.T, busy, waits float64) (stop func()) {
	begin := time.Now()
	share := func(of float64) func() (time.Duration, bool) {
		return func() (time.Duration, bool) { return time.Duration(of * float64(time.Since(begin))), true }
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		sizeProcessors(done, share(busy), share(waits), nil)
	}()
	return sync.OnceFunc(func() {
		close(done)
		<-ended
	})
}

func TestSizeProcessors(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	runtime.SetDefaultGOMAXPROCS()
	most := runtime.GOMAXPROCS(0)
	become := func(n int) {
		t.Helper()
		until := time.Now().Add(patience)
		for got := runtime.GOMAXPROCS(0); got != n; got = runtime.GOMAXPROCS(0) {
			if time.Now().After(until) {
				t.Fatalf("%d processors, want %d", got, n)
			}
			runtime.Gosched()
		}
	}
	for _, c := range []struct {
		busy, waits float64
		want        int
	}{{0, 0, 1}, {100, 0, most}, {0.8, 0.1, 1}, {0.3, 0.7, 1}} {
		if c.want == most {
			runtime.GOMAXPROCS(1)
		}
		stop := sized(t, c.busy, c.waits)
		become(c.want)
		stop()
		become(most)
	}
}

// What the system tells of a thread that works is what sizeProcessors goes by.
func TestProcessorTime(t *testing.T) {
	before, ok := processorTime()
	if !ok {
		t.Skip("not told here")
	}
	for now := before; now-before < 20*time.Millisecond; now, _ = processorTime() {
	}
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		t.Skip("no schedstat here")
	}
	if w, ok := processorWait(); !ok || w <= 0 {
		t.Errorf("waited for %v, %v: a process of a second has waited at least once", w, ok)
	}
}

func TestProcessorsOfAProxy(t *testing.T) {
	for env, want := range map[string]string{"": "1", "3": "3"} {
		t.Setenv("GOMAXPROCS", env)
		_, _, admin := startProxy(t, "function mcp_config_pools() end\nfunction mcp_config_routes() end\n")
		until := time.Now().Add(patience + time.Minute) // one that others starve takes all processors for half a minute
		for {
			m := get(t, "http://"+admin+"/metrics")
			if strings.Contains(m, "\ngo_sched_gomaxprocs_threads "+want+"\n") {
				break
			}
			if time.Now().After(until) {
				t.Fatalf("GOMAXPROCS=%s: not %s processors:\n%s", env, want, m)
			}
			time.Sleep(100 * time.Millisecond) // to ask without a pause is work for more than one
		}
	}
}

func TestProcessorsOfTheEnvironment(t *testing.T) {
	t.Setenv("GOMAXPROCS", "3")
	if ownsProcessors() {
		t.Error("GOMAXPROCS=3 is changed")
	}
}

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
	first := func(n int) []look { return []look{{n, 0, n, 0}} } // a number that is new is not judged
	one := looks(many(19, look{2, 0, 2, 0}), []look{{2, 0, 1, 0}})
	for name, ls := range map[string][]look{
		"idle: one, after a second":          looks(first(8), many(19, look{8, 0, 8, 0}), []look{{8, 0, 1, 0}}),
		"as many as the mean asks for":       looks(first(8), many(19, look{8, 2.2, 8, 0}), []look{{8, 2.2, 3, 0}}),
		"no fewer than are in use":           looks(first(2), many(45, look{2, 1, 2, 0})),
		"never more for the mean":            looks(first(4), many(45, look{4, 3.7, 4, 0})),
		"full once is chance":                looks(first(1), many(30, look{1, 0.9, 1, 0}), []look{{1, 1, 1, 0}, {1, 0.5, 1, 0}, {1, 1, 1, 0}, {1, 0.5, 1, 0}}),
		"full twice: all":                    looks(first(1), []look{{1, 0.96, 1, 0}, {1, 1, all, 0}}),
		"another's change begins a new mean": looks(first(4), many(19, look{4, 0, 4, 0}), first(8), many(19, look{8, 0, 8, 0}), []look{{8, 0, 1, 0}}),
		"half of what it asks for":           looks(first(2), one, first(1), many(60, look{1, 0.6, 1, 0.4})),
		"less than half": looks(first(2), one, first(1), many(19, look{1, 0.3, 1, 0.7}), []look{{1, 0.3, all, 0.7}},
			first(2), many(20*sizeHold, look{2, 0.7, 2, 1.3}), many(19, look{2, 0.7, 2, 1.3}), []look{{2, 0.7, 1, 1.3}}),
		"with all there are it is not known":   looks(first(2), many(19, look{2, 0.7, 2, 1.3}), []look{{2, 0.7, 1, 1.3}}),
		"it asks for little":                   looks(first(2), one, first(1), many(60, look{1, 0.1, 1, 0.3})),
		"a load that comes and goes is smooth": looks(first(2), many(9, look{2, 1.8, 2, 0}), many(9, look{2, 0.2, 2, 0}), many(2, look{2, 1, 2, 0})),
	} {
		var waited time.Duration
		s := sizer{waited: func() time.Duration { return waited }}
		for i, l := range ls {
			waited += time.Duration(l.wait * float64(sizeEvery))
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
		sizeProcessors(done, share(busy), share(waits))
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

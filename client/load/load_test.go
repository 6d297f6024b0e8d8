package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestValuesProveThemselves(t *testing.T) {
	key := []byte("key:7")
	hundred := Fixed(100)
	sizes := &hundred
	value := func(key string, version uint64) []byte {
		return appendValue(nil, []byte(key), version, seed([]byte(key), version), 100)
	}
	good := value("key:7", 0x1f)
	if v, ok := checkValue(good, key, sizes); !ok || v != 0x1f {
		t.Fatalf("%q: %d %v", good, v, ok)
	}
	for name, bad := range map[string][]byte{
		"foreign":  value("key:8", 0x1f),
		"longer":   value("key:77", 0x1f),
		"cut":      good[:99],
		"changed":  append(bytes.Clone(good[:99]), '!'),
		"mixed":    append(bytes.Clone(good[:50]), value("key:7", 0x2f)[50:]...),
		"empty":    nil,
		"only key": key,
	} {
		if _, ok := checkValue(bad, key, sizes); ok {
			t.Errorf("%s is taken for right: %q", name, bad)
		}
	}
}

func TestZipfIsSkewedAsAsked(t *testing.T) {
	const n, draws = 1000, 200_000
	for _, s := range []float64{0.9, 1, 1.1} {
		z, r := NewZipf(n, s), rand.New(rand.NewPCG(1, 2))
		counts := make([]int, n)
		for range draws {
			counts[z.Draw(r)]++
		}
		var sum float64
		for k := range n {
			sum += z.weight(float64(k + 1))
		}
		for _, k := range []int{0, 1, 9, 99} {
			want := draws * z.weight(float64(k+1)) / sum
			if got := float64(counts[k]); got < want*0.8-30 || got > want*1.2+30 {
				t.Errorf("s=%v: rank %d drawn %v times, want about %.0f", s, k, got, want)
			}
		}
	}
}

// serve is a small memcached whose answers lie may change.
func serve(t *testing.T, lie func(n int, key, value string) string) string {
	return serveSets(t, lie, func(int) (bool, bool) { return true, true })
}

// serveSets is serve where set says whether the nth set is stored, and whether it is answered so.
func serveSets(t *testing.T, lie func(n int, key, value string) string, set func(n int) (stored, said bool)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	items := map[string]string{}
	gets, sets := 0, 0
	answer := func(c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			f := strings.Fields(line)
			mu.Lock()
			switch f[0] {
			case "set", "ms":
				value, _ := r.ReadString('\n')
				sets++
				stored, said := set(sets)
				if stored {
					items[f[1]] = strings.TrimSpace(value)
				}
				if said {
					fmt.Fprint(c, map[string]string{"set": "STORED\r\n", "ms": "HD\r\n"}[f[0]])
				} else {
					fmt.Fprint(c, "SERVER_ERROR busy\r\n")
				}
			default:
				for _, key := range f[1:] {
					if key == "v" {
						continue
					}
					gets++
					v := lie(gets, key, items[key])
					if f[0] == "mg" {
						fmt.Fprintf(c, "VA %d\r\n%s\r\n", len(v), v)
					} else if v != "" {
						fmt.Fprintf(c, "VALUE %s 0 %d\r\n%s\r\n", key, len(v), v)
					}
				}
				if f[0] == "get" {
					fmt.Fprint(c, "END\r\n")
				}
			}
			mu.Unlock()
		}
	}
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { answer(c) })
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

func honest(_ int, _, value string) string { return value }

func TestHonestServerIsRight(t *testing.T) {
	for name, o := range map[string]Options{
		"closed":                              {Depth: 4},
		"meta":                                {Depth: 4, Meta: true},
		"multiget":                            {Depth: 2, Multiget: 5},
		"zipf":                                {Depth: 2, Zipf: 1.1},
		"sizes":                               {Depth: 4, Sizes: mustSizes("60-3000:9,40000")},
		"deep":                                {Depth: 200, Sizes: mustSizes("20000")},
		"open loop":                           {Rate: 2000},
		"open loop of multigets":              {Rate: 2000, Multiget: 5},
		"open loop above what the server can": {Rate: 2e5},
	} {
		t.Run(name, func(t *testing.T) {
			o.Addr, o.Conns, o.Keys, o.Duration = serve(t, honest), 3, 100, 100*time.Millisecond
			rep, err := Run(context.Background(), o)
			if err != nil || rep.Wrong+rep.Errors+rep.Misses != 0 || rep.Requests < 10 || rep.Hits != rep.Requests {
				t.Errorf("%v: %+v", err, rep)
			}
		})
	}
}

// The 50th get is answered wrong, once: it must show.
func TestOneWrongAnswerIsCaught(t *testing.T) {
	old := map[string]string{}
	for name, lie := range map[string]func(key, value string) string{
		"foreign value": func(_, v string) string { return strings.Replace(v, "key:", "key:9", 1) },
		"flipped byte":  func(_, v string) string { return v[:len(v)-1] + "!" },
		"another size":  func(_, v string) string { return v + "a" },
		"stale value":   func(k, _ string) string { return old[k] },
	} {
		t.Run(name, func(t *testing.T) {
			clear(old)
			addr := serve(t, func(n int, key, value string) string {
				if old[key] == "" {
					old[key] = value
				}
				if n >= 50 && (name != "stale value" && n == 50 || name == "stale value" && value != old[key]) {
					return lie(key, value)
				}
				return value
			})
			rep, err := Run(context.Background(), Options{Addr: addr, Conns: 1, Keys: 5, Depth: 4, Sets: 0.5, Duration: 100 * time.Millisecond})
			if err == nil && rep.Wrong == 0 {
				t.Errorf("nothing is wrong: %+v", rep)
			}
		})
	}
}

// A set that failed may have taken effect or not. One that did not fail must have.
func TestSetsThatFail(t *testing.T) {
	for _, d := range []struct {
		name  string
		set   func(n int) (stored, said bool)
		wrong bool
	}{
		{"not stored", func(n int) (bool, bool) { return n <= 5 || n%3 > 0, n <= 5 || n%3 > 0 }, false},
		{"stored", func(n int) (bool, bool) { return true, n <= 5 || n%3 > 0 }, false},
		{"said to be stored", func(n int) (bool, bool) { return n <= 5 || n%3 > 0, n <= 5 || n%3 == 0 }, true},
		{"lost once", func(n int) (bool, bool) { return n != 40, n <= 5 || n%3 == 1 }, true},
	} {
		t.Run(d.name, func(t *testing.T) {
			o := Options{Addr: serveSets(t, honest, d.set), Conns: 1, Keys: 5, Depth: 4, Sets: 0.3, Duration: 100 * time.Millisecond}
			rep, err := Run(context.Background(), o)
			if err != nil || rep.Errors == 0 || (rep.Wrong > 0) != d.wrong {
				t.Errorf("%v: %+v", err, rep)
			}
		})
	}
}

func TestMissesAndErrorsAreToldApart(t *testing.T) {
	addr := serve(t, func(n int, _, value string) string {
		if n%2 == 0 {
			return ""
		}
		return value
	})
	rep, err := Run(context.Background(), Options{Addr: addr, Conns: 1, Keys: 5, Sets: -1, Duration: 50 * time.Millisecond})
	if err != nil || rep.Misses == 0 || rep.Hits == 0 || rep.Wrong != 0 {
		t.Errorf("%v: %+v", err, rep)
	}
}

func TestBadOptions(t *testing.T) {
	for _, d := range []struct {
		o    Options
		want string
	}{
		{Options{Addr: "192.0.2.1:11211"}, "is not on this machine"},
		{Options{Addr: "localhost"}, `"localhost" is no address, want host:port`},
		{Options{Addr: "127.0.0.1:1", Sets: 2}, "share of sets 2"},
		{Options{Addr: "127.0.0.1:1", Depth: -1}, "depth"},
		{Options{Addr: "127.0.0.1:1", Sizes: mustSizes("10")}, "cannot be verified"},
		{Options{Addr: "127.0.0.1:1", Conns: 10, Keys: 5}, "a key for each connection"},
		{Options{Addr: "127.0.0.1:1", Prefix: "a b"}, "prefix"},
		{Options{Addr: "127.0.0.1:1", Meta: true, Multiget: 2}, "multiget"},
		{Options{Addr: "127.0.0.1:1"}, "cannot connect"},
	} {
		if _, err := Run(context.Background(), d.o); err == nil || !strings.Contains(err.Error(), d.want) {
			t.Errorf("%+v: %v, want %q", d.o, err, d.want)
		}
	}
}

func TestRunStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, Options{Addr: serve(t, honest), Conns: 2, Keys: 10, Duration: time.Hour}); err == nil {
		t.Error("a run that was stopped is no error")
	}
}

// mute is a server that answers the first n lines that are sent to it, and then nothing.
func mute(t *testing.T, n int) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for i := 0; ; i++ {
					if _, err := r.ReadString('\n'); err != nil {
						return
					}
					if i < n {
						fmt.Fprint(c, "END\r\n")
					}
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

// A server that has fallen silent is found out, in both loops; one that is asked nothing for longer than that may be silent.
func TestSilence(t *testing.T) {
	for _, o := range []Options{{Depth: 3}, {Rate: 1000}} {
		o.Addr, o.NoFill, o.Conns, o.Sets, o.Timeout, o.Duration = mute(t, 5), true, 2, -1, 50*time.Millisecond, time.Hour
		if rep, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "no answer in 50ms") {
			t.Errorf("rate %v: %v: %+v", o.Rate, err, rep)
		}
	}
	o := Options{Addr: serve(t, honest), Rate: 10, Conns: 1, Keys: 5, Timeout: 30 * time.Millisecond, Duration: 350 * time.Millisecond}
	if rep, err := Run(context.Background(), o); err != nil || rep.Requests != 4 {
		t.Errorf("%v: %+v", err, rep)
	}
}

// A write that nobody reads blocks: that, too, is silence.
func TestNobodyReads(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, o := range []Options{{Depth: 3}, {Rate: 1000}} {
		o.Addr, o.NoFill, o.Conns, o.Sets, o.Timeout, o.Duration = ln.Addr().String(), true, 1, 1, 50*time.Millisecond, time.Hour
		o.Sizes = mustSizes("10000000")
		if _, err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "no answer in 50ms") {
			t.Errorf("rate %v: %v", o.Rate, err)
		}
	}
}

// In the open loop whoever waits for a server that stalls is counted from when it was due.
func TestStallCountsForAll(t *testing.T) {
	const stall = 200 * time.Millisecond
	addr := serve(t, func(n int, _, value string) string {
		if n == 100 {
			time.Sleep(stall) // the server's, under its lock
		}
		return value
	})
	rep, err := Run(context.Background(), Options{Addr: addr, Rate: 1000, Conns: 4, Keys: 10, Sets: -1, Duration: 400 * time.Millisecond})
	if err != nil || rep.Requests != 400 {
		t.Fatalf("%v: %+v", err, rep)
	}
	// 200 requests were due in the stall, of which half waited for more than half of it.
	if half := stall.Seconds() / 2 * 1e6; rep.P90 < half || rep.Max < 2*half {
		t.Errorf("p90 %v, max %v: want above %v and %v", rep.P90, rep.Max, half, 2*half)
	}
}

// As many requests as Depth says are due on a connection at once, and come in one piece.
func TestDeepOpenLoop(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	pieces := make(chan []int, 1)
	go func() {
		var sizes []int
		c, err := ln.Accept()
		if err == nil {
			defer c.Close()
		}
		for b := make([]byte, 4096); err == nil; {
			var n int
			n, err = c.Read(b)
			lines := bytes.Count(b[:n], []byte("\n"))
			sizes = append(sizes, lines)
			_, _ = c.Write(bytes.Repeat([]byte("END\r\n"), lines))
		}
		pieces <- sizes
	}()
	rep, err := Run(context.Background(), Options{Addr: ln.Addr().String(), Rate: 400, Depth: 4, Conns: 1, Keys: 10, Sets: -1, NoFill: true, Duration: 200 * time.Millisecond})
	if err != nil || rep.Requests != 80 {
		t.Fatalf("%v: %+v", err, rep)
	}
	if sizes := <-pieces; slices.ContainsFunc(sizes, func(n int) bool { return n%4 != 0 }) || slices.Max(sizes) == 0 {
		t.Errorf("came in pieces of %v requests", sizes)
	}
}

func TestReport(t *testing.T) {
	pid := os.Getpid()
	rep, err := Run(context.Background(), Options{Addr: serve(t, honest), Name: "n", Conns: 2, Keys: 10, Duration: 100 * time.Millisecond, PIDs: []int{pid}})
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal([]byte(rep.JSON()), &back); err != nil || !reflect.DeepEqual(back, rep) {
		t.Errorf("%v: %+v becomes %+v", err, rep, back)
	}
	last := rep.Percentiles[len(rep.Percentiles)-1]
	if rep.P50 == 0 || rep.P99 < rep.P50 || last.Percent != 100 || last.US != rep.Max || rep.Mean == 0 {
		t.Errorf("%+v", rep)
	}
	if runtime.GOOS != "linux" {
		return
	}
	if rep.CPU == 0 || rep.OwnCPU == 0 || rep.CPU > rep.OwnCPU*1.5 || rep.OwnShare <= 0 || rep.OwnShare > 1.01 {
		t.Errorf("CPU of itself, given and its own: %v and %v, %v of the machine", rep.CPU, rep.OwnCPU, rep.OwnShare)
	}
	for _, want := range []string{"requests/s", "latency  p50", "cpu  ", "load     this generator took"} {
		if !strings.Contains(rep.String(), want) {
			t.Errorf("%q is not in\n%s", want, rep)
		}
	}
	if _, err := Run(context.Background(), Options{Addr: serve(t, honest), PIDs: []int{1 << 30}}); err == nil || !strings.Contains(err.Error(), "CPU time of process 1073741824") {
		t.Errorf("a process that is not there: %v", err)
	}
}

// Speed, bytes per item and hit ratio. Run: go test -run - -bench . ./leaf/store

package store

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/traces"
)

// cpu is the processor time that the process has used.
func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// each runs f on 16-byte keys of a trace from all processors, and reports the processor time per call, demoter included.
func each(b *testing.B, trace string, keys int, f func(key []byte)) {
	const n = 1 << 20
	tr, err := traces.Find(trace)
	if err != nil {
		b.Fatal(err)
	}
	next := tr.Start(1, keys, n)
	var order []byte
	for range n {
		order = traces.AppendKey(order, next())
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	var start atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for i := int(start.Add(1)) * (n / 10); pb.Next(); i++ {
			f(order[i%n*16:][:16])
		}
	})
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

const benchKeys = 1_000_000

func benchStore(b *testing.B) *Store {
	s := openTest(b, Options{Memory: 256 << 20})
	for i := range uint64(benchKeys) {
		put(s, traces.AppendKey(nil, i), make([]byte, 100))
	}
	return s
}

func BenchmarkGet(b *testing.B) {
	s := benchStore(b)
	for _, trace := range []string{"uniform", "zipf0.9"} {
		b.Run(trace, func(b *testing.B) {
			each(b, trace, benchKeys, func(k []byte) {
				tx := s.Begin(k)
				if _, ok := tx.Get(); ok {
					tx.Touched()
				}
				tx.End()
			})
		})
	}
}

func BenchmarkSet(b *testing.B) {
	s := benchStore(b)
	v := make([]byte, 100)
	for _, trace := range []string{"uniform", "zipf0.9"} {
		b.Run(trace, func(b *testing.B) { each(b, trace, benchKeys, func(k []byte) { put(s, k, v) }) })
	}
	b.Run("new", func(b *testing.B) { // memory is full: every set evicts
		var n atomic.Uint64
		keys := sync.Pool{New: func() any { return new([16]byte) }}
		each(b, "uniform", benchKeys, func([]byte) {
			k := keys.Get().(*[16]byte)
			le.PutUint64(k[8:], n.Add(1))
			put(s, k[:], v)
			keys.Put(k)
		})
	})
}

// BenchmarkBytes reports what an item of 16 and 100 bytes takes of the limit when memory is full.
func BenchmarkBytes(b *testing.B) {
	for range b.N {
		s := openTest(b, Options{Memory: 64 << 20})
		for i := range uint64(benchKeys) {
			put(s, traces.AppendKey(nil, i), make([]byte, 100))
		}
		st := s.Stats()
		b.ReportMetric(float64(st.Limit)/float64(st.Items), "limit-B/item")
		b.ReportMetric(float64(st.Bytes)/float64(st.Items), "B/item")
		s.Close()
	}
}

// BenchmarkHitRatio reads through the store, and through memcached where it is installed, with the same memory: on a miss
// the key is set. Memory is for about a tenth of the keys; the second half of the trace counts.
func BenchmarkHitRatio(b *testing.B) {
	const mib, keys, total = 64, 3_400_000, 6_800_000
	run := func(b *testing.B, trace traces.Trace, batch int, f func(keys [][]byte) (hits int)) {
		for range b.N {
			next := trace.Start(1, keys, total)
			ks := make([][]byte, batch)
			hits, counted := 0, 0
			for i := 0; i < total; i += batch {
				for j := range ks {
					ks[j] = traces.AppendKey(ks[j][:0], next())
				}
				h := f(ks)
				if i >= total/2 {
					hits, counted = hits+h, counted+batch
				}
			}
			b.ReportMetric(float64(hits)/float64(counted), "hits/get")
		}
	}
	for _, trace := range traces.All[1:] {
		b.Run(trace.Name+"/store", func(b *testing.B) {
			s := openTest(b, Options{Memory: mib << 20})
			v := make([]byte, 100)
			run(b, trace, 1, func(ks [][]byte) int {
				if get(s, ks[0]) != nil {
					return 1
				}
				put(s, ks[0], v)
				return 0
			})
		})
		b.Run(trace.Name+"/memcached", func(b *testing.B) {
			ask := startMemcached(b, mib)
			run(b, trace, 64, ask)
		})
	}
}

// startMemcached gives a function that gets keys from a memcached of so much memory and sets those that it misses.
func startMemcached(b *testing.B, mib int) func(keys [][]byte) (hits int) {
	if _, err := exec.LookPath("memcached"); err != nil {
		b.Skip("no memcached to compare with")
	}
	path := filepath.Join(b.TempDir(), "s")
	cmd := exec.Command("memcached", "-u", "root", "-t", "1", "-s", path, "-m", fmt.Sprint(mib))
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var conn net.Conn
	for deadline := time.Now().Add(5 * time.Second); conn == nil; {
		c, err := net.Dial("unix", path)
		if err == nil {
			conn = c
		} else if time.Now().After(deadline) {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() { conn.Close() })
	r, w := bufio.NewReaderSize(conn, 1<<18), bufio.NewWriterSize(conn, 1<<18)
	v := bytes.Repeat([]byte("v"), 100)
	return func(keys [][]byte) (hits int) {
		w.WriteString("get")
		for _, k := range keys {
			w.WriteByte(' ')
			w.Write(k)
		}
		w.WriteString("\r\n")
		w.Flush()
		there := map[string]bool{}
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				b.Fatal(err)
			}
			if line == "END\r\n" {
				break
			}
			there[strings.Fields(line)[1]] = true
			r.Discard(len(v) + 2)
		}
		for _, k := range keys {
			if there[string(k)] {
				hits++
				continue
			}
			there[string(k)] = true
			fmt.Fprintf(w, "set %s 0 0 %d noreply\r\n%s\r\n", k, len(v), v)
		}
		return hits
	}
}

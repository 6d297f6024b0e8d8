// Per key, transactions of many goroutines happen one after the other, also while memory is full and demotion slow.

package store

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// Operations on one key, whose value is a number in decimal.
type op struct {
	kind string // get, set, add, cas, incr, append, delete, touch, evict
	key  string
	n    uint64 // set, add: the value
	cas  uint64 // cas: the one compared
}

type result struct {
	ok  bool
	n   uint64
	cas uint64
}

type register struct {
	there  bool
	n, cas uint64
}

// registerModel is a key's; an eviction is an operation that may happen whenever the store says that it did.
var registerModel = porcupine.Model{
	Partition: func(h []porcupine.Operation) (parts [][]porcupine.Operation) {
		by := map[string][]porcupine.Operation{}
		for _, o := range h {
			k := o.Input.(op).key
			by[k] = append(by[k], o)
		}
		for _, p := range by {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() any { return register{} },
	Step: func(state, input, output any) (bool, any) {
		r, in, out := state.(register), input.(op), output.(result)
		stored := register{true, out.n, out.cas}
		switch in.kind {
		case "get", "touch":
			return out.ok == r.there && (!r.there || out.n == r.n && out.cas == r.cas), r
		case "set":
			return true, stored
		case "add":
			if r.there {
				return !out.ok, r
			}
			return out.ok, stored
		case "cas":
			if !r.there || r.cas != in.cas {
				return !out.ok, r
			}
			return out.ok, stored
		case "incr":
			if !r.there {
				return !out.ok, r
			}
			return out.ok && out.n == r.n+1, stored
		case "append":
			if !r.there || r.n >= longest {
				return !out.ok, r
			}
			return out.ok && out.n == r.n*10+in.n%10, stored
		case "delete":
			return out.ok == r.there, register{}
		case "evict":
			return r.there, register{}
		}
		panic(in.kind)
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}

// longest is the number from which nothing is appended: another digit would not fit.
const longest = 1e17

func value(n uint64) []byte { return strconv.AppendUint(nil, n, 10) }

// perform does one operation, and gives what it saw or stored.
func perform(s *Store, o op) (r result) {
	tx := s.Begin([]byte(o.key))
	defer tx.End()
	it, there := tx.Get()
	if there {
		var err error
		if r.n, err = strconv.ParseUint(string(it.Value), 10, 64); err != nil {
			panic(err)
		}
		r.cas = it.CAS
	}
	write := func(n uint64) {
		cas, err := tx.Put(value(n), 0, 0, 0, 0)
		if err != nil {
			panic(err)
		}
		r = result{true, n, cas}
	}
	switch o.kind {
	case "get":
		tx.Touched()
		r.ok = there
	case "touch":
		tx.SetExp(1 << 45)
		r.ok = there
	case "set":
		write(o.n)
	case "add":
		if !there {
			write(o.n)
		}
	case "cas":
		if there && r.cas == o.cas {
			write(o.n)
		}
	case "incr":
		if there {
			write(r.n + 1)
		}
	case "append":
		if there && r.n < longest {
			cas, err := tx.PutParts(it.Value, value(o.n%10), 0, 0, 0, 0)
			if err != nil {
				panic(err)
			}
			r = result{true, r.n*10 + o.n%10, cas}
		}
	case "delete":
		tx.Delete()
		r.ok = there
	}
	return r
}

func TestLinearizable(t *testing.T) {
	for _, c := range []struct {
		name           string
		pressure, held bool
		slow           bool // the demoter stops now and then
		keys           int  // with pressure enough of them that some lie long unused
	}{
		{"with room", false, false, false, 5}, {"with room, demoter slow", false, false, true, 5},
		{"full", true, false, false, 60}, {"full, demoter slow", true, false, true, 60}, {"full, demoter held", true, true, false, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			var now atomic.Int64 // a logical clock orders calls and returns
			var mu sync.Mutex
			var history []porcupine.Operation
			record := func(o porcupine.Operation) {
				mu.Lock()
				history = append(history, o)
				mu.Unlock()
			}
			evictions := 0
			s := openTest(t, Options{Memory: minMemory, Evicted: func(it Item) {
				if k := it.Key; k[0] == 'k' {
					at := now.Add(2)
					record(porcupine.Operation{ClientId: 99, Input: op{kind: "evict", key: string(k)}, Call: at - 1, Output: result{}, Return: at})
					evictions++ // under a shard's lock; one shard
				}
			}})
			work := func() {
				var wg sync.WaitGroup
				for w := range 6 {
					wg.Go(func() {
						r := rand.New(rand.NewPCG(seed, uint64(w)))
						cas := map[string]uint64{}
						for i := range 200 {
							o := op{key: fmt.Sprintf("k%d", r.IntN(c.keys)), n: r.Uint64N(longest)}
							o.kind = []string{"get", "get", "set", "add", "cas", "incr", "incr", "append", "delete", "touch"}[r.IntN(10)]
							o.cas = cas[o.key]
							call := now.Add(1)
							res := perform(s, o)
							record(porcupine.Operation{ClientId: w, Input: o, Call: call, Output: res, Return: now.Add(1)})
							if res.cas != 0 {
								cas[o.key] = res.cas
							}
							for j := 0; c.pressure && j < 100; j++ {
								put(s, fmt.Appendf(nil, "other:%d:%d:%d", w, i, j), make([]byte, 300))
							}
						}
					})
				}
				wg.Wait()
			}
			switch {
			case c.held:
				s.run(work)
			case c.slow:
				slowly(s, seed, work)
			default:
				work()
			}
			s.Close() // no eviction is told any more
			if res := porcupine.CheckOperationsTimeout(registerModel, history, 30*time.Second); res != porcupine.Ok {
				t.Fatalf("%d operations, %d evictions: %v", len(history), evictions, res)
			}
			if c.pressure != (evictions > 0) {
				t.Errorf("%d evictions", evictions)
			}
		})
	}
}

// slowly runs work while the demoter is stopped again and again, for up to 3 ms.
func slowly(s *Store, seed uint64, work func()) {
	r := rand.New(rand.NewPCG(seed, 99))
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case s.ask <- func() { time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond) }:
				runtime.Gosched()
			}
		}
	}()
	work()
	close(done)
	<-stopped
}

// add succeeds once for each time that the key is absent: never twice.
func TestAddOnce(t *testing.T) {
	var evicted atomic.Int64
	s := openTest(t, Options{Memory: 4 << 20, Evicted: func(it Item) {
		if it.Key[0] == 'a' {
			evicted.Add(1)
		}
	}})
	const keys = 200
	var added atomic.Int64
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for round := range 20 {
				for i := range keys {
					if perform(s, op{kind: "add", key: fmt.Sprintf("a:%d", i), n: 1}).ok {
						added.Add(1)
					}
					for j := range 10 {
						put(s, fmt.Appendf(nil, "other:%d:%d:%d:%d", w, round, i, j), make([]byte, 200))
					}
				}
			}
		})
	}
	wg.Wait()
	verify(t, s)
	there := int64(0)
	for i := range keys {
		if get(s, fmt.Appendf(nil, "a:%d", i)) != nil {
			there++
		}
	}
	if added.Load() != there+evicted.Load() {
		t.Errorf("%d adds succeeded, %d keys are there and %d were evicted", added.Load(), there, evicted.Load())
	}
	if evicted.Load() == 0 {
		t.Error("nothing was evicted")
	}
}

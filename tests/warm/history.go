// Histories: clients work while owners of keys change, leaves die and links are cut; and what they were told is checked.

package warm

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// History is what one run was.
type History struct {
	Seed uint64
	Ops  []porcupine.Operation

	Errors, Unknown, Hits, Misses int // answers that did not come: all, and of them those of which it is not known whether they were done
	Events                        []string

	clock atomic.Int64
	mu    sync.Mutex
}

// Run makes one history, in which everything that is chance but time comes from seed. Each client does ops operations.
func Run(seed uint64, ops int) (*History, error) {
	const timeout = 150 * time.Millisecond
	w := NewWorld(Options{Warm: 600 * time.Millisecond, Timeout: timeout, Links: true})
	defer w.Close()
	h := &History{Seed: seed}
	var proxies []*Proxy
	for range 2 {
		p, err := w.NewProxy()
		if err != nil {
			return nil, err
		}
		proxies = append(proxies, p)
	}
	for _, name := range leafNames {
		if err := w.Start(name); err != nil {
			return nil, err
		}
	}
	time.Sleep(2 * time.Millisecond) // epochs are times
	w.Decide(nil, leafNames[:3]...)
	if err := w.Tell(); err != nil {
		return nil, err
	}
	d := &driver{w: w, h: h, proxies: proxies, r: rand.New(rand.NewPCG(seed, 1)), down: map[string]bool{}}
	stop := make(chan struct{})
	var events, work sync.WaitGroup
	var failed error
	events.Go(func() { failed = d.run(stop) })
	for i := range historyClients {
		c := proxies[i%2].Client(i)
		r := rand.New(rand.NewPCG(seed, uint64(i)+2))
		work.Go(func() { h.work(c, i, ops, r) })
	}
	work.Wait()
	close(stop)
	events.Wait()
	return h, failed
}

// op is a client's operation.
type op struct {
	kind, key, value string
	delta            uint64
	cas              uint64
	seen             string // cas: the value that goes with the number

	client int
	seq    int // it is that client's first, second ... request for the key that was answered; 0: it was not
}

// out is what came of it.
type out struct {
	result  string // hit, miss, done, not, "" (it is not known)
	value   string
	unknown bool
}

var opKinds = []string{"get", "get", "get", "gets", "gets", "set", "set", "delete", "delete", "add", "append", "incr", "cas", "cas"}

const (
	historyKeys    = 4
	historyClients = 4
)

func (h *History) work(c *Client, id, ops int, r *rand.Rand) {
	type seen struct {
		cas   uint64
		value string
	}
	cas := map[string]seen{}
	seqs := map[string]int{}
	for n := 0; n < ops; {
		var batch []op
		var requests []string
		var calls []int64
		key := r.IntN(historyKeys)
		for range pipelined(r) {
			if r.IntN(3) == 0 {
				key = r.IntN(historyKeys)
			}
			o := op{kind: opKinds[r.IntN(len(opKinds))], key: fmt.Sprintf("k%d", key), delta: uint64(1 + r.IntN(9)), client: id}
			o.value = strconv.Itoa(1000000 + id*100000 + n*10)
			if o.kind == "append" {
				o.value = strconv.Itoa(r.IntN(10))
			}
			if s := cas[o.key]; o.kind == "cas" {
				if s.cas == 0 {
					o.kind = "gets"
				} else {
					o.cas, o.seen = s.cas, s.value
				}
			}
			n++
			batch, requests, calls = append(batch, o), append(requests, o.request()), append(calls, h.clock.Add(1))
		}
		for i, a := range c.All(requests) {
			o := batch[i]
			res, number := o.read(a.Text, a.Err)
			if a.Err == nil {
				seqs[o.key]++
				o.seq = seqs[o.key]
			}
			if number != 0 {
				cas[o.key] = seen{number, res.value}
			}
			h.add(o, res, calls[i], a.Err)
		}
		if d := r.IntN(8); d > 3 {
			time.Sleep(time.Duration(d) * time.Millisecond / 2)
		}
	}
}

// pipelined is how many requests a client sends at once.
func pipelined(r *rand.Rand) int {
	if r.IntN(3) > 0 {
		return 1
	}
	return 2 + r.IntN(3)
}

// add notes an operation and what came of it.
func (h *History) add(o op, res out, call int64, err error) {
	ret := h.clock.Add(1)
	if res.unknown {
		ret = 1 << 60 // it may be done at any time
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil:
		h.Errors++
		if res.unknown {
			h.Unknown++
		}
	case res.result == "hit":
		h.Hits++
	case res.result == "miss":
		h.Misses++
	}
	if err == nil || res.unknown {
		h.Ops = append(h.Ops, porcupine.Operation{ClientId: o.client, Input: o, Call: call, Output: res, Return: ret})
	}
}

func (o op) request() string {
	switch o.kind {
	case "get", "gets", "delete":
		return o.kind + " " + o.key + "\r\n"
	case "incr":
		return fmt.Sprintf("incr %s %d\r\n", o.key, o.delta)
	case "cas":
		return fmt.Sprintf("cas %s 0 0 %d %d\r\n%s\r\n", o.key, len(o.value), o.cas, o.value)
	}
	return fmt.Sprintf("%s %s 0 0 %d\r\n%s\r\n", o.kind, o.key, len(o.value), o.value)
}

// read says what an answer means, and gives the CAS number that it tells.
func (o op) read(answer string, err error) (res out, cas uint64) {
	if err != nil {
		// What was not sent, or refused, was not done.
		sent := !errors.Is(err, backend.ErrRefused) && !errors.Is(err, backend.ErrDown)
		return out{unknown: sent && o.kind != "get" && o.kind != "gets"}, 0
	}
	line, rest, _ := strings.Cut(answer, "\r\n")
	switch w := strings.Fields(line); {
	case line == "END":
		return out{result: "miss"}, 0
	case w[0] == "VALUE":
		if len(w) > 4 {
			cas, _ = strconv.ParseUint(w[4], 10, 64)
		}
		value, _, _ := strings.Cut(rest, "\r\n")
		return out{result: "hit", value: value}, cas
	case line == "STORED", line == "DELETED", o.kind == "delete":
		return out{result: "done"}, 0
	case o.kind == "incr" && line[0] >= '0' && line[0] <= '9':
		return out{result: "done", value: line}, 0
	}
	return out{result: "not", value: line}, 0
}

// model is a key as a register that may lose what it holds: a cache. What it must not do is bring back what was overwritten or
// deleted, do what it was told not to, or do what one client sent in another order.
var model = porcupine.NondeterministicModel{
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
	Init:              func() []any { return []any{cell{}} },
	Step:              func(state, in, res any) []any { return state.(cell).step(in.(op), res.(out)) },
	Equal:             func(a, b any) bool { return a == b },
	DescribeOperation: func(in, res any) string { return fmt.Sprintf("%+v -> %+v", in, res) },
}

// cell is what a key holds, and how many of each client's requests for it were done.
type cell struct {
	value string
	done  [historyClients]int
}

// step is step in the order of each client. What was not answered may be done at any time.
func (c cell) step(o op, res out) (next []any) {
	if o.seq > 0 {
		if c.done[o.client] != o.seq-1 {
			return nil
		}
		c.done[o.client] = o.seq
	}
	for _, value := range step(c.value, o, res) {
		c.value = value.(string)
		next = append(next, c)
	}
	return next
}

func step(s string, o op, res out) []any {
	if res.unknown {
		if next, ok := o.effect(s); ok {
			return []any{s, next}
		}
		return []any{s}
	}
	switch {
	case res.result == "hit":
		return when(s == res.value, s)
	case res.result == "miss":
		return []any{s}
	case res.result == "not":
		// add finds something; all others may have found nothing because it was lost.
		return when(o.kind != "add" || s != "", s)
	case o.kind == "add": // what was there was lost
		return []any{o.value}
	}
	next, ok := o.effect(s)
	return when(ok && (o.kind != "incr" || next == res.value), next)
}

func when(ok bool, s string) []any {
	if !ok {
		return nil
	}
	return []any{s}
}

// effect is what o makes of s, if it does anything.
func (o op) effect(s string) (next string, ok bool) {
	switch o.kind {
	case "set", "add":
		return o.value, true
	case "delete":
		return "", true
	case "append":
		return s + o.value, s != ""
	case "incr":
		n, err := strconv.ParseUint(s, 10, 64)
		return strconv.FormatUint(n+o.delta, 10), err == nil
	case "cas":
		return o.value, s == o.seen && s != ""
	}
	return s, true
}

// Check says whether there is an order in which everything could have happened. Unknown: it was not found in time.
func (h *History) Check(patience time.Duration) (porcupine.CheckResult, porcupine.LinearizationInfo) {
	return porcupine.CheckOperationsVerbose(model.ToModel(), h.Ops, patience)
}

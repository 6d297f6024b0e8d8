// Package linear records what concurrent memcached clients did to a few keys, and asks porcupine whether each key could have
// been one register: every command at one instant between its call and its answer.
//
// Tests give it clients, which may talk to anything that speaks the protocol: an executor, a leaf, several proxies. Where
// items may go for want of memory, the store's own log of that is part of the history (Evicted): a key may be absent only
// after an eviction that the log names. Everything but Run may be called concurrently.
package linear

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
)

// Client sends a request and gives the whole answer to it.
type Client func(request string) (answer string, err error)

// History is what happened.
type History struct {
	clock atomic.Int64 // a logical clock orders calls and returns
	mu    sync.Mutex
	ops   []porcupine.Operation
	evict int
}

// evictor is the store's number among the clients.
const evictor = 1000

// Evicted notes that the store gave up a key, which is locked meanwhile: so it has happened at this instant. Keys that no client
// of Run uses are passed over. It is made for store.Options.Evicted.
func (h *History) Evicted(key []byte) {
	if len(key) == 0 || key[0] != 'k' {
		return
	}
	at := h.clock.Add(2)
	h.add(porcupine.Operation{ClientId: evictor, Input: Op{Kind: "evict", Key: string(key)}, Call: at - 1, Output: Out{}, Return: at})
}

func (h *History) add(o porcupine.Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, o)
	if o.ClientId == evictor {
		h.evict++
	}
}

// Evictions is how many were noted.
func (h *History) Evictions() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.evict
}

// Len is how many operations and evictions were noted.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ops)
}

// Load says what clients are to do.
type Load struct {
	Seed    uint64
	Clients []Client
	Keys    int // k0 and so on
	Ops     int // of each client
	// Between is called by each client before each of its operations, to make pressure or delay; nil: nothing is done.
	Between func(client int, ask Client) error
}

// Run has all clients work at once, and gives the first error.
func (h *History) Run(l Load) error {
	var wg sync.WaitGroup
	errs := make([]error, len(l.Clients))
	for w, ask := range l.Clients {
		wg.Go(func() { errs[w] = h.work(&l, w, ask) })
	}
	wg.Wait()
	for w, err := range errs {
		if err != nil {
			return fmt.Errorf("client %d: %w", w, err)
		}
	}
	return nil
}

func (h *History) work(l *Load, w int, ask Client) error {
	r := rand.New(rand.NewPCG(l.Seed, uint64(w)))
	cas := map[string]uint64{}
	for i := range l.Ops {
		if l.Between != nil {
			if err := l.Between(w, ask); err != nil {
				return err
			}
		}
		o := Op{Key: fmt.Sprintf("k%d", r.IntN(l.Keys)), Meta: r.IntN(3) > 0, Delta: uint64(1 + r.IntN(9))}
		o.Kind = kinds[r.IntN(len(kinds))]
		// Each is written once. None begins with 0, or incr would make it shorter, and fill it up with spaces.
		o.Value = strconv.Itoa(1 + w*l.Ops + i)
		if o.Kind == "append" {
			o.Value = o.Value[len(o.Value)-1:]
		}
		if o.CAS = cas[o.Key]; o.CAS == 0 && o.Kind == "cas" {
			o.Kind = "get" // it has seen none
		}
		call := h.clock.Add(1)
		out, err := o.do(ask)
		if err != nil {
			return err
		}
		h.add(porcupine.Operation{ClientId: w, Input: o, Call: call, Output: out, Return: h.clock.Add(1)})
		if out.CAS != 0 {
			cas[o.Key] = out.CAS
		}
	}
	return nil
}

// kinds are what clients do, as often as they stand here.
var kinds = []string{"get", "get", "get", "set", "set", "add", "add", "cas", "cas", "cas", "incr", "incr", "append", "append", "delete", "touch"}

// Check says whether there is an order in which everything could have happened; if not, the error names a file to look at.
func (h *History) Check(patience time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	res, info := porcupine.CheckOperationsVerbose(Model, h.ops, patience)
	if res == porcupine.Ok {
		return nil
	}
	err := fmt.Errorf("history of %d operations, %d evictions: %v", len(h.ops), h.evict, res)
	if f, ferr := os.CreateTemp("", "linear-*.html"); ferr == nil {
		if porcupine.Visualize(Model, info, f) == nil {
			err = fmt.Errorf("%w; see %s", err, f.Name())
		}
		_ = f.Close()
	}
	return err
}

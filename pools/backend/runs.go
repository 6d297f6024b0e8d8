// Runs: Runners that go on in a goroutine of a backend's own.

package backend

import "sync"

// Runs has Runners run one after the other, in one goroutine, which is kept: a new one for each would first have to grow its stack. It is for backends that are
// called by a goroutine which they cannot replace, and which is therefore not to Run anything. Before Start and after Close all are woken. Methods may be called concurrently.
type Runs struct {
	mu     sync.Mutex
	some   sync.Cond // list is not empty, or it is closed
	list   []Runner
	next   int // in list
	number int // of the goroutine that works; who has left has another
	open   bool
	leave  func()
}

// Wake wakes whoever w has collected, or has them Run soon.
func (r *Runs) Wake(w *Wakes) {
	added := false
	for waiter := w.Next(); waiter != nil; waiter = w.Next() {
		if run, ok := waiter.(Runner); !ok || !run.Runs() || !r.add(run) {
			waiter.Wake()
		} else {
			added = true
		}
	}
	if added {
		r.some.Signal()
	}
}

func (r *Runs) add(w Runner) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.open {
		return false
	}
	if len(r.list) == cap(r.list) && r.next > len(r.list)/2 { // it may never be empty
		n := copy(r.list, r.list[r.next:])
		clear(r.list[n:])
		r.list, r.next = r.list[:n], 0
	}
	r.list = append(r.list, w)
	return true
}

// Start begins; it is called once. There is a goroutine until Close.
func (r *Runs) Start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open, r.some.L, r.leave = true, &r.mu, r.left
	r.start()
}

// start has a new goroutine work. The lock is held.
func (r *Runs) start() {
	r.number++
	go r.work(r.number)
}

// left is what who is run calls before it waits for anything.
func (r *Runs) left() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start()
}

func (r *Runs) work(mine int) {
	for {
		r.mu.Lock()
		for r.number == mine && r.next == len(r.list) && r.open {
			r.list, r.next = r.list[:0], 0
			r.some.Wait()
		}
		if r.number != mine || r.next == len(r.list) {
			r.mu.Unlock()
			return
		}
		w := r.list[r.next]
		r.list[r.next] = nil
		r.next++
		r.mu.Unlock()
		w.Run(r.leave)
	}
}

// Close ends it, and waits for nobody: it may be called by one that is run. Who is still to be run is; who comes afterwards is woken.
func (r *Runs) Close() {
	r.mu.Lock()
	r.open = false
	r.mu.Unlock()
	r.some.Broadcast()
}

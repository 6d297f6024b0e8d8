// Loop: one goroutine that waits for many sockets and does for each at once what there is to do, as the event loops of C servers do.

package sock

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

const (
	maxEvents = 128
	// maxBusy is how many events a Loop takes before it has Go's poller look at all other sockets: half a millisecond, if each is a request of its own.
	maxBusy = 64
	// edges is what is waited for: something to read, or the end of it, and only what comes anew.
	edges = syscall.EPOLLIN | syscall.EPOLLRDHUP | 1<<31
	// ended is what says that after what can be read there is an end.
	ended = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
)

// Loop waits for sockets with an epoll descriptor of its own, which Go's poller watches as it watches sockets. A goroutine that waits for each
// socket would be woken, and put aside again, for each request; a Loop is woken once for all that has come meanwhile. It works in rounds:
// first everything that has come is read (Watch), then what has been asked for with Soon is run, and at the end what was put off
// with Later, so that what many had to write to one connection is one write. What is asked for from then on is for the next round, which takes
// what has come meanwhile as well: nobody keeps others waiting by always having more to do.
//
// Nothing that runs in a Loop may wait, unless it calls Leave before. The sockets stay Go's, too, so that they can be waited for in a goroutine as well, and
// deadlines and Close are as ever; being told twice costs about 1 % of the CPU. All methods may be called concurrently.
type Loop struct {
	on     atomic.Bool
	epoll  int
	file   *os.File // epoll
	raw    syscall.RawConn
	bell   int // an eventfd that is always readable: who writes to it wakes the Loop
	number atomic.Uint32

	// Only for the goroutine whose number it is.
	events [maxEvents]syscall.EpollEvent
	come   [maxEvents]*Watch // whose they are
	n      int               // how many
	next   int               // in come
	jobs   []Runner          // what was soon or later
	job    int               // in jobs
	step   step              // of the round
	hurry  bool              // the next round begins at once
	busy   int               // events, and what was asked for, since Go's poller has looked

	mu      sync.Mutex
	places  []*Watch // by what events name them with; nil: free
	free    []int32
	joined  int  // in places
	working bool // it is in a round
	soon    []Runner
	later   []Runner
	closing bool // it ends when nothing is joined any more
	closed  bool // it has
}

// step is how far a round has come.
type step int

const (
	reads  step = iota // watches are called
	soons              // what was asked for with Soon is run
	laters             // what was put off with Later is run
)

// Runner is something to run in a Loop. leave is the Loop's Leave.
type Runner interface{ Run(leave func()) }

// NewLoop starts one, which is on.
func NewLoop() (*Loop, error) {
	l := &Loop{working: true} // it begins with a round
	var err error
	if l.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("cannot make an epoll descriptor: %w", err)
	}
	bell, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 1, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		syscall.Close(l.epoll)
		return nil, fmt.Errorf("cannot make an eventfd: %w", errno)
	}
	l.bell = int(bell)
	l.places = []*Watch{nil} // the bell's
	err = syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, l.bell, &syscall.EpollEvent{Events: edges})
	if err == nil {
		err = syscall.SetNonblock(l.epoll, true) // what os.NewFile knows a descriptor by that can be waited for
	}
	l.file = os.NewFile(uintptr(l.epoll), "epoll")
	if err == nil {
		l.raw, err = l.file.SyscallConn()
	}
	if err != nil {
		l.file.Close()
		syscall.Close(l.bell)
		return nil, fmt.Errorf("cannot wait with epoll: %w", err)
	}
	l.on.Store(true)
	go l.run(0)
	return l, nil
}

// On reports whether the Loop is to be used: what it watches is to leave it otherwise, when it is called the next time.
func (l *Loop) On() bool { return l.on.Load() }

// Set says whether it is to be used. A Loop that has been closed is not.
func (l *Loop) Set(on bool) {
	if l.on.Load() == on {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on.Store(on && !l.closing)
}

// Close switches it off and has everything that is watched called once more, to leave. The goroutine ends when all has left, for which Close does not wait.
func (l *Loop) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return
	}
	l.on.Store(false)
	l.closing = true
	for _, w := range l.places {
		if w != nil {
			l.soon = append(l.soon, w)
		}
	}
	l.ring()
}

// Soon has r run in this round or the next, which begins now if there is none. A Loop that has ended runs nothing.
func (l *Loop) Soon(r Runner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.soon = append(l.soon, r)
	if !l.working && !l.closed {
		l.ring()
	}
}

// ring wakes the Loop, or has it wake at once when it waits. The Loop must not have ended.
func (l *Loop) ring() {
	one := uint64(1)
	syscall.RawSyscall(syscall.SYS_WRITE, uintptr(l.bell), uintptr(unsafe.Pointer(&one)), 8)
}

// Later has r run at the end of the round, or of the next. It reports false if there is no round.
func (l *Loop) Later(r Runner) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.working {
		l.later = append(l.later, r)
	}
	return l.working
}

// Leave has another goroutine go on with the Loop. It is called by what runs in it, and is the last that this has to do with it.
func (l *Loop) Leave() { go l.run(l.number.Add(1)) }

// run is the Loop's goroutine, until it is closed or somebody has left.
func (l *Loop) run(mine uint32) {
	leave, poll := l.Leave, l.poll
	for {
		for l.next < l.n {
			w := l.come[l.next]
			l.come[l.next] = nil
			l.next++
			if w == nil {
				continue
			}
			if w.f(l.events[l.next-1].Events&ended != 0); l.number.Load() != mine {
				return
			}
		}
		for l.job < len(l.jobs) || l.more() {
			r := l.jobs[l.job]
			l.jobs[l.job] = nil
			l.job++
			if r.Run(leave); l.number.Load() != mine {
				return
			}
		}
		if !l.wait(poll) {
			return
		}
	}
}

// more takes what is to be done next in the round. It reports false, and ends the round, if that is nothing.
func (l *Loop) more() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.step++; l.step <= laters; l.step++ {
		from := &l.later
		if l.step == soons {
			from = &l.soon
			l.busy += len(l.soon)
		}
		if len(*from) > 0 {
			l.jobs, *from, l.job = *from, l.jobs[:0], 0
			return true
		}
	}
	l.jobs, l.job = l.jobs[:0], 0
	l.working = l.pendingLocked() // or what is put off would not be until another round began
	l.hurry = l.working || l.doneLocked()
	return false
}

// pendingLocked reports whether there is something to run.
func (l *Loop) pendingLocked() bool { return len(l.soon)+len(l.later) > 0 }

// doneLocked reports whether the Loop is to end now.
func (l *Loop) doneLocked() bool { return l.closing && l.joined == 0 && !l.pendingLocked() }

// wait begins another round when there is something to do. It reports false if the Loop has ended.
func (l *Loop) wait(poll func(uintptr) bool) bool {
	l.n, l.next, l.step = 0, 0, reads
	err := l.raw.Read(poll)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || l.doneLocked() {
		l.closed, l.working = true, false
		l.file.Close()
		syscall.Close(l.bell)
		return false
	}
	l.working = true
	l.busy += l.n
	for i, e := range l.events[:l.n] {
		if w := l.places[e.Fd]; w != nil && w.joined == e.Pad {
			l.come[i] = w
		}
	}
	return true
}

// poll looks for events, and reports false to wait for some. The file calls it at first, and whenever the descriptor has become readable.
func (l *Loop) poll(fd uintptr) bool {
	if l.busy > maxBusy { // Go's poller looks only when nothing can be run: so wait for something that is there
		l.busy = 0
		l.ring()
		return false
	}
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&l.events)), maxEvents, 0, 0, 0)
		if errno != syscall.EINTR {
			if l.n = 0; errno == 0 {
				l.n = int(n)
			}
			return l.n > 0 || l.hurry
		}
	}
}

// Watch is a socket in a Loop, or one that may come to be.
type Watch struct {
	l      *Loop
	f      func(all bool)
	place  int32
	joined int32 // counts: an event of before is not its own
}

// NewWatch gives a Watch that has not joined. f is called when something has come to read, and for Again. What comes after a read that does not fill its
// buffer has it called anew; but with all the end has come, too, and is missed if f does not read until then. f is called by one goroutine at a time, and
// may still be called after Part.
func (l *Loop) NewWatch(f func(all bool)) *Watch { return &Watch{l: l, f: f} }

// Join begins. What can be read already counts as new.
func (w *Watch) Join(sc syscall.Conn) error {
	l := w.l
	l.mu.Lock()
	if n := len(l.free); n > 0 {
		w.place = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		w.place = int32(len(l.places))
		l.places = append(l.places, nil)
	}
	w.joined++
	l.joined++
	l.places[w.place] = w
	e := syscall.EpollEvent{Events: edges, Fd: w.place, Pad: w.joined}
	l.mu.Unlock()
	err := w.control(sc, syscall.EPOLL_CTL_ADD, &e)
	if err != nil {
		w.leave()
		return fmt.Errorf("cannot add a socket to an epoll descriptor: %w", err)
	}
	return nil
}

// Part ends what Join began. The socket must not have been closed since.
func (w *Watch) Part(sc syscall.Conn) {
	w.control(sc, syscall.EPOLL_CTL_DEL, &syscall.EpollEvent{})
	w.leave()
}

func (w *Watch) leave() {
	l := w.l
	l.mu.Lock()
	defer l.mu.Unlock()
	l.places[w.place] = nil
	l.free = append(l.free, w.place)
	if l.joined--; l.closing && l.joined == 0 && !l.closed {
		l.ring()
	}
}

func (w *Watch) control(sc syscall.Conn, op int, e *syscall.EpollEvent) error {
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var ctl error
	err = raw.Control(func(fd uintptr) {
		w.l.mu.Lock()
		defer w.l.mu.Unlock()
		if ctl = os.ErrClosed; !w.l.closed && (op == syscall.EPOLL_CTL_DEL || !w.l.closing) {
			ctl = syscall.EpollCtl(w.l.epoll, op, int(fd), e)
		}
	})
	if err == nil {
		err = ctl
	}
	return err
}

// Again has f called soon.
func (w *Watch) Again() { w.l.Soon(w) }

// Run implements Runner.
func (w *Watch) Run(func()) { w.f(false) }

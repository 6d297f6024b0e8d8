package sock

import (
	"net"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// job is a Runner.
type job func(leave func())

func (j job) Run(leave func()) { j(leave) }

func newLoop(t *testing.T) *Loop {
	t.Helper()
	l, err := NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// watched is a socket in a Loop: it counts what it reads.
type watched struct {
	Direct
	peer net.Conn
	w    *Watch
	got  atomic.Int64
	come chan bool // has one when some has been read
}

func watch(t *testing.T, l *Loop) *watched {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		if ends[i], err = net.FileConn(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	s := &watched{Direct: Wrap(ends[0]).(Direct), peer: ends[1], come: make(chan bool, 1)}
	buf := make([]byte, 64)
	s.w = l.NewWatch(func(bool) {
		for n, err := s.TryRead(buf); err == nil; n, err = s.TryRead(buf) {
			s.got.Add(int64(n))
			select {
			case s.come <- true:
			default:
			}
		}
	})
	if err := s.w.Join(s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.w.Part(s)
		s.Close()
		s.peer.Close()
	})
	return s
}

func (s *watched) says(t *testing.T, text string) {
	t.Helper()
	if _, err := s.peer.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// sees waits until n bytes have been read.
func (s *watched) sees(n int64) {
	for s.got.Load() < n {
		<-s.come
	}
}

// More sockets become readable at once than one look at them tells of.
func TestLoopReadsAll(t *testing.T) {
	l := newLoop(t)
	var all []*watched
	for range 3*maxEvents - 10 {
		all = append(all, watch(t, l))
	}
	for round := range int64(20) {
		in, out := make(chan bool), make(chan bool)
		l.Soon(job(func(func()) { in <- true; <-out }))
		<-in
		for _, s := range all {
			s.says(t, "x")
		}
		close(out)
		for _, s := range all {
			s.sees(round + 1)
		}
	}
}

// What has come before a socket joins has come.
func TestLoopReadsWhatWasThere(t *testing.T) {
	l := newLoop(t)
	s := watch(t, l)
	for n := range int64(100) {
		s.w.Part(s)
		s.says(t, "x")
		if err := s.w.Join(s); err != nil {
			t.Fatal(err)
		}
		s.sees(n + 1)
	}
}

// A round reads, runs what was asked for, and then what was put off.
func TestLoopRounds(t *testing.T) {
	l := newLoop(t)
	var order []string
	ended := make(chan bool)
	says := func(s string) job { return func(func()) { order = append(order, s) } }
	l.Soon(job(func(func()) {
		l.Later(says("later"))
		l.Soon(job(func(func()) {
			order = append(order, "next round")
			l.Later(job(func(func()) { close(ended) }))
		}))
		l.Soon(says("too"))
		order = append(order, "soon")
	}))
	<-ended
	if want := []string{"soon", "later", "next round", "too"}; !slices.Equal(order, want) {
		t.Errorf("run in the order %q, want %q", order, want)
	}
}

// What asks to be run again and again keeps neither sockets in the Loop waiting nor, with one processor, those that goroutines wait for.
func TestLoopHasTimeForAll(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l := newLoop(t)
	inside, outside := watch(t, l), watch(t, l)
	outside.w.Part(outside)
	var stop atomic.Bool
	ended := make(chan bool)
	var again job
	again = func(func()) {
		if stop.Load() {
			close(ended)
			return
		}
		l.Soon(again)
	}
	l.Soon(again)
	for n := range int64(100) {
		inside.says(t, "x")
		inside.sees(n + 1)
		outside.says(t, "x")
		if _, err := outside.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	<-ended
	if err := outside.w.Join(outside); err != nil {
		t.Fatal(err)
	}
}

// Who leaves may wait for what the Loop brings, and what was left of the round is done.
func TestLoopIsLeft(t *testing.T) {
	l := newLoop(t)
	s := watch(t, l)
	ended := make(chan bool, 3)
	for n := range int64(100) {
		l.Soon(job(func(func()) {
			l.Soon(job(func(leave func()) {
				leave()
				s.sees(n + 1)
				ended <- true
			}))
			l.Soon(job(func(func()) {
				l.Later(job(func(func()) { ended <- true }))
				s.says(t, "x")
				ended <- true
			}))
		}))
		for range 3 {
			<-ended
		}
	}
}

// A Loop that is closed calls what is in it, to leave, and ends then. It takes nobody in.
func TestLoopIsClosed(t *testing.T) {
	l := newLoop(t)
	s, other := watch(t, l), watch(t, l)
	called := make(chan bool, 1)
	s.w.f = func(bool) { called <- l.On() }
	l.Close()
	l.Close()
	if on := <-called; on {
		t.Error("it is on")
	}
	other.w.Part(other)
	if err := other.w.Join(other); err == nil {
		t.Error("a closed Loop takes a socket in")
	}
	other.w = s.w // to have it part once, which is what is waited for
	ran := make(chan bool)
	l.Soon(job(func(func()) { close(ran) }))
	<-ran
	s.w.Part(s)
	for end := time.Now().Add(10 * time.Second); !l.isClosed(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not end")
		}
	}
	l.Soon(job(func(func()) { t.Error("it still runs") }))
}

// It ends, too, if nothing was ever in it, whatever it has been asked for.
func TestLoopEnds(t *testing.T) {
	for n := range 100 {
		l := newLoop(t)
		ran := make(chan bool)
		switch n % 3 {
		case 0:
			l.Soon(job(func(func()) { close(ran) }))
			l.Close()
			<-ran
		case 1:
			l.Soon(job(func(func()) {
				l.Soon(job(func(func()) { close(ran) }))
				l.Close()
			}))
			<-ran
		default:
			l.Close()
		}
		for end := time.Now().Add(10 * time.Second); !l.isClosed(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d does not end", n)
			}
		}
		if l.Set(true); l.On() {
			t.Fatal("it can be switched on")
		}
	}
}

func (l *Loop) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

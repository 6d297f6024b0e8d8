// Waiters that go on in the reader's goroutine.

package memcached

import (
	"testing"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// runner is a waiter that goes on where it is brought its answer.
type runner struct {
	*waiter
	run func(leave func())
}

func (r *runner) Runs() bool { return true }

func (r *runner) Run(leave func()) {
	r.mu.Lock()
	r.asked = false
	r.mu.Unlock()
	r.run(leave)
}

// Who is run may send to the same backend; and wait for that, once it has left.
func TestRunnersSendAndWait(t *testing.T) {
	host, port := serve(t, echo)
	b, _ := at(t, host, port, Options{})
	ended := make(chan string, 1)
	w := &runner{waiter: newWaiter()}
	send := func(s string, run func(func())) {
		w.run = run
		p := backend.NewPending()
		p.Waiter, p.Start = w, backend.Now()
		b.Send(req(t, s), p)
	}
	for range 100 {
		send("get a\r\n", func(func()) {
			got := text(w.take(1)[0])
			send("get b\r\n", func(leave func()) {
				got += text(w.take(1)[0])
				leave()
				got += ask(t, b, "get c\r\n")
				got += ask(t, b, "get d\r\n")
				ended <- got
			})
		})
		if got, want := <-ended, valueOf("a")+valueOf("b")+valueOf("c")+valueOf("d"); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// A connection that breaks while a waiter that has left still runs fails what that waits for, and is made anew.
func TestRunnerOutlivesTheConnection(t *testing.T) {
	host, port := serve(t, echo)
	b, _ := at(t, host, port, Options{})
	ended := make(chan string, 1)
	w := &runner{waiter: newWaiter()}
	w.run = func(leave func()) {
		w.take(1)
		leave()
		c := b.conns[0]
		c.mu.Lock()
		c.nc.Close()
		c.mu.Unlock()
		got := ""
		for got != valueOf("c") { // some fail
			got = ask(t, b, "get c\r\n")
		}
		ended <- got
	}
	p := backend.NewPending()
	p.Waiter, p.Start = w, backend.Now()
	b.Send(req(t, "get a\r\n"), p)
	<-ended
	if got := ask(t, b, "get d\r\n"); got != valueOf("d") {
		t.Errorf("%q", got)
	}
}

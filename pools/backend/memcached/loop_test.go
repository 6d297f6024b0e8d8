// What is about the loop itself; all other tests are run with one, too.

package memcached

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/sock"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// job is a sock.Runner.
type job func()

func (j job) Run(func()) { j() }

func inLoop(t *testing.T) *sock.Loop {
	t.Helper()
	if theLoop == nil {
		t.Skip("when there is a loop")
	}
	return theLoop
}

// The loop is switched off and on while many ask and connections end.
func TestLoopComesAndGoes(t *testing.T) {
	l := inLoop(t)
	for name, m := range map[string]mischief{
		"honest": honest,
		"ends": func(p *peer, key string, rnd *rand.Rand) bool {
			if rnd.IntN(50) > 0 {
				return honest(p, key, rnd)
			}
			s := storm(key)
			p.say("%s", s[:rnd.IntN(len(s)+1)])
			if rnd.IntN(2) == 0 {
				p.Conn.(*net.TCPConn).SetLinger(0)
			}
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			stop, ended := make(chan bool), make(chan bool)
			go func() {
				defer close(ended)
				for on := false; ; on = !on {
					select {
					case <-stop:
						l.Set(true)
						return
					case <-time.After(time.Duration(rand.IntN(1000)) * time.Microsecond):
						l.Set(on)
					}
				}
			}()
			for range 10 {
				stormAgainst(t, m)
			}
			close(stop)
			<-ended
		})
	}
}

// A connection that ends while the writer has what the socket did not take of the loop's does not spoil the next one.
func TestEndsWhileWritingInLoop(t *testing.T) {
	l := inLoop(t)
	full := make(chan bool)
	host, port := serve(t, func(p *peer) {
		if p.n > 1 {
			echo(p)
			return
		}
		<-full // having read nothing
		p.Conn.(*net.TCPConn).SetLinger(0)
	})
	b, _ := at(t, host, port, Options{Loop: l, FailureLimit: 1 << 30, MaxQueued: 1 << 30})
	const many = 100
	w := newWaiter()
	value := strings.Repeat("x", 900_000)
	l.Soon(job(func() {
		for i := range many {
			send(t, b, w, fmt.Sprintf("set k%d 0 0 %d\r\n%s\r\n", i, len(value), value))
		}
	}))
	c := b.conns[0]
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		writes := c.writing > 0
		c.mu.Unlock()
		if writes {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the socket takes all")
		}
	}
	close(full)
	for _, p := range w.take(many) {
		if got := text(p); got != backend.ErrDisconnected.Error() {
			t.Errorf("%q", got)
		}
	}
	if got := ask(t, b, "get a\r\n"); got != valueOf("a") {
		t.Errorf("%q", got)
	}
}
